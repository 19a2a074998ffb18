//! How full the disks are, and what follows: words at 70, 85 and 95 %, and where voters' disks are full and those with
//! room are no majority, nothing more is taken that grows, while whatever makes room, takes back or keeps safe goes on.
//!
//! ```text
//! level    from a percentage to a step, with room between up and down: pure
//! gate     at the leader: whether a command is taken
//! watch    looks at this node's disk, and the leader at all voters'
//! metrics  for Prometheus
//! ```
//!
//! The leader alone decides, before it appends: the state machine knows nothing of disks, so all replicas judge alike, and so
//! does a follower, which is told what the leader said. A command that is refused is known not to be applied.

mod gate;
mod level;
mod metrics;
mod watch;

pub(crate) use gate::Gate;
pub(crate) use metrics::FullnessMetrics;
pub(crate) use watch::{Watch, run};
