//! The subcommands, one file each.

pub mod bench;
pub mod caches;
pub mod chaos;
pub mod conformance;
pub mod deploy_check;
pub mod down;
pub mod env;
pub mod fuzz;
pub mod lint;
pub mod openapi;
pub mod package;
pub mod process;
pub mod security;
pub mod sim;
pub mod status;
pub mod test;
pub mod up;

use anyhow::{Context as _, Result};

use crate::local::{Cluster, files};
use crate::repository::Repository;

/// The local cluster of this clone.
///
/// # Errors
/// When there is none.
pub fn local_cluster(repository: &Repository) -> Result<Cluster> {
    Cluster::open(&repository.local())?
        .context("there is no local cluster; `cargo xtask up` makes one")
}

/// Keeps two commands from changing the local cluster at once. Released when dropped.
///
/// # Errors
/// When another command holds it.
pub fn lock(repository: &Repository) -> Result<std::fs::File> {
    let folder = repository.local();
    files::make_folder(&folder)?;
    // Beside the folder, which `down --wipe` removes.
    let path = folder.with_extension("lock");
    let file = std::fs::File::create(&path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.try_lock()
        .context("another `cargo xtask` is changing the local cluster; wait until it is done")?;
    Ok(file)
}
