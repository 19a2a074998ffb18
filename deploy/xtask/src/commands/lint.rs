//! `cargo xtask lint`: formatting, clippy, documentation and dependencies. All of them are run, and
//! all that failed are named at the end.

use std::process::Command;

use anyhow::{Result, bail};

use crate::repository::Repository;
use crate::toolchain::{self, Toolchain, deny};

/// Runs every check.
///
/// # Errors
/// When one fails, after all have run.
pub fn run(repository: &Repository) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    let cargo = |arguments: &[&str]| {
        let mut command = toolchain.cargo();
        command.args(arguments);
        command
    };
    let mut failed = Vec::new();
    let mut check = |what: &'static str, outcome: Result<()>| {
        if let Err(error) = outcome {
            crate::report::line(format_args!("{what}: {error:#}"));
            failed.push(what);
        }
    };
    check(
        "formatting",
        toolchain::announce(cargo(&["fmt", "--all", "--check"])),
    );
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    check("clippy", toolchain::announce(cargo(&clippy)));
    check(
        "documentation",
        toolchain::announce(strict(cargo(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--locked",
        ]))),
    );
    check("dependencies", deny::check(&toolchain));
    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Warnings of rustdoc are errors. The variable replaces the flags of `.cargo/config.toml`, so it
/// repeats them.
fn strict(mut doc: Command) -> Command {
    doc.env("RUSTDOCFLAGS", "--cfg tokio_unstable -D warnings");
    doc
}
