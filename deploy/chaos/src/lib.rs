//! Proof by real faults on real processes: what `cargo xtask chaos` runs.
//!
//! - [`machine`] makes what the operating system has to give: network namespaces on one bridge, ext4
//!   file systems on loop devices, and the faults of both.
//! - [`town`] runs nodes and edges there, as their operators would: settings, certificates, restarts.
//! - [`load`] is the clients: they write and read through all nodes, try again as the API's document
//!   tells them to, and write down what they were told. The simulation's checks judge that.
//! - [`scenarios`] holds one kind of fault a file, each with the figures that it must keep.
//! - [`report`] prints and keeps what came of them.
//!
//! What can be made up in virtual time is the simulation's; here is what only a kernel can do:
//! `kill -9`, a power cut, a full disk, a failing sync, a clock that jumps.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool speaks on its standard output"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures real time over real sockets; it never runs in the simulation"
)]

pub mod client;
pub mod findings;
pub mod load;
pub mod machine;
pub mod report;
pub mod scenarios;
pub mod town;

/// Runs what blocks, such as a tool of the operating system, while the runtime's other tasks go on.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
