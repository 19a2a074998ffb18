//! Opening a node's storage: the log, the applied state and the checkpoints, checked against each
//! other before anything is used.
//!
//! Nothing is repaired here and nothing is thrown away but what is known to be left over from an
//! interrupted operation. A node that finds less than it once acknowledged must not start: it
//! would vote and count towards quorums without what it promised to keep. It is replaced under a
//! new id instead.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::admission::Admission;
use crate::checkpoint::{Checkpoints, Shelf};
use crate::engine::rocks::RocksDisk;
use crate::engine::sim::SimDisk;
use crate::engine::{Disk, Standing, Statistics};
use crate::fault::{Breaker, Fatal, FaultKind, StorageFault};
use crate::log::{self, LogShared, LogStore, MARK_FILE, Mark};
use crate::quarantine::{self, Quarantine};
use crate::state::{self, Outcomes, Reader, StateHashes, StateMachine, StateShared};
use crate::types::{LogId, Vote};
use crate::unfinished::{self, Undertaking};

/// Where a node keeps its data.
#[derive(Clone, Debug)]
pub enum Storage {
    /// RocksDB under this directory, which is made if it is absent.
    Rocks {
        /// The data directory.
        dir: PathBuf,
    },
    /// A simulated disk.
    Sim(SimDisk),
}

/// What storage needs to know of the process.
#[derive(Clone)]
pub struct Options {
    /// Called once, on the first storage fault.
    pub fatal: Fatal,
}

/// A node's storage, open.
pub struct Opened {
    /// For openraft.
    pub log: LogStore,
    /// For openraft.
    pub machine: StateMachine,
    /// Reads of the applied state.
    pub reader: Reader,
    /// What comes of the proposals that are made here.
    pub outcomes: Outcomes,
    /// Receives checkpoints from other members.
    pub checkpoints: Checkpoints,
    /// Whether this disk may take part in consensus.
    pub admission: Admission,
    /// The state's hashes at blank entries; none are taken until that is enabled.
    pub state_hashes: StateHashes,
    /// Keeps this disk out of consensus for good.
    pub quarantine: Quarantine,
    /// Ends it all cleanly.
    pub closer: Closer,
}

/// Why a node's storage cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The log ends before what was once synced.
    #[error(
        "{} ends at {} but {} says that it was synced up to {}: entries were lost; \
         replace this node under a new id", .log.display(), show(.found), .mark.display(), show(.expected)
    )]
    Shortened {
        /// The log's directory.
        log: PathBuf,
        /// The high-water mark.
        mark: PathBuf,
        /// What is there.
        found: Option<LogId>,
        /// What has to be there.
        expected: Option<LogId>,
    },
    /// The vote is older than the one that was once synced.
    #[error(
        "{} holds the vote {} but {} says that {} was synced: it was lost; \
         replace this node under a new id", .log.display(), show(.found), .mark.display(), show(.expected)
    )]
    VoteLost {
        /// The log's directory.
        log: PathBuf,
        /// The high-water mark.
        mark: PathBuf,
        /// What is there.
        found: Option<Vote>,
        /// What has to be there.
        expected: Option<Vote>,
    },
    /// There is a log or a state, but no high-water mark to compare it with.
    #[error(
        "{} is not there, but {} holds data: nothing says how much of it was lost; \
         replace this node under a new id", .mark.display(), .data.display()
    )]
    MarkMissing {
        /// The high-water mark.
        mark: PathBuf,
        /// What holds data.
        data: PathBuf,
    },
    /// The state ends before the entries that the log still has.
    #[error(
        "{} was applied up to {}, and {} was purged up to {}: the entries in between are lost; \
         replace this node under a new id", .state.display(), show(.applied), .log.display(), show(.purged)
    )]
    StateBehind {
        /// The state's directory.
        state: PathBuf,
        /// The log's directory.
        log: PathBuf,
        /// Up to where the state was applied.
        applied: Option<LogId>,
        /// Up to where the log was purged.
        purged: Option<LogId>,
    },
    /// A restore or a recovery was interrupted here.
    #[error(
        "{} says that {undertaking} was begun here and not finished; run the same command again",
        .path.display()
    )]
    Unfinished {
        /// What says so.
        path: PathBuf,
        /// What was begun.
        undertaking: Undertaking,
    },
    /// The state is another one than the cluster's.
    #[error("{} says that what is here is not what the cluster agreed on: {reason}", .path.display())]
    Quarantined {
        /// What says so.
        path: PathBuf,
        /// What was found, in words.
        reason: String,
    },
    /// There is something already where a backup was to be restored.
    #[error("{} is not empty: there is {found} in it; a backup is restored into an empty directory", .path.display())]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
        /// The first thing in it.
        found: String,
    },
    /// There is nothing to go on with.
    #[error("{} holds nothing that a cluster has ever applied", .path.display())]
    Nothing {
        /// The data directory.
        path: PathBuf,
    },
    /// Another release wrote it.
    #[error("{} has the format {found}, which this release does not know", .path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// It cannot be read: damaged, incomplete, or the disk refused.
    #[error(transparent)]
    Fault(#[from] StorageFault),
}

fn show(value: &Option<impl std::fmt::Display>) -> String {
    value
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

impl OpenError {
    /// The exit code for the process: 74 where the disk refused and trying again may help, 65
    /// where the data is not what it has to be.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Fault(fault) if matches!(fault.kind, FaultKind::Io(_) | FaultKind::Stopped) => 74,
            _ => 65,
        }
    }
}

/// How often the databases were written and synced since they were opened, and how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageStatistics {
    /// The log: writes are appends, votes and the like; syncs are group commits.
    pub log: Statistics,
    /// The state: writes are apply batches.
    pub state: Statistics,
    /// How the log's engine stands.
    pub log_standing: Standing,
    /// How the state's engine stands.
    pub state_standing: Standing,
}

/// Ends a node's storage cleanly, and knows what it did.
#[derive(Clone)]
pub struct Closer {
    log: Arc<LogShared>,
    state: Arc<StateShared>,
}

impl Closer {
    /// The state, for whoever restores it.
    pub(crate) fn state(&self) -> &Arc<StateShared> {
        &self.state
    }

    /// Makes everything durable, the high-water mark included. Call it after consensus was shut
    /// down; later writes are refused. It blocks for a sync or two.
    ///
    /// # Errors
    /// When the disk refuses, or had refused before.
    pub fn close(&self) -> Result<(), StorageFault> {
        self.state.state_hashes.end();
        self.log.close()?;
        self.state.sync()
    }

    /// How often the databases were written and synced since they were opened, and how they stand.
    #[must_use]
    pub fn statistics(&self) -> StorageStatistics {
        let state = self.state.generation();
        StorageStatistics {
            log: self.log.statistics(),
            state: state.database().statistics(),
            log_standing: self.log.standing(),
            state_standing: state.database().standing(),
        }
    }
}

/// Opens a node's storage. It blocks: RocksDB replays what was written since its last flush.
///
/// # Errors
/// When the storage is damaged, or less than what was once acknowledged; the error names the
/// files.
pub fn open(storage: Storage, options: Options) -> Result<Opened, OpenError> {
    let disk = disk(storage)?;
    unfinished::refuse(&*disk)?;
    open_disk(disk, options)
}

pub(crate) fn disk(storage: Storage) -> Result<Arc<dyn Disk>, StorageFault> {
    Ok(match storage {
        Storage::Rocks { dir } => Arc::new(RocksDisk::new(dir)?),
        Storage::Sim(disk) => Arc::new(disk.mount()),
    })
}

pub(crate) fn open_disk(disk: Arc<dyn Disk>, options: Options) -> Result<Opened, OpenError> {
    quarantine::refuse(&*disk)?;
    let mark = Mark::load(&*disk)?;
    let recovered = log::recover(&*disk, mark.as_ref().map(Mark::record))?;
    if mark.is_none() && !recovered.is_new() {
        return Err(mark_missing(&*disk, log::LOG_DIR));
    }
    let state = state::open(&disk, mark.is_some())?;
    if mark.is_none() && state.applied.is_some() {
        return Err(mark_missing(&*disk, state::STATE_DIR));
    }
    if state.applied < recovered.purged {
        return Err(OpenError::StateBehind {
            state: disk.locate(&state.generation.path),
            log: recovered.path,
            applied: state.applied,
            purged: recovered.purged,
        });
    }
    let breaker = Breaker::new(options.fatal);
    let log_follows = recovered.follows(state.applied);
    let shelf = Shelf::open(&disk, &breaker, (log_follows, state.applied))?;
    // The mark comes last: where there is one, everything else has to be there.
    let mark = match mark {
        Some(mark) => mark,
        None => {
            disk.sync_dir(Path::new(""))?;
            Mark::create(&*disk)?
        }
    };
    let holds_data = !recovered.is_new() || state.applied.is_some();
    let admission = Admission::open(Arc::clone(&disk), Arc::clone(&breaker), holds_data)?;
    let quarantine = Quarantine::new(Arc::clone(&disk), Arc::clone(&breaker));
    let log = LogShared::new(&*disk, recovered, mark, Arc::clone(&breaker))?;
    let state = StateShared::new(disk, state, shelf, breaker);
    Ok(Opened {
        log: LogStore::new(Arc::clone(&log)),
        machine: StateMachine::new(Arc::clone(&state)),
        reader: Reader::new(Arc::clone(&state)),
        checkpoints: state.checkpoints(),
        outcomes: state.outcomes.clone(),
        admission,
        state_hashes: state.state_hashes.clone(),
        quarantine,
        closer: Closer { log, state },
    })
}

fn mark_missing(disk: &dyn Disk, data: &str) -> OpenError {
    OpenError::MarkMissing {
        mark: disk.locate(Path::new(MARK_FILE)),
        data: disk.locate(Path::new(data)),
    }
}
