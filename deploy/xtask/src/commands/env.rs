//! `cargo xtask env`: the environment that builds use, for calling cargo by hand with the same
//! cache: `source <(cargo xtask env)`. It sets nothing up, since what it prints is executed.

use anyhow::Result;

use crate::report;
use crate::repository::Repository;
use crate::toolchain::Toolchain;

/// Prints shell lines.
///
/// # Errors
/// When the machine was not set up yet.
pub fn run(repository: &Repository) -> Result<()> {
    for (name, value) in Toolchain::find(repository)?.variables() {
        let value = value.to_string_lossy().replace('\'', r"'\''");
        report::line(format_args!("export {name}='{value}'"));
    }
    Ok(())
}
