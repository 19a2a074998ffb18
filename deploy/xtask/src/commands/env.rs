//! `cargo xtask env`: the environment that builds use, for calling cargo by hand with the same
//! cache: `source <(cargo xtask env)`.

use anyhow::Result;

use crate::report;
use crate::repository::Repository;
use crate::toolchain::Toolchain;

/// Prints shell lines.
///
/// # Errors
/// When the machine cannot be set up.
pub fn run(repository: &Repository) -> Result<()> {
    for (name, value) in Toolchain::prepare(repository)?.variables() {
        let value = value.to_string_lossy().replace('\'', r"'\''");
        report::line(format_args!("export {name}='{value}'"));
    }
    Ok(())
}
