//! The benchmarks, one file each.

pub mod api;
pub mod compare;
pub mod edge;
pub mod failover;
pub mod matching;
pub mod objects;
pub mod propagation;
pub mod reads;
pub mod scale;
pub mod signatures;
pub mod trust;
pub mod writes;

/// Runs what blocks (starting processes, waiting for them) from asynchronous code.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
