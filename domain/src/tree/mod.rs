//! Prolly trees: ordered lists of (key, value) items, cut into chunks by content and addressed by
//! SHA-256. They freeze rules into snapshots and routes into manifests, so that publishing,
//! comparing and shipping cost what changed.
//!
//! ```text
//! level 2   root                        [ k·hash·count | z·hash·count ]
//!                                              |               |
//! level 1   inner        [ c·… | f·… | k·… ]          [ p·… | z·… ]
//!                          |     |     |                |     |
//! level 0   leaves      a b c   d e f  g … k          l … p   q … z        (key, value) each
//! ```
//!
//! - An inner item is the last key below it, the child's hash and the number of items below it.
//! - Where a chunk ends is decided by the keys in it (and its size), never by how it came about:
//!   see [`boundary`]. So the same items give the same root, whatever the order of the edits.
//! - The root is the only chunk of its level; a tree without items has no chunk at all and the
//!   root [`Hash::EMPTY_TREE`].
//! - [`edit`] cuts anew from the chunk in which a change lies until an end coincides with an old
//!   one, on every level; [`diff`] steps over what has the same hash on both sides.
//!
//! Where chunks are kept is the caller's matter ([`ChunkSource`]); what the items mean is
//! [`crate::content`]'s. Only [`children`] knows a little of both, for those who collect or ship
//! chunks.

pub mod boundary;
mod children;
mod chunk;
mod diff;
mod edit;
mod read;
mod source;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use children::children;
pub(crate) use chunk::HEAD_HEADER;
pub use chunk::{CHUNK_BYTES_MAX, Item, TreeKind};
pub use diff::{Change, diff};
pub use edit::{Edited, Edits, edit};
pub use read::{Items, first_from, get, iter};
pub use source::{ChunkSource, Layered};

/// The longest key: sixteen times what the longest of ours has, and short enough that inner
/// chunks stay small.
pub const KEY_BYTES_MAX: usize = 1024;

/// The largest item, key and value together: what the largest rule that the API takes can come
/// to, with room left in the chunk that ends with it.
pub const ITEM_BYTES_MAX: usize = 220 * 1024;

/// The SHA-256 of a chunk's bytes: its address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Stands for a tree without items, which has no chunk.
    pub const EMPTY_TREE: Self = Self([0; 32]);

    /// The address of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Chunks by address.
pub type Chunks = BTreeMap<Hash, Vec<u8>>;

/// Why a tree could not be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The source does not have a chunk that the tree needs.
    #[error("chunk {0} is missing")]
    Missing(Hash),
    /// A chunk is not what its address, its parent or the format says.
    #[error("chunk {hash} is corrupt: {fault}")]
    Corrupt {
        /// Its address.
        hash: Hash,
        /// What is wrong with it.
        fault: ChunkFault,
    },
    /// An edit has a key over [`KEY_BYTES_MAX`] or an item over [`ITEM_BYTES_MAX`] or an empty key.
    #[error(
        "an item with a key of {key_bytes} bytes and a value of {value_bytes} bytes is outside the limits"
    )]
    ItemSize {
        /// The key's length.
        key_bytes: usize,
        /// The value's length.
        value_bytes: usize,
    },
}

/// What is wrong with a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// Its bytes have another hash.
    #[error("its bytes have another hash")]
    Address,
    /// It is longer than [`CHUNK_BYTES_MAX`].
    #[error("it has {0} bytes")]
    TooLong(usize),
    /// Its first byte is not a version this software knows.
    #[error("its format version is unknown")]
    Version,
    /// It belongs to a tree of another kind.
    #[error("it is of another kind")]
    Kind,
    /// Its level is above what any tree has, or not the one that its parent implies.
    #[error("its level is wrong")]
    Level,
    /// It does not parse.
    #[error("it does not parse")]
    Malformed,
    /// It parses, but the same content has other bytes.
    #[error("its encoding is not canonical")]
    NotCanonical,
    /// It has no items, or more than a chunk may have, or items outside the limits.
    #[error("its items are outside the limits")]
    Limits,
    /// Its keys do not strictly ascend, or overlap with those of a neighbour.
    #[error("its keys are out of order")]
    Order,
    /// Its last key or item count is not what its parent says.
    #[error("it is not what its parent says")]
    Parent,
    /// A value in it is not what the kind of tree holds.
    #[error("an item's content is invalid: {0}")]
    Content(String),
}

impl ChunkFault {
    pub(crate) fn of(self, hash: Hash) -> TreeError {
        TreeError::Corrupt { hash, fault: self }
    }
}
