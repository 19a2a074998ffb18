//! A disk that goes on as the one voter of a cluster: with the rows of a backup ([`Restoration`]), or with what
//! it holds where the others are gone ([`Recovery`]). Both end alike: two entries are applied as if consensus
//! had agreed on them, one that says what happens and one that sets the membership, in one atomic write.
//! What is in that first entry, and who may want this, is `node`'s matter.
//!
//! ```text
//! 1. the file `unfinished` is there: no node starts on this disk
//! 2. a restore writes rows; a recovery applies what the log still holds
//! 3. the vote: a term that no member has had
//! 4. the two entries, behind all that the log holds, so that opening leaves that aside
//! 5. everything is synced, and `unfinished` goes
//! ```
//!
//! A crash before 5 leaves a disk that does not open. A restore then begins anew; a recovery goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use domain::command::Stamped;
use domain::machine;
use domain::rejection::Rejection;
use domain::rows::Row;
use domain::time::Revision;
use futures_util::stream;
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftStateMachine};

use crate::engine::{self, Disk};
use crate::fault::StorageFault;
use crate::log::MARK_FILE;
use crate::open::{self, OpenError, Opened, Options, Storage};
use crate::state::Reader;
use crate::types::{
    Entry, LeaderId, LogId, Member, Membership, NodeId, Payload, StoredMembership, Vote,
};
use crate::unfinished::{self, Undertaking};

/// What a file system may put into an empty directory by itself.
const OF_THE_FILE_SYSTEM: [&str; 1] = ["lost+found"];

/// How many entries of the log are read and applied at a time.
const ENTRIES_AT_A_TIME: u64 = 128;

/// Who goes on, and with what entry.
#[derive(Clone, Debug)]
pub struct Heir {
    /// The one voter.
    pub member: Member,
    /// What the entry says that begins the new epoch.
    pub stamped: Stamped,
}

/// Why a disk does not go on.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk refused.
    #[error(transparent)]
    Storage(#[from] StorageFault),
    /// The entry would be refused, so nothing was written for it.
    #[error("the state refuses to go on: {0:?}")]
    Rejected(Rejection),
}

impl From<std::io::Error> for SuccessionError {
    fn from(error: std::io::Error) -> Self {
        let kind = crate::FaultKind::Io(error.kind());
        Self::Storage(StorageFault::new(kind, "use", "the storage", error))
    }
}

/// A backup that is being restored into an empty disk.
pub struct Restoration {
    disk: Arc<dyn Disk>,
    opened: Opened,
}

impl Restoration {
    /// Begins on a disk that is empty, or on which a restore was interrupted: what that left is removed.
    ///
    /// # Errors
    /// When there is anything else, or the disk refuses.
    pub fn begin(storage: Storage, options: Options) -> Result<Self, OpenError> {
        let disk = open::disk(storage)?;
        let interrupted = match unfinished::found(&*disk)? {
            Some(Undertaking::Restore) => true,
            Some(Undertaking::Recovery) => return Err(refused(&*disk)),
            None => false,
        };
        for name in disk.list(Path::new(""))? {
            if OF_THE_FILE_SYSTEM.contains(&&name[..]) || name == unfinished::FILE {
                continue;
            }
            if !interrupted {
                return Err(OpenError::NotEmpty {
                    path: disk.locate(Path::new("")),
                    found: name,
                });
            }
            disk.remove(Path::new(&name))?;
        }
        unfinished::begin(&*disk, Undertaking::Restore)?;
        let opened = open::open_disk(Arc::clone(&disk), options)?;
        Ok(Self { disk, opened })
    }

    /// Writes rows of the domain's.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&self, rows: &[Row]) -> Result<(), StorageFault> {
        self.opened.closer.state().put_rows(rows)
    }

    /// Reads what was written.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.opened.reader
    }

    /// Has the disk go on behind the revision up to which its rows go.
    ///
    /// # Errors
    /// When the disk refuses, or the state. The disk does not open then.
    pub async fn finish(mut self, upto: Revision, heir: Heir) -> Result<Revision, SuccessionError> {
        let went_on = go_on(&mut self.opened, upto, heir).await?;
        finish(&*self.disk, &self.opened)?;
        Ok(went_on)
    }
}

/// A disk whose cluster is gone, and that is to go on by itself.
pub struct Recovery {
    disk: Arc<dyn Disk>,
    opened: Opened,
    membership: StoredMembership,
    last: LogId,
}

impl Recovery {
    /// Looks at a disk. Nothing is changed yet.
    ///
    /// # Errors
    /// When it does not open, or has nothing to go on with.
    pub async fn open(storage: Storage, options: Options) -> Result<Self, SuccessionError> {
        let disk = open::disk(storage)?;
        if unfinished::found(&*disk)? == Some(Undertaking::Restore) {
            return Err(refused(&*disk).into());
        }
        if !engine::file_exists(&*disk, Path::new(MARK_FILE))? {
            return Err(OpenError::Nothing {
                path: disk.locate(Path::new("")),
            }
            .into());
        }
        let mut opened = open::open_disk(Arc::clone(&disk), options)?;
        let (applied, membership) = opened.machine.applied_state().await?;
        let logged = opened.log.get_log_state().await?.last_log_id;
        let Some(last) = logged.max(applied) else {
            return Err(OpenError::Nothing {
                path: disk.locate(Path::new("")),
            }
            .into());
        };
        Ok(Self {
            disk,
            opened,
            membership,
            last,
        })
    }

    /// Reads the applied state.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.opened.reader
    }

    /// The last entry that is here. Those behind the applied state may or may not have been agreed on.
    #[must_use]
    pub fn last(&self) -> Revision {
        Revision(self.last.index)
    }

    /// The members, as this disk has applied them.
    #[must_use]
    pub fn members(&self) -> Vec<NodeId> {
        self.membership.nodes().map(|(id, _)| *id).collect()
    }

    /// Applies what the log holds, and nobody is left to agree on. From here on no node starts on this disk
    /// until [`Recovery::finish`] is done.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn begin(&mut self) -> Result<(), SuccessionError> {
        unfinished::begin(&*self.disk, Undertaking::Recovery)?;
        let (applied, _) = self.opened.machine.applied_state().await?;
        let mut next = applied.map_or(0, |applied| applied.index + 1);
        let mut reader = self.opened.log.get_log_reader().await;
        while next <= self.last.index {
            let until = (next + ENTRIES_AT_A_TIME).min(self.last.index + 1);
            let entries = reader.try_get_log_entries(next..until).await?;
            if entries.is_empty() {
                break;
            }
            next += entries.len() as u64;
            apply(&mut self.opened, entries).await?;
        }
        let (_, membership) = self.opened.machine.applied_state().await?;
        self.membership = membership;
        Ok(())
    }

    /// Has the disk go on.
    ///
    /// # Errors
    /// When the disk refuses, or the state. The disk does not open then.
    pub async fn finish(mut self, heir: Heir) -> Result<Revision, SuccessionError> {
        let went_on = go_on(&mut self.opened, Revision(self.last.index), heir).await?;
        finish(&*self.disk, &self.opened)?;
        Ok(went_on)
    }

    /// Lets go of the disk, which is as it was.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn close(self) -> Result<(), StorageFault> {
        self.opened.closer.close()
    }
}

fn refused(disk: &dyn Disk) -> OpenError {
    let path = disk.locate(Path::new(unfinished::FILE));
    match unfinished::found(disk) {
        Ok(Some(undertaking)) => OpenError::Unfinished { path, undertaking },
        Ok(None) => OpenError::Nothing { path },
        Err(fault) => fault.into(),
    }
}

/// Applies the entry of the heir and one that makes it the only voter, behind all that is there.
async fn go_on(
    opened: &mut Opened,
    upto: Revision,
    heir: Heir,
) -> Result<Revision, SuccessionError> {
    let id = heir.member.id;
    let (applied, _) = opened.machine.applied_state().await?;
    let logged = opened.log.get_log_state().await?.last_log_id;
    let vote = opened.log.get_log_reader().await.read_vote().await?;
    let terms = [applied, logged].into_iter().flatten();
    let terms = terms.map(|log_id| log_id.committed_leader_id().term);
    let term = terms.chain(vote.map(|vote| vote.leader_id.term)).max();
    let leader_id = LeaderId {
        term: term.unwrap_or(0) + 1,
        node_id: id,
    };
    let first = Revision(upto.0 + 1);
    let judged = opened
        .reader
        .read(|view| machine::decide(view, &heir.stamped, first))?;
    judged.map_err(SuccessionError::Rejected)?;
    let vote = Vote {
        leader_id,
        committed: false,
    };
    opened.log.save_vote(&vote).await?;
    let nodes = BTreeMap::from([(id, heir.member)]);
    let membership = Membership::new(vec![BTreeSet::from([id])], nodes)
        .map_err(|error| StorageFault::corrupt("make a membership of", "the one voter", error))?;
    let payloads = [
        Payload::Normal(heir.stamped.into()),
        Payload::Membership(membership),
    ];
    let entries: Vec<Entry> = (first.0..)
        .zip(payloads)
        .map(|(index, payload)| Entry {
            log_id: LogId::new(leader_id, index),
            payload,
        })
        .collect();
    apply(opened, entries).await?;
    Ok(Revision(first.0 + 1))
}

/// Applies entries that fit into one write.
async fn apply(opened: &mut Opened, entries: Vec<Entry>) -> Result<(), std::io::Error> {
    let entries = entries.into_iter().map(|entry| Ok((entry, None)));
    opened.machine.apply(stream::iter(entries)).await
}

/// Everything is on the disk, and a node may start on it.
fn finish(disk: &dyn Disk, opened: &Opened) -> Result<(), StorageFault> {
    opened.closer.close()?;
    unfinished::end(disk)
}
