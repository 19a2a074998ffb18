//! Builds, runs, tests and measures VectorGate: what `cargo xtask` does, as a library, so that the
//! benchmarks start and stop local clusters by the same code.
//!
//! - [`repository`] and [`cache`] say where things are.
//! - [`toolchain`] sets the machine up and calls cargo.
//! - [`local`] runs nodes, edges and origins as processes of this machine.
//! - [`commands`] holds one file per subcommand.
//!
//! Nothing here is part of the product; nothing of the product depends on it.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool speaks on its standard output"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool that runs outside the simulation may ask the operating system itself"
)]

pub mod cache;
pub mod commands;
pub mod local;
pub mod report;
pub mod repository;
pub mod toolchain;
