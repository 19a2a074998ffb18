//! `cargo deny`: licences, sources, dependency walls (`deny.toml`) and known vulnerabilities.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::cargo_tools::{self, CARGO_DENY};
use super::{Toolchain, announce};
use crate::report;

/// Checks the dependencies.
///
/// # Errors
/// When something in them is not allowed, or the tool cannot be had.
pub fn check(toolchain: &Toolchain) -> Result<()> {
    let tool = cargo_tools::ensure(toolchain.cache(), CARGO_DENY)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&tool);
        command
            .current_dir(toolchain.repository().root())
            .envs(toolchain.variables());
        command.args(["--locked", "--workspace"]).args(arguments);
        command
    };
    announce(deny(&["check", "bans", "licenses", "sources"]))?;
    report::step("cargo-deny: fetching the database of advisories");
    let fetched = deny(&["fetch", "db"])
        .stdin(Stdio::null())
        .output()
        .context("cargo-deny could not be started")?;
    if fetched.status.success() {
        return announce(deny(&["check", "advisories"]));
    }
    report::fact(
        "NOT CHECKED: known vulnerabilities. The database of advisories cannot be fetched from here:",
    );
    let said = String::from_utf8_lossy(&fetched.stderr);
    report::fact(
        said.trim()
            .lines()
            .last()
            .unwrap_or("cargo-deny gave no reason"),
    );
    Ok(())
}
