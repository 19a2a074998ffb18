//! `cargo deny`: licences, sources, dependency walls (`deny.toml`) and known vulnerabilities. The
//! tool is installed into the cache when the machine has none.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{Toolchain, announce, environment, find_program, run};
use crate::report;

/// Installed where the machine has none; any version that is there is taken.
const VERSION: &str = "0.20.2";

/// Checks the dependencies.
///
/// # Errors
/// When something in them is not allowed, or the tool cannot be had.
pub fn check(toolchain: &Toolchain) -> Result<()> {
    let tool = ensure(toolchain)?;
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

fn ensure(toolchain: &Toolchain) -> Result<PathBuf> {
    if let Some(found) = find_program("cargo-deny") {
        return Ok(found);
    }
    let tools = toolchain.cache().tools();
    let tool = tools.join("bin/cargo-deny");
    if !tool.is_file() {
        report::step(format_args!(
            "Installing cargo-deny {VERSION} into {} (a few minutes, once)",
            tools.display()
        ));
        std::fs::create_dir_all(&tools)
            .with_context(|| format!("{} cannot be made", tools.display()))?;
        let mut cargo = environment::cargo();
        cargo
            .args([
                "install",
                "cargo-deny",
                "--version",
                VERSION,
                "--locked",
                "--quiet",
                "--root",
            ])
            .arg(&tools);
        // Outside the clone, so that neither its flags nor its target directory apply.
        cargo
            .current_dir(&tools)
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::null());
        run(cargo)?;
    }
    Ok(tool)
}
