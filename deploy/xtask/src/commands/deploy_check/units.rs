//! systemd's units: that it understands them, and how much they leave open to a process that was taken over.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Ground;
use crate::report;
use crate::toolchain::{announce, describe};

/// The most that `systemd-analyze security` may say, in tenths: 2.0 of 10.
const EXPOSURE_MAX: &str = "20";

/// Both units by `systemd-analyze`.
pub(super) fn check(ground: &Ground, analyze: &Path) -> Result<()> {
    for name in ["vectorgate-node", "vectorgate-edge"] {
        let unit = stage(ground, name)?;
        let mut verify = Command::new(analyze);
        verify.args(["verify", "--man=no"]).arg(&unit);
        announce(verify)?;
        judge(analyze, &unit)?;
    }
    Ok(())
}

/// Holds a unit to [`EXPOSURE_MAX`]; what it leaves open is shown where that is more.
fn judge(analyze: &Path, unit: &Path) -> Result<()> {
    let mut security = Command::new(analyze);
    security
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={EXPOSURE_MAX}"))
        .arg(unit);
    report::step(describe(&security));
    let output = security
        .output()
        .context("systemd-analyze could not be started")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let is_open = |line: &&str| line.starts_with('✗');
    if !output.status.success() {
        let open: Vec<&str> = said.lines().filter(is_open).collect();
        bail!(
            "{} leaves too much open:\n{}",
            unit.display(),
            open.join("\n")
        );
    }
    report::fact(said.lines().last().unwrap_or_default());
    Ok(())
}

/// The unit with a program that is there: whether `/usr/bin` has one is no matter of the unit's.
fn stage(ground: &Ground, name: &str) -> Result<PathBuf> {
    let source = ground
        .deploy
        .join("systemd")
        .join(format!("{name}.service"));
    let text = std::fs::read_to_string(&source)
        .with_context(|| format!("{} cannot be read", source.display()))?;
    let program = ground.scratch.join(name);
    std::fs::write(&program, "#!/bin/sh\n")
        .and_then(|()| std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("{} cannot be written", program.display()))?;
    let installed = format!("/usr/bin/{name}");
    let unit = ground.scratch.join(format!("{name}.service"));
    std::fs::write(
        &unit,
        text.replace(&installed, &program.display().to_string()),
    )
    .with_context(|| format!("{} cannot be written", unit.display()))?;
    Ok(unit)
}
