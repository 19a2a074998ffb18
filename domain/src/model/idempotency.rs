//! What is remembered of a request that carried an `Idempotency-Key`. The record commits in the
//! log entry of the change itself, so a retry finds it on whichever node it reaches.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::RuleId;
use crate::id::packed::{self, Packed, Read};
use crate::outcome::Reply;
use crate::time::{Revision, Timestamp};

/// How long a record is kept, in log time: 24 hours.
pub const IDEMPOTENCY_TTL_MS: u64 = 24 * 60 * 60 * 1000;

/// A client's key: a UUID v4, lower-case and hyphenated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey(pub String);

/// Marks a packed UUID: no text of a key begins with it.
const UUID_MARK: u8 = 0x01;

/// Where the hyphens of a UUID are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Packed for IdempotencyKey {
    const BYTES: usize = 17;

    fn pack(&self) -> Option<Vec<u8>> {
        let text = self.0.as_bytes();
        let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        let well_formed = text.len() == 36
            && HYPHENS.iter().all(|&place| text[place] == b'-')
            && text.iter().all(lower);
        if !well_formed {
            return None;
        }
        let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
        let mut bytes = vec![UUID_MARK];
        bytes.extend(hex::decode(digits).ok().filter(|bytes| bytes.len() == 16)?);
        Some(bytes)
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let (&UUID_MARK, bytes) = bytes.split_first()? else {
            return None;
        };
        if bytes.len() != 16 {
            return None;
        }
        let mut text = hex::encode(bytes);
        for place in HYPHENS {
            text.insert(place, '-');
        }
        Some(Self(text))
    }

    fn text(&self) -> &str {
        &self.0
    }

    fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Serialize for IdempotencyKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        packed::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for IdempotencyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Read::new().deserialize(deserializer)
    }
}

/// SHA-256 over method, path and canonical body: what must be equal for a retry to be a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

/// A finished request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// What was asked.
    pub fingerprint: Fingerprint,
    /// What was answered.
    pub reply: StoredReply,
    /// The entry that did it.
    pub revision: Revision,
    /// When the record ends.
    pub expires_at: Timestamp,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "replies are read one at a time, never kept in bulk"
)]
pub enum StoredReply {
    /// As it was given.
    Whole(Reply),
    /// A rule was made, and passed the checks. Its first version and the rule say what it was then.
    RuleCreated {
        /// Which.
        rule_id: RuleId,
    },
}
