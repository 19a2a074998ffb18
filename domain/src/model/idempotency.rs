//! What is remembered of a request that carried an `Idempotency-Key`. The record commits in the
//! log entry of the change itself, so a retry finds it on whichever node it reaches.

use serde::{Deserialize, Serialize};

use crate::outcome::Reply;
use crate::time::{Revision, Timestamp};

/// How long a record is kept, in log time: 24 hours.
pub const IDEMPOTENCY_TTL_MS: u64 = 24 * 60 * 60 * 1000;

/// A client's key: a UUID v4, lower-case and hyphenated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdempotencyKey(pub String);

/// SHA-256 over method, path and canonical body: what must be equal for a retry to be a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

/// A finished request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// What was asked.
    pub fingerprint: Fingerprint,
    /// What was answered.
    pub reply: Reply,
    /// The entry that did it.
    pub revision: Revision,
    /// When the record ends.
    pub expires_at: Timestamp,
}
