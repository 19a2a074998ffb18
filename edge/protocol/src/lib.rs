//! The protocol between nodes and edges, without IO.
//!
//! An edge opens one bidirectional stream; both sides send [`frame`]s on it. The edge's half of
//! the conversation is [`Follower`], the node's is [`Feeder`]: both are plain state machines that
//! are given frames and the time and are asked what to send, so that tests step one against the
//! other on a virtual clock. Sockets, TLS, disks and what a configuration means are left to
//! whoever drives them.
//!
//! ```text
//! edge                                   node
//!  │ Hello {edge, environment, have} ──▶  │  is the certificate this edge's? which environment?
//!  │ ◀── Welcome {node, environment}      │
//!  │ ◀── Trust {keys}, signed             │  at once, and again whenever it changes
//!  │ ◀── Trace {manifest, traceparent}    │  before a manifest, where somebody records how it spreads
//!  │ ◀── Manifest {epoch, version, root}, signed   likewise
//!  │ Report Received ──▶                  │
//!  │ Want {hashes} | WantPatches ──▶      │  walks down from the root, asks for what it lacks
//!  │ ◀── Chunks {bytes} | Gone {hashes}   │
//!  │ ◀── Patches {over what it has}       │
//!  │ Report Verified ──▶                  │  every chunk has the hash that it was asked by
//!  │ Report Applied | Rejected ──▶        │
//!  │ Telemetry {counts} ──▶               │  now and then, if the welcome said that it is taken
//!  │ ◀── Ping · Pong ──▶                  │  each side notices when the other is stuck
//! ```
//!
//! On a second stream an edge asks for what must not be in chunks: see [`certificates`]. How it comes by its own
//! certificate is another conversation: see [`enrolment`].
#![forbid(unsafe_code)]

pub mod backoff;
pub mod certificates;
pub mod enrolment;
pub mod feeder;
pub mod follower;
pub mod frame;
mod health;
pub mod limits;
pub mod manifest;
pub mod message;
pub mod moment;
pub mod patch;
pub mod signing;
pub mod telemetry;

pub use feeder::Feeder;
pub use follower::Follower;
pub use health::{HealthReport, OutCause, TargetOut};
pub use manifest::ManifestRef;
pub use message::{
    Hello, Refusal, Report, ReportState, ToEdge, ToNode, Traced, TrustReport, Welcome,
};
pub use moment::Moment;
pub use patch::{Patch, Wanted};
pub use signing::{Offer, SignedManifest, SignedTrust};

/// The version of the conversation that this software speaks. ALPN carries the incompatible
/// part (`vg-edge/2`); this one is for what may be added within it.
pub const PROTOCOL: u16 = 3;

/// The oldest version of the conversation that a node still takes.
pub const PROTOCOL_MIN: u16 = 1;

/// The version since which nodes take [`ToNode::Telemetry`]; others are sent none.
pub const TELEMETRY_SINCE: u16 = 2;

/// The version since which nodes take [`ToNode::Trust`]; others are sent none.
pub const TRUST_REPORTS_SINCE: u16 = 3;

/// The version since which chunks travel as [`Patch`]es over others, too.
pub const PATCHES_SINCE: u16 = 2;

/// The version since which edges take [`ToEdge::Trace`]; others are sent none.
pub const TRACES_SINCE: u16 = 3;
