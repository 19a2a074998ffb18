//! RocksDB's C++ library, compiled once per version of `librocksdb-sys` and kept in the cache.
//!
//! Compiling it takes about 26 minutes of CPU time, and cargo would do it again for every profile,
//! every change of flags and every clean clone. So a generated crate that depends on the very same
//! `rocksdb`, with the same features, is built apart; its `librocksdb.a` goes into the cache, and
//! `ROCKSDB_LIB_DIR` points every later build there. Who exports `ROCKSDB_LIB_DIR` decides for
//! themselves.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::environment;
use crate::cache::Cache;
use crate::report;
use crate::repository::Repository;

const LIBRARY: &str = "librocksdb.a";

/// How often progress is reported. A compile of a single file takes a few seconds.
const REPORT_INTERVAL: Duration = Duration::from_secs(20);

/// Where the library is, if it is.
///
/// # Errors
/// When the version cannot be told.
pub fn find(repository: &Repository, cache: &Cache) -> Result<Option<PathBuf>> {
    let chosen = std::env::var_os("ROCKSDB_LIB_DIR").filter(|value| !value.is_empty());
    if let Some(chosen) = chosen {
        return Ok(Some(PathBuf::from(chosen)));
    }
    let folder = cache.rocksdb(&version(repository)?);
    Ok(folder.join(LIBRARY).is_file().then_some(folder))
}

/// Where the library is, after making sure that it is there.
///
/// # Errors
/// When it cannot be compiled.
pub fn ensure(repository: &Repository, cache: &Cache) -> Result<PathBuf> {
    if let Some(found) = find(repository, cache)? {
        return Ok(found);
    }
    let _turn = take_turn(cache)?;
    // Whoever had the turn before us may have made it.
    if let Some(found) = find(repository, cache)? {
        return Ok(found);
    }
    let version = version(repository)?;
    let folder = cache.rocksdb(&version);
    compile(repository, cache, &version, &folder)?;
    Ok(folder)
}

/// What the build script of `librocksdb-sys` reads.
#[must_use]
pub fn variables(folder: &Path) -> [(&'static str, OsString); 2] {
    [
        ("ROCKSDB_LIB_DIR", folder.as_os_str().to_owned()),
        ("ROCKSDB_STATIC", "1".into()),
    ]
}

/// The lock is released with the file handle.
fn take_turn(cache: &Cache) -> Result<File> {
    fs::create_dir_all(cache.root())
        .with_context(|| format!("{} cannot be made", cache.root().display()))?;
    let path = cache.root().join("rocksdb.lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    if file.try_lock().is_err() {
        report::step("Another process is compiling RocksDB; waiting for it");
        file.lock()
            .with_context(|| format!("{} cannot be locked", path.display()))?;
    }
    Ok(file)
}

/// The version of `librocksdb-sys` that the lock file names.
fn version(repository: &Repository) -> Result<String> {
    let lock = repository.root().join("Cargo.lock");
    let text =
        fs::read_to_string(&lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    version_in(&text).with_context(|| format!("{} names no librocksdb-sys", lock.display()))
}

fn version_in(lock: &str) -> Option<String> {
    let lock: toml::Table = lock.parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let package = packages
        .iter()
        .find(|package| named(package, "librocksdb-sys"))?;
    Some(package.get("version")?.as_str()?.to_owned())
}

fn named(package: &toml::Value, name: &str) -> bool {
    package.get("name").and_then(toml::Value::as_str) == Some(name)
}

fn compile(repository: &Repository, cache: &Cache, version: &str, folder: &Path) -> Result<()> {
    report::step(format_args!(
        "Compiling RocksDB ({version}): once, about 10 to 15 minutes on two cores"
    ));
    report::fact(format_args!("the library is kept in {}", folder.display()));
    let scratch = cache.rocksdb_build();
    write_crate(repository, &scratch)?;
    let began = Instant::now();
    let child = environment::cargo()
        .args(["build", "--release", "--quiet"])
        .current_dir(&scratch)
        .env("CARGO_TARGET_DIR", scratch.join("target"))
        .env_remove("ROCKSDB_STATIC")
        .stdin(Stdio::null())
        .spawn()
        .context("cargo could not be started")?;
    watch(child, &scratch, began)?;
    keep(&scratch, folder)?;
    report::fact(format_args!(
        "RocksDB is ready after {}",
        report::duration(began.elapsed())
    ));
    // Only scratch: whatever cannot be removed is overwritten by the next build.
    drop(fs::remove_dir_all(&scratch));
    Ok(())
}

/// A crate that depends on what the workspace depends on, at the versions that its lock file names.
fn write_crate(repository: &Repository, scratch: &Path) -> Result<()> {
    let workspace = fs::read_to_string(repository.root().join("Cargo.toml"))
        .context("Cargo.toml cannot be read")?;
    let manifest =
        manifest_from(&workspace).context("Cargo.toml has no workspace dependency on rocksdb")?;
    let write = |name: &str, text: &[u8]| {
        let path = scratch.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    fs::create_dir_all(scratch.join("src"))
        .with_context(|| format!("{} cannot be made", scratch.display()))?;
    write("Cargo.toml", manifest.as_bytes())?;
    write("src/lib.rs", b"//! Exists to have RocksDB compiled.\n")?;
    // Cargo keeps of it what applies and drops the rest.
    let lock =
        fs::read(repository.root().join("Cargo.lock")).context("Cargo.lock cannot be read")?;
    write("Cargo.lock", &lock)
}

fn manifest_from(workspace: &str) -> Option<String> {
    let workspace: toml::Table = workspace.parse().ok()?;
    let rocksdb = workspace
        .get("workspace")?
        .get("dependencies")?
        .get("rocksdb")?
        .clone();
    let mut manifest: toml::Table =
        "[package]\nname = \"rocksdb-build\"\nedition = \"2024\"\n[workspace]\n"
            .parse()
            .ok()?;
    let dependencies = toml::Table::from_iter([("rocksdb".to_owned(), rocksdb)]);
    manifest.insert("dependencies".to_owned(), toml::Value::Table(dependencies));
    toml::to_string(&manifest).ok()
}

fn watch(mut child: Child, scratch: &Path, began: Instant) -> Result<()> {
    let mut reported = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cargo cannot be waited for")? {
            if !status.success() {
                bail!("compiling RocksDB failed ({status}); what it said stands above");
            }
            return Ok(());
        }
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            let objects = built(scratch, &|name| name.ends_with(".o")).len();
            report::fact(format_args!(
                "{objects} of about 350 files compiled, {}",
                report::duration(began.elapsed())
            ));
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Moves the library into the cache: written beside and renamed, so that it is there whole or not
/// at all.
fn keep(scratch: &Path, folder: &Path) -> Result<()> {
    let libraries = built(scratch, &|name| name == LIBRARY);
    let library = libraries
        .first()
        .context("the build left no librocksdb.a")?;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let beside = folder.join("librocksdb.a.partial");
    fs::copy(library, &beside)
        .with_context(|| format!("{} cannot be written", beside.display()))?;
    fs::rename(&beside, folder.join(LIBRARY)).context("librocksdb.a cannot be put in its place")
}

/// The files below the build script's output folder whose name fits.
fn built(scratch: &Path, fits: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![scratch.join("target/release/build")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let foreign =
                folder.ends_with("build") && !name.to_string_lossy().starts_with("librocksdb-sys-");
            if foreign {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if fits(&name.to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_the_lock_file() {
        let lock = "version = 4\n[[package]]\nname = \"rocksdb\"\nversion = \"0.25.0\"\n\
                    [[package]]\nname = \"librocksdb-sys\"\nversion = \"0.19.0+11.8.1\"\n";
        assert_eq!(version_in(lock).as_deref(), Some("0.19.0+11.8.1"));
        assert_eq!(version_in("version = 4\n"), None);
    }

    #[test]
    fn the_generated_crate_asks_for_the_same_version_and_features_as_the_workspace() {
        let workspace = "[workspace.dependencies]\nserde = \"1\"\n\
                         rocksdb = { version = \"=0.25.0\", default-features = false, features = [\"lz4\"] }\n";
        let manifest: toml::Table = manifest_from(workspace)
            .expect("a manifest")
            .parse()
            .expect("TOML");
        let dependency = &manifest["dependencies"]["rocksdb"];
        assert_eq!(dependency["version"].as_str(), Some("=0.25.0"));
        assert_eq!(dependency["default-features"].as_bool(), Some(false));
        assert_eq!(dependency["features"][0].as_str(), Some("lz4"));
        assert!(manifest["dependencies"].get("serde").is_none());
        assert!(
            manifest.contains_key("workspace"),
            "the crate must not look for a workspace above it"
        );
    }
}
