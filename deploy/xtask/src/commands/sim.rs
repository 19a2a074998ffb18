//! `cargo xtask sim`: the simulation, with the arguments that were given. It is built in a profile of
//! its own, fast and with debug assertions on, which shares nothing with that of the tests.

use std::process::Command;

use anyhow::Result;

use crate::report;
use crate::repository::Repository;
use crate::toolchain::{Toolchain, run as run_to_its_end};

const PACKAGE: &str = "simulation";
const BINARY: &str = "simulation";
const PROFILE: &str = "sim";

/// Builds it and runs it.
///
/// # Errors
/// When the build or the simulation fails.
pub fn run(repository: &Repository, arguments: &[String]) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    report::step("Building the simulation");
    let binary = toolchain.build_profile(PROFILE, PACKAGE, BINARY)?;
    let mut simulation = Command::new(binary);
    simulation.args(arguments).current_dir(repository.root());
    run_to_its_end(simulation)
}
