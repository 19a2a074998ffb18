//! `cargo xtask down`: ends the local cluster, and forgets it if asked to.

use std::fs;

use anyhow::{Context as _, Result};

use super::lock;
use crate::local::Cluster;
use crate::local::process::End;
use crate::report;
use crate::repository::Repository;

/// Ends all processes; with `wipe`, removes data, keys and logs as well.
///
/// # Errors
/// When a process does not end or a file cannot be removed.
pub fn run(repository: &Repository, wipe: bool) -> Result<()> {
    let _lock = lock(repository)?;
    let folder = repository.local();
    match Cluster::open(&folder)? {
        Some(cluster) => stop(&cluster)?,
        None => report::line("There is no local cluster."),
    }
    if wipe && folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
        report::line(format_args!("Removed {}", repository.shorten(&folder)));
    }
    Ok(())
}

fn stop(cluster: &Cluster) -> Result<()> {
    let stopped = cluster.stop_all(End::Drained)?;
    if stopped.is_empty() {
        report::line("Nothing of the local cluster was running.");
    }
    for name in stopped {
        report::line(format_args!("{name} has ended"));
    }
    Ok(())
}
