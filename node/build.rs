//! Generates the gRPC code from `proto/internal.proto`, without protoc.

#[allow(
    clippy::print_stdout,
    reason = "that is how a build script talks to cargo"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/internal.proto");
    let descriptors = protox::compile(["internal.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
