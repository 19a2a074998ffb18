//! Merkle search trees of content-addressed chunks: how rules are frozen into snapshots and
//! routes into manifests, so that publishing, comparing and shipping cost what changed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The SHA-256 of a chunk's bytes: its address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Stands for a tree without items, which has no chunk.
    pub const EMPTY_TREE: Self = Self([0; 32]);
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

/// Where chunks are read from. What it gives is not trusted: whoever decodes a chunk checks it.
pub trait ChunkSource {
    /// The bytes of a chunk, if they are here.
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>>;
}

impl ChunkSource for BTreeMap<Hash, Vec<u8>> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.get(hash).cloned()
    }
}

impl<T: ChunkSource + ?Sized> ChunkSource for &T {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        (**self).chunk(hash)
    }
}
