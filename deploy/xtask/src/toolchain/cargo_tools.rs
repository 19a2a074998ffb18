//! Subcommands of cargo that the project uses: the machine's own where it has one, otherwise installed into the cache,
//! once.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::{environment, find_program, run};
use crate::cache::Cache;
use crate::report;

/// A subcommand and the package of the same name.
#[derive(Clone, Copy, Debug)]
pub struct CargoTool {
    /// Both.
    pub name: &'static str,
    /// Installed where the machine has none; any version that is there is taken.
    pub version: &'static str,
}

/// Judges dependencies.
pub const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Makes Debian packages.
pub const CARGO_DEB: CargoTool = CargoTool {
    name: "cargo-deb",
    version: "3.8.0",
};

/// Where the program is, installed if it has to be.
///
/// # Errors
/// When it cannot be had.
pub fn ensure(cache: &Cache, tool: CargoTool) -> Result<PathBuf> {
    let CargoTool { name, version } = tool;
    if let Some(found) = find_program(name) {
        return Ok(found);
    }
    let tools = cache.tools();
    let program = tools.join("bin").join(name);
    if !program.is_file() {
        report::step(format_args!(
            "Installing {name} {version} into {} (a few minutes, once)",
            tools.display()
        ));
        std::fs::create_dir_all(&tools)
            .with_context(|| format!("{} cannot be made", tools.display()))?;
        let mut cargo = environment::cargo();
        cargo
            .args(["install", name, "--version", version])
            .args(["--locked", "--quiet", "--root"])
            .arg(&tools);
        // Outside the clone, so that neither its flags nor its target directory apply.
        cargo
            .current_dir(&tools)
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::null());
        run(cargo)?;
    }
    Ok(program)
}
