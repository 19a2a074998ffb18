//! Which targets are fit to take requests: what checks say, what requests tell, and how a target
//! that comes back is spared at first.
//!
//! ```text
//!   serving threads                        the edge's own task
//!   pick: reads shares  ◀── TargetHealth ◀── Keeper (pure) ◀── results ── probes
//!   outcomes: count ──────▶  (atomics)   ──▶ suspects                       │
//!                                              │          Network ◀─────────┘
//! ```
//!
//! [`TargetHealth`] is all that serving threads see, and it consists of atomics. It is found by
//! the target's identity, so that what is known of a target outlives configurations. The
//! [`Keeper`] decides; it never asks for the time. Checks run once for each target of the process,
//! not for each thread. How a target is chosen by all this is [`crate::route`]'s matter.

mod check;
mod ejection;
mod keeper;
mod probe;
mod registry;
mod slow_start;
mod target;
mod task;

pub use check::{CheckState, Thresholds};
pub use ejection::EjectionState;
pub use keeper::{Due, Keeper, Out, Plan, Watched};
pub use probe::Probe;
pub use registry::{HealthCounts, Registry};
pub use slow_start::SlowStart;
pub use target::{GroupHealth, Identity, LANES, Occupancy, TargetHealth};
pub(crate) use task::watch;
