//! The node's half of a backup: tells all rows as they are at one revision, which is at least as new as all
//! that was acknowledged before it was asked, and signs what it told. Writes go on meanwhile; the database
//! keeps the rows as they were for as long as somebody is being told of them.

use std::sync::Arc;

use bytes::Bytes;
use domain::model::Signing;
use domain::query;
use platform::Clock;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::rows::{self, Told};
use super::statement::{SignedStatement, Statement};
use crate::control_plane::{Consistency, ControlPlane};
use crate::keys::KeyRing;
use crate::signing::{self, SigningError};

/// About how many bytes of rows are told at a time: big enough that the cost of a message vanishes, small beside
/// what a connection may have under way.
const PIECE_BYTES: usize = 256 * 1024;

/// How many bytes of a piece go into one message at most: a piece ends with a whole row, and one row may be longer
/// than what a message takes.
const MESSAGE_BYTES: usize = 1 << 20;

/// How many pieces are read ahead of whoever is told: 1 MiB.
const PIECES_AHEAD: usize = 4;

/// How long whoever is told may take for a piece before nothing more is told.
const STALL_DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// How many are told at a time: each holds on to rows that compaction would otherwise remove.
const AT_A_TIME: usize = 1;

/// What is told, in this order.
pub(crate) enum Part {
    /// The next bytes of the rows.
    Rows(Bytes),
    /// What the node says of all of them; the last part.
    Statement(Box<SignedStatement>),
}

/// Why nothing more is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// Somebody else is being told.
    #[error("a backup is being made with this node already")]
    Busy,
    /// There is nothing that could be restored.
    #[error("the cluster has no workspace yet, so there is nothing to back up")]
    Nothing,
    /// The node does not know what was acknowledged.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing can be signed.
    #[error(transparent)]
    Unsigned(#[from] SigningError),
    /// The disk failed.
    #[error("the node's storage has failed")]
    Storage,
    /// Whoever is told takes nothing.
    #[error("what was told was not taken in time")]
    Stalled,
}

/// Tells rows. Cloning shares how many are told at a time.
#[derive(Clone)]
pub(crate) struct Source {
    control: Arc<dyn ControlPlane>,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    room: Arc<Semaphore>,
}

pub(crate) type Parts = mpsc::Receiver<Result<Part, SourceError>>;

impl Source {
    pub(crate) fn new(
        control: Arc<dyn ControlPlane>,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            control,
            keys,
            clock,
            room: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Begins to tell.
    pub(crate) async fn tell(&self) -> Result<Parts, SourceError> {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|_| SourceError::Busy)?;
        let barrier = self.control.barrier(Consistency::Linearizable).await;
        barrier.map_err(|error| SourceError::Unavailable(error.to_string()))?;
        let (parts, told) = mpsc::channel(PIECES_AHEAD);
        let this = self.clone();
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || this.tell_all(&handle, &parts, room));
        Ok(told)
    }

    fn tell_all(
        &self,
        handle: &Handle,
        parts: &mpsc::Sender<Result<Part, SourceError>>,
        _room: OwnedSemaphorePermit,
    ) {
        let put = |part| {
            let sending = tokio::time::timeout(STALL_DEADLINE, parts.send(part));
            matches!(handle.block_on(sending), Ok(Ok(())))
        };
        let at = self.clock.now();
        let mut told = Err(SourceError::Stalled);
        let revision = self.control.with_view(&mut |view| {
            let Some(signing) = query::signing(view) else {
                told = Err(SourceError::Nothing);
                return;
            };
            let tell = |piece: Vec<u8>| {
                let piece = Bytes::from(piece);
                let mut cuts = (0..piece.len()).step_by(MESSAGE_BYTES);
                cuts.all(|from| {
                    let until = piece.len().min(from + MESSAGE_BYTES);
                    put(Ok(Part::Rows(piece.slice(from..until))))
                })
            };
            if let Some(all) = rows::tell(view, PIECE_BYTES, tell) {
                told = Ok((signing, all));
            }
        });
        let last = match (revision, told) {
            (Err(_), _) => Err(SourceError::Storage),
            (Ok(_), Err(error)) => Err(error),
            (Ok(revision), Ok((signing, told))) => self
                .said(&signing, revision.0, at.0, told)
                .map(Part::Statement),
        };
        if let Err(error) = &last {
            tracing::warn!(%error, "a backup was not told to its end");
        }
        // Whoever has gone needs no answer.
        let _ = put(last);
    }

    fn said(
        &self,
        signing: &Signing,
        revision: u64,
        taken_at_ms: u64,
        told: Told,
    ) -> Result<Box<SignedStatement>, SourceError> {
        let key = signing::open(&self.keys, signing)?;
        let statement = Statement {
            cluster_id: signing.cluster_id.to_string(),
            epoch: signing.epoch.0,
            revision,
            taken_at_ms,
            node: self.control.this().id,
            rows: told.rows,
            bytes: told.bytes,
            state_sha256: hex::encode(told.state),
        };
        Ok(Box::new(statement.sign(&key)))
    }
}
