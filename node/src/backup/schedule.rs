//! Backups that a cluster makes by itself: whoever leads makes one when the newest in its own directory is
//! old enough, and removes what is beyond the number that is kept. Another node that comes to lead has a
//! directory of its own, or the same one where they share a file system.
//!
//! ```text
//! directory/backup-1764336000000/    by the time at which it was begun, in Unix milliseconds
//! ```
//!
//! One without a manifest broke off; the next one removes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::query;
use platform::{Clock, Entropy};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::source::Source;
use super::writer::Protection;
use super::{BackupError, BackupKey, MANIFEST_FILE, create};
use crate::control_plane::ControlPlane;
use crate::settings::BackupSettings;

/// How often is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long to wait after one that failed.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// What the names of folders begin with; nothing else in the directory is touched.
const PREFIX: &str = "backup-";

/// What scheduled backups show.
#[derive(Clone, Debug)]
pub(crate) struct BackupMetrics {
    interval: Gauge,
    newest: Gauge<u64, AtomicU64>,
    bytes: Gauge<u64, AtomicU64>,
    failures: Counter,
}

impl BackupMetrics {
    /// Makes them known to a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self {
            interval: Gauge::default(),
            newest: Gauge::default(),
            bytes: Gauge::default(),
            failures: Counter::default(),
        };
        registry.register(
            "backup_interval_seconds",
            "How often the cluster is to make a backup by itself; 0 where this node is not told to",
            made.interval.clone(),
        );
        registry.register(
            "backup_newest_timestamp_seconds",
            "When the newest backup in this node's directory was begun, in Unix seconds; 0 where there is none",
            made.newest.clone(),
        );
        registry.register(
            "backup_newest_bytes",
            "How many bytes of rows the last backup has that this process made",
            made.bytes.clone(),
        );
        registry.register(
            "backup_failures",
            "Scheduled backups that this node began, or was to begin, and did not make",
            made.failures.clone(),
        );
        made
    }
}

/// What the schedule takes from outside.
pub(crate) struct Parts {
    pub(crate) settings: BackupSettings,
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) source: Source,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) metrics: BackupMetrics,
}

/// Reads the key, and has backups made from now on.
///
/// # Errors
/// When the key file cannot be used.
pub(crate) fn start(parts: Parts) -> Result<JoinHandle<()>, BackupError> {
    let protection = match &parts.settings.key_file {
        Some(file) => Protection::Key(BackupKey::load(file)?),
        None => Protection::Plain,
    };
    let interval = i64::from(parts.settings.every_minutes) * 60;
    parts.metrics.interval.set(interval);
    Ok(tokio::spawn(run(parts, protection)))
}

async fn run(parts: Parts, protection: Protection) {
    loop {
        sleep(LOOK_EVERY).await;
        let found = look(&parts, &protection).await;
        if let Err(error) = found {
            parts.metrics.failures.inc();
            tracing::warn!(%error, "a scheduled backup was not made");
            sleep(RETRY_AFTER).await;
        }
    }
}

/// Makes a backup if one is due here.
async fn look(parts: &Parts, protection: &Protection) -> Result<(), BackupError> {
    let directory = &parts.settings.directory;
    let newest = complete(directory)?.pop().map_or(0, |(at, _)| at);
    parts.metrics.newest.set(newest / 1000);
    let now = parts.clock.now().0;
    let leads = parts.control.leader() == Some(parts.control.this().id);
    let every_ms = u64::from(parts.settings.every_minutes) * 60_000;
    // One of a time to come says that the clock went back: nobody knows how old it is.
    let fresh = now.checked_sub(newest).is_some_and(|age| age < every_ms);
    if !leads || fresh || !has_workspace(&*parts.control) {
        return Ok(());
    }
    tidy(directory, parts.settings.keep)?;
    let to = directory.join(format!("{PREFIX}{now:013}"));
    let told = parts.source.tell().await;
    let told = told.map_err(|error| BackupError::BrokenOff(error.to_string()))?;
    let made = create::write_own(told, &to, protection, Arc::clone(&parts.entropy)).await?;
    tidy(directory, parts.settings.keep)?;
    parts.metrics.newest.set(now / 1000);
    parts.metrics.bytes.set(made.signed.statement.bytes);
    tracing::info!(
        backup = %made.backup_id,
        revision = made.signed.statement.revision,
        folder = %to.display(),
        "made a backup"
    );
    Ok(())
}

/// Whether there is anything that could be restored.
fn has_workspace(control: &dyn ControlPlane) -> bool {
    let mut signs = false;
    let seen = control.with_view(&mut |view| signs = query::signing(view).is_some());
    seen.is_ok() && signs
}

/// The backups that are whole as far as their manifest goes, the newest last.
fn complete(directory: &Path) -> Result<Vec<(u64, PathBuf)>, BackupError> {
    let mut found = folders(directory)?;
    found.retain(|(_, path)| path.join(MANIFEST_FILE).exists());
    Ok(found)
}

/// All folders of backups, the newest last.
fn folders(directory: &Path) -> Result<Vec<(u64, PathBuf)>, BackupError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::file(directory))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(BackupError::file(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let at = name.and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        found.extend(at.map(|at| (at, path)));
    }
    found.sort();
    Ok(found)
}

/// Removes what broke off, and the oldest of what is whole beyond the number that is kept. A manifest goes first, so
/// that what is left of a removal that broke off is no backup.
fn tidy(directory: &Path, keep: usize) -> Result<(), BackupError> {
    let whole = complete(directory)?;
    let kept: Vec<&PathBuf> = whole
        .iter()
        .rev()
        .take(keep)
        .map(|(_, path)| path)
        .collect();
    for (_, path) in folders(directory)? {
        if kept.contains(&&path) {
            continue;
        }
        let manifest = path.join(MANIFEST_FILE);
        if manifest.exists() {
            fs::remove_file(&manifest).map_err(BackupError::file(&manifest))?;
        }
        fs::remove_dir_all(&path).map_err(BackupError::file(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_ones_are_kept_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str, whole: bool| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("rows-000000"), "rows").unwrap();
            if whole {
                fs::write(path.join(MANIFEST_FILE), "{}").unwrap();
            }
        };
        for (name, whole) in [
            ("backup-1", true),
            ("backup-3", true),
            ("backup-20", true),
            ("backup-30", false),
            ("backup-x", true),
            ("mine", false),
        ] {
            folder(name, whole);
        }
        assert_eq!(complete(dir.path()).unwrap().pop().unwrap().0, 20);
        tidy(dir.path(), 2).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["backup-20", "backup-3", "backup-x", "mine"]);
        assert!(complete(&dir.path().join("none")).unwrap().is_empty());
    }
}
