//! The pure core of VectorGate: what may change, what a change does, and what a published
//! configuration is. It has no async code, clock, randomness, IO or storage engine; those
//! belong to `platform`, `raft-store`, `node` and `edge`.
//!
//! Three calls carry everything: [`machine::step`] applies one command to the rows,
//! [`query`] reads them, and [`tree`] turns a route's rules into content-addressed chunks.
#![forbid(unsafe_code)]

mod answers;
pub mod audit;
pub mod command;
pub mod content;
mod decide;
pub mod event;
mod evolve;
pub mod id;
pub mod invariants;
mod journal;
pub mod machine;
pub mod matching;
pub mod model;
pub mod outcome;
pub mod query;
pub mod rejection;
mod retention;
pub mod rows;
pub mod schema;
pub mod table;
pub mod time;
pub mod tree;

/// Limits that commands are held to and that clients are told.
pub mod limits {
    pub use crate::decide::{
        BATCH_MAX, CERTIFICATE_NAMES_MAX, CERTIFICATES_MAX, CHAIN_BYTES_MAX, COMMENT_CHARS_MAX,
        EDGE_LABEL_BYTES_MAX, EDGE_LABELS_MAX, EDGE_NAME_BYTES_MAX, EDGE_RECORDS_MAX,
        EDGE_TOKENS_MAX, EDGES_FORGOTTEN_MAX, ENDPOINTS_MAX, ENVIRONMENT_NAME_CHARS_MAX,
        EXPIRIES_MAX, IP_RANGES_MAX, KEY_MOVES_MAX, METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX,
        METADATA_VALUE_CHARS_MAX, NAME_CHARS_MAX, OUTAGES_MAX, REORDERED_MAX, REWRAPS_MAX,
        RULES_PER_ROUTE_MAX, SHIFT_INTERVAL_S_MAX, SHIFT_INTERVAL_S_MIN, SHIFT_REQUESTS_MAX,
        SHIFT_ROUTES_MAX, SHIFT_STEPS_MAX, SHIFTS_MAX, TARGETS_MAX,
    };
    pub use crate::model::{PURGED_URL_BYTES_MAX, PURGED_URLS_MAX};
}
