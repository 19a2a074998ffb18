//! Who is a member of the cluster, and how that changes: operators' wishes, judged on what the leader
//! sees and done by it, one at a time.
//!
//! ```text
//! request      what may be asked and what is told
//! desk         takes it on any node and passes it on to the leader
//! steward      the leader: confirms that it leads, plans, writes down, does
//! plan         from a wish to a step, or the reason why not; view: on what that is judged
//! newcomer     a node that is to join is asked who it is, and admitted
//! handover     leadership goes to another voter; preference: when, by itself
//! errand       what was left half done is finished by whoever leads
//! signing      the keys that sign what edges follow
//! custody      under which key secrets are sealed, and that all of them are
//! peppers      under which pepper keys are hashed
//! own          what a node finds out about itself: that it has joined, that it was removed
//! status       how the cluster stands, in words
//! command      the subcommands
//! ```
//!
//! The membership itself is openraft's, replicated in the log with each member's addresses and region.
//! The settings name members only for the first formation. What outlives a membership is the
//! domain's: numbers that are used up, the preferred region, and the record of what was asked.

pub mod command;
mod condition;
mod custody;
mod desk;
mod errand;
mod handover;
mod newcomer;
mod own;
mod peppers;
mod plan;
mod preference;
mod refusal;
mod request;
mod signing;
mod status;
mod steward;
mod view;

pub use super::check::StateCheck;
pub use condition::{Condition, Disk};
pub(crate) use condition::{DiskGauge, Surroundings, gauge_of};
pub(super) use custody::run as run_custody;
pub(super) use desk::Desk;
pub(super) use errand::run as run_errands;
pub(super) use own::{watch_joining, watch_removal};
pub use request::{
    Asker, ChangeRecord, ClusterError, ClusterReply, ClusterRequest, ClusterStatus, Done,
    MemberKeys, MemberStatus, NewMember, PepperStatus, PepperedKeys, Role, SealedSecrets,
    SecretsStatus,
};
pub(super) use steward::{Parts, Steward};
