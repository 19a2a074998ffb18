//! The Raft log: entries, the vote, and how far the log was purged, in one database, with the
//! high-water mark in a file beside it.
//!
//! ```text
//! log/      00 66            format version
//!           00 70            the last purged log id
//!           00 76            the vote
//!           01 <u64 BE>      the entry with this index
//! hwm       two slots: last synced log id, vote, committed log id        (see `mark`)
//! ```
//!
//! Entries sort behind the other rows, so that a file of entries never overlaps another one and
//! RocksDB moves files instead of merging them. The committed log id changes with each apply and
//! is only a help after a power cut; it lives in the mark for that reason.
//!
//! # What is durable when
//! | | written | durable |
//! |---|---|---|
//! | append | before `append` returns | before its callback, together with whatever waits by then |
//! | vote | | before `save_vote` returns |
//! | truncation | after the mark was lowered and synced | before `truncate_after` returns |
//! | purge | before `purge` returns | with the next sync; if it is lost, entries come back that nobody needs |
//! | committed | at the latest a second later | at the latest a second later |
//!
//! A truncation is synced because installing a checkpoint, which is synced too, may follow it: a
//! conflicting tail that came back beside the installed state would contradict it.

mod cache;
mod keys;
mod mark;
mod reader;
mod recovery;
mod store;
mod syncer;

pub(crate) use mark::{MARK_FILE, Mark};
pub use reader::LogReader;
pub(crate) use recovery::{LOG_DIR, recover};
pub(crate) use store::LogShared;
pub use store::LogStore;
