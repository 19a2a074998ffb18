//! Where chunks come from.

use std::collections::BTreeMap;

use super::Hash;

/// A place that has chunks by their address. It is asked only for chunks that a tree needs;
/// what it gives is checked against the address.
pub trait ChunkSource {
    /// The bytes of a chunk, if it is here.
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

/// Two sources as one: chunks just made, over those that are stored.
#[derive(Clone, Copy, Debug)]
pub struct Layered<A, B>(pub A, pub B);

impl<A: ChunkSource, B: ChunkSource> ChunkSource for Layered<A, B> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.0.chunk(hash).or_else(|| self.1.chunk(hash))
    }
}
