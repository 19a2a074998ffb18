//! A node's storage under openraft: the log, the applied state and its checkpoints, over a small
//! storage-engine port with two engines.
//!
//! ```text
//! data directory
//!   hwm              how far the log was synced (log::mark)
//!   admitted         that a cluster knows this disk (admission)
//!   quarantined      that what is here is not what the cluster agreed on (quarantine)
//!   unfinished       that a restore or a recovery was interrupted here
//!   log/             entries and the vote (log)
//!   state/           the domain's rows, in generations (state)
//!   checkpoints/     Raft's snapshots (checkpoint)
//! ```
//!
//! [`open()`] checks all of it against each other and hands out what consensus and readers need.
//! What a command does is `domain`'s matter, who may propose one is `node`'s, and how a checkpoint
//! travels is `node`'s too.
//!
//! Three rules hold everywhere: nothing is acknowledged before it is synced; after the first fault
//! of the disk nothing is acknowledged at all ([`fault`]); and storage that holds less than was
//! once acknowledged does not open.
#![forbid(unsafe_code)]

pub mod admission;
pub mod checkpoint;
pub mod codec;
mod engine;
pub mod fault;
pub mod log;
pub mod open;
pub mod proposal;
mod quarantine;
pub mod runtime;
pub mod state;
pub mod succession;
pub mod types;
mod unfinished;

pub use admission::Admission;
pub use checkpoint::{
    Checkpoint, CheckpointManifest, CheckpointReceiver, Checkpoints, ReceiveError,
};
pub use engine::sim::{FaultsStruck, SimDisk, Torn};
pub use engine::{SYNC_BOUNDS_US, Standing, Statistics};
pub use fault::{Fatal, FaultKind, StorageFault};
pub use log::{LogReader, LogStore};
pub use open::{Closer, OpenError, Opened, Options, Storage, StorageStatistics, open};
pub use proposal::Proposal;
pub use quarantine::Quarantine;
pub use runtime::Runtime;
pub use state::{Expected, Outcomes, Progress, Reader, StateHash, StateHashes, StateMachine};
pub use succession::{Heir, Recovery, Restoration, SuccessionError};
pub use types::{
    Entry, LeaderId, LogId, Member, Membership, NodeId, Payload, Raft, Response, Snapshot,
    SnapshotMeta, StoredMembership, TypeConfig, Vote,
};
pub use unfinished::Undertaking;
