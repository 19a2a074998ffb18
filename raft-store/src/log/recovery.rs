//! Opening the log: what is there, and whether it is all that has to be there.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys;
use super::mark::{MARK_FILE, MarkRecord};
use super::store::next_index;
use crate::codec::{self, CodecError};
use crate::engine::{Batch, Database, DatabaseKind, DatabaseView, Direction, Disk};
use crate::fault::StorageFault;
use crate::open::OpenError;
use crate::types::{LogId, Vote};

/// The log's directory in the data directory.
pub(crate) const LOG_DIR: &str = "log";

/// The format of the rows.
const FORMAT: u8 = 1;

/// What a log holds.
pub(crate) struct RecoveredLog {
    pub(crate) path: PathBuf,
    pub(crate) database: Arc<dyn Database>,
    /// The index of the first entry, or of the next one if there is none.
    pub(crate) first: u64,
    pub(crate) purged: Option<LogId>,
    pub(crate) last: Option<LogId>,
    pub(crate) vote: Option<Vote>,
}

impl RecoveredLog {
    /// Whether it is as a new log is.
    pub(crate) fn is_new(&self) -> bool {
        self.purged.is_none() && self.last.is_none() && self.vote.is_none()
    }

    /// What the log follows, with a state that was applied so far: the log goes on behind the state where
    /// it ends before it, which it does when others committed what this disk had not synced.
    pub(crate) fn follows(&self, applied: Option<LogId>) -> Option<LogId> {
        if self.last < applied {
            applied
        } else {
            self.purged
        }
    }
}

/// Opens the log and compares it with the mark; without a mark it may be a new one.
///
/// # Errors
/// When the log is damaged, or is not all that the mark says was synced.
pub(crate) fn recover(
    disk: &dyn Disk,
    mark: Option<&MarkRecord>,
) -> Result<RecoveredLog, OpenError> {
    let path = Path::new(LOG_DIR);
    let database = disk.open_database(path, DatabaseKind::Log, mark.is_none())?;
    let path = disk.locate(path);
    check_format(&path, &*database)?;
    let recovered = read(path, database)?;
    let Some(mark) = mark else {
        return Ok(recovered);
    };
    compare(disk, &recovered, mark)?;
    cut_behind_gap(recovered, mark)
}

fn check_format(path: &Path, database: &dyn Database) -> Result<(), OpenError> {
    let written = database.view().get(&keys::FORMAT)?;
    match written.as_deref() {
        Some([FORMAT]) => Ok(()),
        Some(other) => Err(OpenError::Format {
            path: path.to_owned(),
            found: format!("{other:?}"),
        }),
        None => {
            let mut batch = Batch::default();
            batch.put(keys::FORMAT, [FORMAT]);
            database.write(batch)?;
            Ok(database.sync()?)
        }
    }
}

fn read(path: PathBuf, database: Arc<dyn Database>) -> Result<RecoveredLog, OpenError> {
    let corrupt = |what: &str, error: CodecError| {
        OpenError::from(StorageFault::corrupt(
            "open",
            &path,
            format!("{what}: {error}"),
        ))
    };
    let view = database.view();
    let vote = match view.get(&keys::VOTE)? {
        None => None,
        Some(bytes) => {
            Some(codec::decode_vote(&bytes).map_err(|error| corrupt("the vote", error))?)
        }
    };
    let purged = match view.get(&keys::PURGED)? {
        None => None,
        Some(bytes) => {
            codec::decode_log_id(&bytes).map_err(|error| corrupt("the purged log id", error))?
        }
    };
    let edge = |direction| -> Result<Option<LogId>, OpenError> {
        let rows = view.scan(&keys::entry(0), &keys::AFTER_ENTRIES, direction, 1)?;
        let Some((_, bytes)) = rows.first() else {
            return Ok(None);
        };
        codec::decode_entry_log_id(bytes)
            .map(Some)
            .map_err(|error| corrupt("an entry", error))
    };
    let first = edge(Direction::Ascending)?.map(|first| first.index);
    let last = edge(Direction::Descending)?;
    drop(view);
    if let Some(first) = first
        && first > next_index(purged)
    {
        let reason = format!("it begins at index {first}, and was purged up to {purged:?} only");
        return Err(StorageFault::corrupt("open", &path, reason).into());
    }
    // A purge that was lost in a crash leaves entries that it had removed; they are not needed.
    let first = first.unwrap_or(0).max(next_index(purged));
    let last = match (last, purged) {
        (Some(last), Some(purged)) if last.index <= purged.index => Some(purged),
        (None, purged) => purged,
        (last, _) => last,
    };
    Ok(RecoveredLog {
        path,
        database,
        first,
        purged,
        last,
        vote,
    })
}

/// Whether everything is there that the mark says was synced.
fn compare(disk: &dyn Disk, recovered: &RecoveredLog, mark: &MarkRecord) -> Result<(), OpenError> {
    let mark_file = disk.locate(Path::new(MARK_FILE));
    if next_index(recovered.last) < next_index(mark.last) {
        return Err(OpenError::Shortened {
            log: recovered.path.clone(),
            mark: mark_file,
            found: recovered.last,
            expected: mark.last,
        });
    }
    if recovered.vote < mark.vote {
        return Err(OpenError::VoteLost {
            log: recovered.path.clone(),
            mark: mark_file,
            found: recovered.vote,
            expected: mark.vote,
        });
    }
    let Some(expected) = mark.last.filter(|last| last.index >= recovered.first) else {
        return Ok(());
    };
    let bytes = recovered
        .database
        .view()
        .get(&keys::entry(expected.index))?;
    let found = bytes.and_then(|bytes| codec::decode_entry_log_id(&bytes).ok());
    if found != Some(expected) {
        return Err(OpenError::Shortened {
            log: recovered.path.clone(),
            mark: mark_file,
            found,
            expected: Some(expected),
        });
    }
    Ok(())
}

/// Entries above the mark may never have been synced, and a power cut may have kept a later one
/// without an earlier one. Nothing behind such a gap was acknowledged; it is cut, like any torn
/// tail.
fn cut_behind_gap(
    mut recovered: RecoveredLog,
    mark: &MarkRecord,
) -> Result<RecoveredLog, OpenError> {
    let start = next_index(mark.last).max(recovered.first);
    let Some(last) = recovered.last.filter(|last| last.index >= start) else {
        return Ok(recovered);
    };
    let view = recovered.database.view();
    let gap = first_gap(&*view, start, last.index)?;
    drop(view);
    let Some(gap) = gap else { return Ok(recovered) };
    let kept = match gap.checked_sub(1).filter(|index| *index >= recovered.first) {
        None => recovered.purged,
        Some(index) => {
            let bytes = recovered
                .database
                .view()
                .get(&keys::entry(index))?
                .unwrap_or_default();
            let log_id = codec::decode_entry_log_id(&bytes).map_err(|error| {
                StorageFault::corrupt("open", &recovered.path, format!("entry {index}: {error}"))
            })?;
            Some(log_id)
        }
    };
    tracing::warn!(log = %recovered.path.display(), gap, last = last.index, "cut the torn tail of the log behind a gap");
    let mut batch = Batch::default();
    let (from, until) = keys::entries(&(gap..last.index + 1));
    batch.delete_range(from, until);
    recovered.database.write(batch)?;
    recovered.database.sync()?;
    recovered.last = kept;
    Ok(recovered)
}

/// The first index from `start` to `last` that has no entry.
fn first_gap(view: &dyn DatabaseView, start: u64, last: u64) -> Result<Option<u64>, StorageFault> {
    let mut expected = start;
    let (from, until) = keys::entries(&(start..last + 1));
    view.visit(&from, &until, Direction::Ascending, &mut |key, _| {
        if keys::index(key) == Some(expected) {
            expected += 1;
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok((expected <= last).then_some(expected))
}
