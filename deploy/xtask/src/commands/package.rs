//! `cargo xtask package`: Debian packages of node and edge, by cargo-deb. What goes where stands in the crates'
//! `Cargo.toml` and in `deploy/debian`.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::local::Kind;
use crate::report;
use crate::repository::Repository;
use crate::toolchain::cargo_tools::{self, CARGO_DEB};
use crate::toolchain::guided::Guided;
use crate::toolchain::{Toolchain, announce, packages};

/// Builds the packages, with an edge that is compiled by how it is used unless `plain`.
///
/// # Errors
/// When the build fails or cargo-deb cannot be had.
pub fn run(repository: &Repository, plain: bool) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    packages::ensure(packages::TO_PACKAGE)?;
    let deb = cargo_tools::ensure(toolchain.cache(), CARGO_DEB)?;
    let kinds = [Kind::Node, Kind::Edge];
    let guided = Guided::new(&toolchain);
    if plain {
        report::step("Building nodes and edges (release)");
        toolchain.build_release(&kinds.map(Kind::names))?;
    } else {
        report::step("Building nodes (release)");
        toolchain.build_release(&[Kind::Node.names()])?;
        guided.build()?;
    }
    let output = repository.root().join("target/packages");
    std::fs::create_dir_all(&output)
        .with_context(|| format!("{} cannot be made", output.display()))?;
    for kind in kinds {
        let mut command = Command::new(&deb);
        command
            .current_dir(repository.root())
            .envs(toolchain.variables());
        if kind == Kind::Edge && !plain {
            command.env("CARGO_TARGET_DIR", guided.target());
        }
        command
            .args([
                "--package",
                kind.package(),
                "--no-build",
                "--locked",
                "--strip",
            ])
            .arg("--output")
            .arg(&output);
        announce(command)?;
    }
    report::fact(format_args!(
        "the packages are in {}",
        repository.shorten(&output)
    ));
    Ok(())
}
