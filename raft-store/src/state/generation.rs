//! Generations: directories of which one is the state and the others are left over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::keys;
use super::shared::Position;
use crate::codec::{self, CodecError};
use crate::engine::{self, Batch, Database, DatabaseKind, Disk};
use crate::fault::{FaultKind, StorageFault};
use crate::open::OpenError;
use crate::types::{LogId, StoredMembership};

/// The state's directory in the data directory.
pub(crate) const STATE_DIR: &str = "state";
/// The file that names the generation in use.
const CURRENT_FILE: &str = "state/CURRENT";

/// The format of the rows around the domain's; the domain's carry versions of their own.
const FORMAT: u8 = 1;

/// A 64-bit number in decimal and a line feed.
const CURRENT_BYTES_MAX: usize = 32;

/// An open generation. When nobody uses an obsolete one any more, its directory goes.
pub(crate) struct Generation {
    disk: Arc<dyn Disk>,
    pub(crate) number: u64,
    database: Option<Arc<dyn Database>>,
    pub(crate) path: PathBuf,
    obsolete: AtomicBool,
}

impl Generation {
    /// Its rows.
    pub(crate) fn database(&self) -> &dyn Database {
        &**self
            .database
            .as_ref()
            .expect("the database is there until the generation is dropped")
    }

    /// Another one has taken its place.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Relaxed);
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.database = None;
        if self.obsolete.load(Ordering::Relaxed)
            && let Err(fault) = self.disk.remove(&self.path)
        {
            // Nothing depends on it: the next start removes what is left over.
            tracing::debug!(%fault, "an obsolete generation stays until the next start");
        }
    }
}

/// A state as it was found.
pub(crate) struct OpenedState {
    pub(crate) generation: Generation,
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

impl OpenedState {
    pub(crate) fn position(&self) -> Position {
        Position {
            applied: self.applied,
            membership: self.membership.clone(),
        }
    }
}

/// The directory of a generation.
pub(crate) fn directory(number: u64) -> PathBuf {
    Path::new(STATE_DIR).join(format!("{number:020}"))
}

/// Opens the generation in use and removes left-over ones. On storage that was never used
/// (`formatted` is false) the first one is made.
pub(crate) fn open(disk: &Arc<dyn Disk>, formatted: bool) -> Result<OpenedState, OpenError> {
    disk.create_dir(Path::new(STATE_DIR))?;
    let number = match read_current(&**disk) {
        Ok(number) => number,
        Err(fault) if fault.kind == FaultKind::Missing && !formatted => 1,
        Err(fault) => return Err(fault.into()),
    };
    let opened = open_generation(disk, number, !formatted)?;
    if !formatted {
        flip(&**disk, number)?;
    }
    remove_others(&**disk, number)?;
    Ok(opened)
}

/// Opens a generation's database and reads where it stands.
pub(crate) fn open_generation(
    disk: &Arc<dyn Disk>,
    number: u64,
    create: bool,
) -> Result<OpenedState, OpenError> {
    let path = directory(number);
    let database = disk.open_database(&path, DatabaseKind::State, create)?;
    let located = disk.locate(&path);
    let corrupt = |what: &str, error: CodecError| {
        StorageFault::corrupt("open", &located, format!("{what}: {error}"))
    };
    let view = database.view();
    match view.get(&keys::FORMAT)?.as_deref() {
        Some([FORMAT]) => {}
        Some(other) => {
            return Err(OpenError::Format {
                path: located,
                found: format!("{other:?}"),
            });
        }
        None if create => {
            let mut batch = Batch::default();
            batch.put(keys::FORMAT, [FORMAT]);
            database.write(batch)?;
            database.sync()?;
        }
        None => {
            return Err(OpenError::Format {
                path: located,
                found: "no version".to_owned(),
            });
        }
    }
    let applied = match view.get(&keys::APPLIED)? {
        None => None,
        Some(bytes) => codec::decode_log_id(&bytes)
            .map_err(|error| corrupt("the last applied log id", error))?,
    };
    let membership = match view.get(&keys::MEMBERSHIP)? {
        None => StoredMembership::default(),
        Some(bytes) => {
            codec::decode_membership(&bytes).map_err(|error| corrupt("the membership", error))?
        }
    };
    drop(view);
    let generation = Generation {
        disk: Arc::clone(disk),
        number,
        database: Some(database),
        path,
        obsolete: AtomicBool::new(false),
    };
    Ok(OpenedState {
        generation,
        applied,
        membership,
    })
}

/// Makes `number` the generation in use, durably.
pub(crate) fn flip(disk: &dyn Disk, number: u64) -> Result<(), StorageFault> {
    disk.sync_dir(Path::new(STATE_DIR))?;
    engine::replace_file(
        disk,
        Path::new(CURRENT_FILE),
        format!("{number}\n").as_bytes(),
    )
}

fn read_current(disk: &dyn Disk) -> Result<u64, StorageFault> {
    let path = Path::new(CURRENT_FILE);
    let bytes = engine::read_file(disk, path, CURRENT_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end().parse().map_err(|_| {
        StorageFault::corrupt(
            "read",
            disk.locate(path),
            format!("it names no generation: {text:?}"),
        )
    })
}

/// Removes what an interrupted installation, or one that was not cleaned up after, left.
fn remove_others(disk: &dyn Disk, number: u64) -> Result<(), StorageFault> {
    let kept = directory(number);
    for name in disk.list(Path::new(STATE_DIR))? {
        let path = Path::new(STATE_DIR).join(&name);
        if path != kept && path != Path::new(CURRENT_FILE) {
            tracing::info!(path = %disk.locate(&path).display(), "remove what an interrupted installation left");
            disk.remove(&path)?;
        }
    }
    Ok(())
}
