//! That what is on this disk is not what the cluster agreed on: found by comparison with the other members, and written down
//! here, so that no node starts on it again. Nothing is repaired and nothing removed: the log and the votes are as they were, and
//! whoever wants to know what happened finds all of it.

use std::path::Path;
use std::sync::Arc;

use crate::engine::{self, Disk};
use crate::fault::{Breaker, StorageFault};
use crate::open::OpenError;

/// The file's name in the data directory.
const FILE: &str = "quarantined";

/// What it begins with; the reason follows, in words.
const HEAD: &[u8] = b"VGQM\x01";

/// The longest reason that is kept.
const REASON_BYTES_MAX: usize = 4096;

/// Puts the disk under quarantine. Cloning shares it.
#[derive(Clone)]
pub struct Quarantine {
    disk: Arc<dyn Disk>,
    breaker: Arc<Breaker>,
}

impl Quarantine {
    pub(crate) fn new(disk: Arc<dyn Disk>, breaker: Arc<Breaker>) -> Self {
        Self { disk, breaker }
    }

    /// Writes down that no node may start on this disk any more, and why. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses; the process has been told by then.
    pub async fn impose(&self, reason: &str) -> Result<(), StorageFault> {
        let this = self.clone();
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        let content = [HEAD, reason, b"\n"].concat();
        let write = move || {
            let write = || engine::replace_file(&*this.disk, Path::new(FILE), &content);
            this.breaker.run(write)
        };
        engine::blocking(self.disk.inline(), write).await
    }
}

/// Fails where the disk is under quarantine.
pub(crate) fn refuse(disk: &dyn Disk) -> Result<(), OpenError> {
    let path = Path::new(FILE);
    if !engine::file_exists(disk, path)? {
        return Ok(());
    }
    let bytes = engine::read_file(disk, path, HEAD.len() + REASON_BYTES_MAX + 1)?;
    // Whatever it holds: somebody meant that no node starts here.
    let reason = bytes.strip_prefix(HEAD).unwrap_or(&bytes);
    Err(OpenError::Quarantined {
        path: disk.locate(path),
        reason: String::from_utf8_lossy(reason).trim_end().to_owned(),
    })
}
