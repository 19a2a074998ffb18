//! Whether a disk may take part in consensus. A disk that holds nothing may be new, or stand in the
//! place of one that was lost and with which promises were made: only a cluster can tell. Once one
//! has, that is written down here, before the node votes or takes an entry.
//!
//! ```text
//! file "admitted"     log, vote, state     admitted
//! there               any                  yes
//! absent              nothing              no: a cluster has to be asked
//! absent              something            yes: written before there was such a file
//! ```
//!
//! It is not enough to ask whether the node ever started: one that was refused for an empty disk has
//! started, and would be let in when its supervisor starts it again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::{self, Disk};
use crate::fault::{Breaker, StorageFault};

/// The file's name in the data directory.
const FILE: &str = "admitted";

/// What it holds; that it is there is what counts.
const CONTENT: &[u8] = b"VGAD\x01";

/// Whether the disk was admitted. Cloning shares it.
#[derive(Clone)]
pub struct Admission {
    disk: Arc<dyn Disk>,
    breaker: Arc<Breaker>,
    admitted: Arc<AtomicBool>,
}

impl Admission {
    /// As the file says, or what else is on the disk.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        breaker: Arc<Breaker>,
        holds_data: bool,
    ) -> Result<Self, StorageFault> {
        let admitted = holds_data || engine::file_exists(&*disk, Path::new(FILE))?;
        Ok(Self {
            disk,
            breaker,
            admitted: Arc::new(AtomicBool::new(admitted)),
        })
    }

    /// Whether it was.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::SeqCst)
    }

    /// Admits it. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses; the process has been told by then.
    pub async fn admit(&self) -> Result<(), StorageFault> {
        if self.is_admitted() {
            return Ok(());
        }
        let this = self.clone();
        let write = move || {
            let write = || engine::replace_file(&*this.disk, Path::new(FILE), CONTENT);
            this.breaker.run(write)
        };
        engine::blocking(self.disk.inline(), write).await?;
        self.admitted.store(true, Ordering::SeqCst);
        Ok(())
    }
}
