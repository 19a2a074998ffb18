//! What the rest of the node sees of consensus: propose a command, read at a revision, ask peers.
//!
//! REST, the publisher and bootstrap code against [`ControlPlane`], which the real `Consensus`
//! implements and tests replace by one process in memory. How entries are replicated,
//! forwarded and classified is `consensus`' own matter.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use domain::command::Stamped;
use domain::outcome::Applied;
use domain::rows::View;
use domain::time::Revision;
use tokio::sync::watch;

pub use raft_store::types::Member;

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A node's number. Stable for the life of a disk.
pub type MemberId = u64;

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// It sees every write that was acknowledged before the read began.
    #[default]
    Linearizable,
    /// It sees whatever this node has applied.
    Stale,
}

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was **not** applied and never will be: asking again is safe.
    #[error("the cluster cannot take the command now: {reason}")]
    Unavailable {
        /// When to ask again.
        retry_after_s: u64,
        /// For people.
        reason: String,
    },
    /// It was **not** applied: it adds something, and too many voters' disks are full. What takes away goes on.
    #[error("the cluster takes nothing that grows now: {reason}")]
    StorageFull {
        /// For people.
        reason: String,
    },
    /// Nobody knows whether it was applied. Asking again is safe only with the same idempotency
    /// key.
    #[error("whether the command took effect is not known: {reason}")]
    OutcomeUnknown {
        /// For people.
        reason: String,
    },
}

/// Why a read has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader that a quorum follows answered in time.
    #[error("the cluster cannot answer a linearizable read now: {reason}")]
    Unavailable {
        /// When to ask again.
        retry_after_s: u64,
        /// For people.
        reason: String,
    },
    /// The local storage failed; the process is about to end.
    #[error("the local storage failed")]
    Storage,
}

/// Why a peer gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It is no member.
    #[error("node {0} is not a member")]
    Unknown(MemberId),
    /// It did not answer in time, or refused.
    #[error("node {id} did not answer: {reason}")]
    Silent {
        /// Which.
        id: MemberId,
        /// For people.
        reason: String,
    },
}

/// After how long without contact a node is not ready: three of the questions that a node asks a
/// second apart when nobody else does.
const CONTACT_AGE_MAX: Duration = Duration::from_secs(3);

/// How this node stands, for `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The leader that this node follows or is, if it knows one.
    pub leader: Option<MemberId>,
    /// Whether it is this node.
    pub leading: bool,
    /// The Raft term.
    pub term: u64,
    /// What this node has applied.
    pub applied: Revision,
    /// What this node knows to be committed.
    pub committed: Revision,
    /// How long ago this node was last sure of being up to date with a leader; `None` if never.
    pub last_contact: Option<Duration>,
    /// Whether it is shutting down.
    pub draining: bool,
}

impl Readiness {
    /// Whether writes and linearizable reads may be sent here. A leader that has lost its quorum
    /// still takes itself for one, so it has to have heard from that quorum lately.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let in_contact = self.last_contact.is_some_and(|ago| ago < CONTACT_AGE_MAX);
        self.leader.is_some() && in_contact && !self.draining
    }
}

/// A reader of one consistent view; see [`ControlPlane::with_view`].
pub type ViewVisitor<'a> = &'a mut dyn FnMut(&dyn View);

/// The replicated state machine as the rest of the node uses it.
pub trait ControlPlane: Send + Sync + 'static {
    /// Has the cluster apply `stamped`. On success this node has applied it as well, so what it
    /// reads next contains it. A rejection is a success (`Applied::reply`). Answers within
    /// [`PROPOSE_DEADLINE`].
    ///
    /// # Errors
    /// [`ProposeError`] says whether it may have been applied.
    fn propose(&self, stamped: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>>;

    /// Waits until a local read is as fresh as asked. The revision is one that this node has
    /// applied. Answers within [`READ_DEADLINE`].
    ///
    /// # Errors
    /// When that cannot be had.
    fn barrier(&self, consistency: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>>;

    /// Shows the local state to `visit`, once, on one consistent view, and says at which revision
    /// that view was. It blocks the calling thread for the time of the look-ups: keep it to pages.
    ///
    /// # Errors
    /// When the storage failed; what `visit` saw must then not be used.
    fn with_view(&self, visit: ViewVisitor<'_>) -> Result<Revision, ReadError>;

    /// The last revision that may have changed a row that decides about access
    /// ([`domain::schema::decides_access`]). What was read of such rows after asking stays true as
    /// long as this stays the same.
    fn access_changed(&self) -> Revision;

    /// The members of the cluster, by id.
    fn members(&self) -> Vec<Member>;

    /// This node.
    fn this(&self) -> Member;

    /// Whether this node has applied a membership that it is part of: before that its state is no
    /// answer to anything, not even a stale one.
    fn has_joined(&self) -> bool {
        true
    }

    /// The leader, as far as this node knows.
    fn leader(&self) -> Option<MemberId>;

    /// What this node has applied, as it moves on. It never goes back.
    fn changes(&self) -> watch::Receiver<Revision>;

    /// How this node stands.
    fn readiness(&self) -> Readiness;
}

impl dyn ControlPlane {
    /// Runs `read` on a view that is as fresh as asked, and says at which revision it was.
    ///
    /// # Errors
    /// When that freshness cannot be had, or the storage failed.
    pub async fn read<T: Send>(
        &self,
        consistency: Consistency,
        read: impl FnOnce(&dyn View) -> T + Send,
    ) -> Result<(T, Revision), ReadError> {
        self.barrier(consistency).await?;
        self.read_local(read)
    }

    /// Runs `read` on what this node has applied now.
    ///
    /// # Errors
    /// When the storage failed.
    pub fn read_local<T>(
        &self,
        read: impl FnOnce(&dyn View) -> T,
    ) -> Result<(T, Revision), ReadError> {
        let mut read = Some(read);
        let mut found = None;
        let revision = self.with_view(&mut |view| {
            if let Some(read) = read.take() {
                found = Some(read(view));
            }
        })?;
        found
            .map(|value| (value, revision))
            .ok_or(ReadError::Storage)
    }
}

/// By when a proposal is answered: applied, known not applied, or unknown.
pub const PROPOSE_DEADLINE: Duration = Duration::from_secs(10);

/// By when a read is answered: a node without a quorum has to say so within two seconds.
pub const READ_DEADLINE: Duration = Duration::from_millis(1_800);

/// Asks other nodes about what only they know: the edges connected to them. The bytes are the
/// fleet's own; this carries them.
pub trait PeerFleet: Send + Sync + 'static {
    /// Sends `query` to the member's [`LocalFleet`]. At most [`FLEET_MESSAGE_BYTES_MAX`] each way.
    ///
    /// # Errors
    /// When it does not answer in time.
    fn ask(&self, member: MemberId, query: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, PeerError>>;
}

/// Answers other nodes about the edges connected to this one.
pub trait LocalFleet: Send + Sync + 'static {
    /// The answer to `query`; garbage gets `None`. It may take its time, but less than a peer waits.
    fn answer<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, Option<Vec<u8>>>;
}

/// A question about the fleet or its answer: 10 000 edges with 300 bytes each are 3 MB.
pub const FLEET_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks other nodes about rate limits. The bytes are the limits' own; this carries them.
pub trait PeerLimits: Send + Sync + 'static {
    /// Sends `query` to the member's [`LocalLimits`]. There is no deadline: whoever asks has one.
    ///
    /// # Errors
    /// When it cannot be reached, or does not understand.
    fn ask_limits(
        &self,
        member: MemberId,
        query: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, PeerError>>;
}

/// Answers other nodes about the rate limits that this one keeps count of.
pub trait LocalLimits: Send + Sync + 'static {
    /// The answer to `query`; garbage gets `None`.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>>;
}
