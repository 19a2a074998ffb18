//! `cargo xtask openapi`: writes `docs/openapi.json` as the node's code makes it.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::local::Kind;
use crate::report;
use crate::repository::Repository;
use crate::toolchain::Toolchain;

/// Where the document is checked in.
const DOCUMENT: &str = "docs/openapi.json";

/// Builds a node and writes what it prints.
///
/// # Errors
/// When the build fails, or the file cannot be written.
pub fn run(repository: &Repository) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    let mut node = toolchain.cargo();
    node.args([
        "run",
        "--locked",
        "--quiet",
        "--package",
        Kind::Node.package(),
    ]);
    node.args(["--bin", Kind::Node.binary(), "--", "openapi"]);
    let output = node
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("the node did not print the document");
    }
    let path = repository.root().join(DOCUMENT);
    fs::write(&path, output.stdout)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    report::line(format_args!("{DOCUMENT} is what the code makes"));
    Ok(())
}
