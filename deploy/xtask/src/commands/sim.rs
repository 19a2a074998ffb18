//! `cargo xtask sim`: the simulation, with the arguments that were given. It is built as tests are,
//! with debug assertions on.

use std::process::Command;

use anyhow::Result;

use crate::repository::Repository;
use crate::toolchain::{Toolchain, run as run_to_its_end};

const PACKAGE: &str = "simulation";
const BINARY: &str = "simulation";

/// Builds it and runs it.
///
/// # Errors
/// When the build or the simulation fails.
pub fn run(repository: &Repository, arguments: &[String]) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    let binary = toolchain.build_dev(PACKAGE, BINARY)?;
    let mut simulation = Command::new(binary);
    simulation.args(arguments).current_dir(repository.root());
    run_to_its_end(simulation)
}
