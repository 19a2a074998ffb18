//! How entries of the audit log hang together: each names the hash of the one before it, so that
//! none can be changed, left out or moved without the next one showing it. What is hashed is
//! [`crate::audit`]'s matter.

use serde::{Deserialize, Serialize};

use crate::tree::Hash;

/// An entry of an environment's audit log: its number, counted from 1, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPoint {
    /// Its number.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

impl AuditPoint {
    /// Before the first entry: the SHA-256 of `vectorgate audit chain v1`.
    pub const START: Self = Self {
        index: 0,
        hash: Hash([
            0x25, 0x74, 0x7e, 0x74, 0x52, 0x9d, 0xc7, 0xbf, 0xb8, 0x3d, 0x0a, 0x04, 0xfc, 0xad,
            0x0a, 0x8e, 0xe4, 0x65, 0xd2, 0xc1, 0xff, 0x33, 0x20, 0x1f, 0xae, 0x6c, 0x63, 0x3a,
            0x73, 0x36, 0x74, 0x9a,
        ]),
    };
}

/// How an entry hangs on the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLink {
    /// The hash of the entry before it.
    pub previous: Hash,
    /// The entry itself.
    pub point: AuditPoint,
}

/// An environment's audit log from its oldest entry that is kept to its newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChain {
    /// The entry behind which the kept ones begin.
    pub base: AuditPoint,
    /// The newest entry.
    pub head: AuditPoint,
}

impl AuditChain {
    /// Before the first entry.
    pub const START: Self = Self {
        base: AuditPoint::START,
        head: AuditPoint::START,
    };
}
