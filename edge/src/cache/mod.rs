//! The shared HTTP cache (RFC 9111): which of the origins' answers are kept, for which requests they
//! serve, and where they are meanwhile.
//!
//! The policy is pure, with the time passed in: [`directives`], [`asked`], [`freshness`],
//! [`storing`], [`conditional`], [`range`], [`vary`], [`key`]. The store is memory that all serving
//! threads share: [`store`] of shards with a [`queue`] each, [`body`] for bodies that grow while they
//! are read, [`flight`] so that many who want the same ask once, [`marks`] so that nobody waits for
//! what is not kept. Asking the origin and sending the answer is the proxy's matter.
//!
//! Not here: partial answers are not kept, and a part that is not in the cache is the origin's to
//! give; nothing is kept on disk.

pub mod asked;
pub mod body;
mod changes;
pub mod conditional;
mod counts;
pub mod date;
pub mod directives;
pub mod fill;
pub mod flight;
pub mod freshness;
pub mod key;
pub mod marks;
mod purging;
pub mod queue;
pub mod range;
mod shard;
pub mod store;
pub mod stored;
pub mod storing;
#[cfg(test)]
pub(crate) mod testing;
pub mod vary;

pub use counts::{Counts, Outcome, Report};
pub use purging::purge;
pub use store::{Cache, Usage};
