//! The machine's part in a build: Debian packages, the RocksDB library, and a cargo that is called
//! with the right environment. [`Toolchain::prepare`] makes sure of all of it and is cheap when
//! everything is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::report;
use crate::repository::Repository;

pub mod cargo_tools;
pub mod deny;
pub mod environment;
pub mod guided;
pub mod kubectl;
pub mod npm;
pub mod packages;
pub mod python;
pub mod rocksdb;

/// A machine that can build VectorGate.
#[derive(Debug)]
pub struct Toolchain {
    repository: Repository,
    cache: Cache,
    target: PathBuf,
    rocksdb: PathBuf,
}

impl Toolchain {
    /// Installs what is missing: system packages, then the RocksDB library.
    ///
    /// # Errors
    /// When something is missing that cannot be installed here; the message says what to do.
    pub fn prepare(repository: &Repository) -> Result<Self> {
        environment::warn_of_ignored_flags();
        let cache = Cache::locate()?;
        packages::ensure(packages::TO_BUILD)?;
        let target = environment::target_directory(&cache)?;
        let rocksdb = rocksdb::ensure(repository, &cache)?;
        Ok(Self {
            repository: repository.clone(),
            cache,
            target,
            rocksdb,
        })
    }

    /// What an earlier command has set up, without setting anything up.
    ///
    /// # Errors
    /// When RocksDB was not compiled yet.
    pub fn find(repository: &Repository) -> Result<Self> {
        let cache = Cache::locate()?;
        let target = environment::target_directory(&cache)?;
        let rocksdb = rocksdb::find(repository, &cache)?.context(
            "RocksDB was not compiled yet; `cargo xtask test` or `cargo xtask up` does that first",
        )?;
        Ok(Self {
            repository: repository.clone(),
            cache,
            target,
            rocksdb,
        })
    }

    /// The clone that it builds.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The cache outside the clone.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What cargo has to be told through its environment.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("CARGO_TARGET_DIR", self.target.clone().into_os_string())];
        variables.extend(rocksdb::variables(&self.rocksdb));
        variables
    }

    /// A cargo that works in the clone.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut cargo = environment::cargo();
        cargo
            .current_dir(self.repository.root())
            .envs(self.variables());
        cargo
    }

    /// Builds binaries in release and says where they are.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build_release(&self, binaries: &[(&str, &str)]) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--release", "--locked"]);
        for (package, binary) in binaries {
            cargo.args(["--package", package, "--bin", binary]);
        }
        run(cargo)?;
        Ok(self.target.join("release"))
    }

    /// Builds all binaries and tests, as running the tests does: whichever comes second finds everything
    /// built. Says where the binaries are.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build_tested(&self) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo.args(["test", "--locked", "--workspace", "--no-run"]);
        run(cargo)?;
        Ok(self.target.join("debug"))
    }

    /// Builds one binary in the profile of tests and says where it is.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build_dev(&self, package: &str, binary: &str) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--locked", "--package", package, "--bin", binary]);
        run(cargo)?;
        Ok(self.target.join("debug").join(binary))
    }

    /// Builds one binary in a profile of the workspace's own, and says where it is.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build_profile(&self, profile: &str, package: &str, binary: &str) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--locked", "--profile", profile]);
        cargo.args(["--package", package, "--bin", binary]);
        run(cargo)?;
        Ok(self.target.join(profile).join(binary))
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub fn run(mut command: Command) -> Result<()> {
    let shown = describe(&command);
    let status = command
        .status()
        .with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// A command as one would type it, without its environment.
#[must_use]
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or_else(|| command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Where a program is, by `PATH`.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Where a server's program is: by `PATH`, or where Debian puts servers, which is in the `PATH` of
/// administrators alone.
#[must_use]
pub fn find_server(name: &str) -> Option<PathBuf> {
    let servers = Path::new("/usr/sbin").join(name);
    find_program(name).or_else(|| servers.is_file().then_some(servers))
}

/// Announces a command and runs it.
///
/// # Errors
/// As [`run`].
pub fn announce(command: Command) -> Result<()> {
    report::step(describe(&command));
    run(command)
}
