//! The corruption check: members compare the hashes of their states at positions that the log names, and whoever
//! has another state than a majority takes itself out of service.
//!
//! ```text
//! marks     the leader writes a blank entry now and then: the position; raft-store hashes the state there, in the background
//! round     each member asks the others for their hashes at that position, and judges for itself
//! compare   who is equal, who is different, of whom nothing is known: pure
//! board     what was found so far, for operators; metrics: for Prometheus
//! ```
//!
//! Nobody can tell another member to go: a member leaves because it has seen itself that a majority of the voters has one
//! state and it has another. Those who agree are a majority, so that what leaves never takes the quorum with it; where no majority
//! agrees, all are named and nobody leaves. A member that does not say is *unknown*, which is not *equal*, and is shown.
//!
//! Members of releases that know nothing of this apply the blank entries as they always have, and are unknown.

mod board;
mod compare;
mod marks;
mod metrics;
mod round;

pub(crate) use board::Board;
pub use board::StateCheck;
pub(crate) use marks::run as run_marks;
pub(crate) use metrics::CheckMetrics;
pub(crate) use round::{Checker, Parts};
