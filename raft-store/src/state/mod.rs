//! The applied state: the domain's rows, with the last applied log id and the membership beside
//! them, in one database that an installed checkpoint replaces as a whole.
//!
//! ```text
//! state/CURRENT           the generation in use, as text; replaced by rename
//! state/<generation>/     00 61    the last applied log id
//!                         00 66    format version
//!                         00 6d    the membership
//!                         01 ..    the domain's rows
//! ```
//!
//! At blank entries the state can be hashed (`hashes`).
//!
//! One apply batch is one atomic write, the last applied log id included. It is not synced: after
//! a crash the state is a prefix of what it was, and the log replays the rest. The log may only be
//! purged up to a checkpoint, and making one syncs the state first, so what is purged is never
//! needed again.

mod generation;
mod hashes;
mod hot;
mod keys;
mod machine;
mod outcomes;
mod reader;
mod shared;
mod view;

pub(crate) use generation::{STATE_DIR, open};
pub use hashes::{Progress, StateHash, StateHashes};
pub use machine::StateMachine;
pub use outcomes::{Expected, Outcomes};
pub use reader::Reader;
pub(crate) use shared::StateShared;
