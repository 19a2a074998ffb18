//! Chunks for edges, from this node's applied state, through a cache: after a publish every edge
//! asks for the same few.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use domain::query;
use domain::tree::Hash;
use edge_protocol::feeder::ChunkReader;
use parking_lot::Mutex;

use crate::control_plane::ControlPlane;

/// Bytes of chunks that are kept: the publishes of the last while, or most of what an edge that
/// starts empty fetches.
const CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Chunks read from the state on one view; beyond this the rest of a frame is read on the next.
const READ_CHUNKS_MAX: usize = 64;

/// Where chunks are. Cloning shares the cache.
#[derive(Clone)]
pub(super) struct Shelf {
    control: Arc<dyn ControlPlane>,
    cache: Arc<Mutex<Cache>>,
}

#[derive(Debug, Default)]
struct Cache {
    chunks: BTreeMap<Hash, Bytes>,
    /// In the order in which they came; the oldest goes first.
    order: VecDeque<Hash>,
    bytes: usize,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl Shelf {
    pub(super) fn new(control: Arc<dyn ControlPlane>) -> Self {
        Self {
            control,
            cache: Arc::default(),
        }
    }

    fn cached(&self, hashes: &[Hash], bytes_max: usize) -> Vec<Option<Bytes>> {
        let cache = self.cache.lock();
        fill(
            bytes_max,
            hashes
                .iter()
                .map_while(|hash| cache.chunks.get(hash).map(|chunk| Some(chunk.clone()))),
        )
    }

    /// On a storage fault nothing is found; the process is about to end then.
    fn stored(&self, hashes: &[Hash], bytes_max: usize) -> Vec<Option<Bytes>> {
        let found = self.control.read_local(|view| {
            let hashes = hashes.iter().take(READ_CHUNKS_MAX);
            fill(
                bytes_max,
                hashes.map(|hash| query::chunk(view, hash).map(Bytes::from)),
            )
        });
        let found = found.map_or_else(|_| vec![None], |(found, _)| found);
        let mut cache = self.cache.lock();
        for (hash, chunk) in hashes.iter().zip(&found) {
            if let Some(chunk) = chunk {
                cache.insert(*hash, chunk.clone());
            }
        }
        found
    }
}

impl ChunkReader for Shelf {
    fn read(&self, hashes: &[Hash], bytes_max: usize) -> Vec<Option<Bytes>> {
        let cached = self.cached(hashes, bytes_max);
        if cached.is_empty() {
            self.stored(hashes, bytes_max)
        } else {
            cached
        }
    }
}

/// Takes chunks until they come to `bytes_max`.
fn fill(bytes_max: usize, chunks: impl Iterator<Item = Option<Bytes>>) -> Vec<Option<Bytes>> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for chunk in chunks {
        bytes += chunk.as_ref().map_or(0, Bytes::len);
        taken.push(chunk);
        if bytes >= bytes_max {
            break;
        }
    }
    taken
}

impl Cache {
    fn insert(&mut self, hash: Hash, chunk: Bytes) {
        self.bytes += chunk.len();
        if let Some(before) = self.chunks.insert(hash, chunk) {
            self.bytes -= before.len();
            return;
        }
        self.order.push_back(hash);
        while self.bytes > CACHE_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.bytes -= self.chunks.remove(&oldest).map_or(0, |chunk| chunk.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_keeps_the_latest_chunks_within_its_bound() {
        let mut cache = Cache::default();
        let chunk = Bytes::from(vec![0; 200 * 1024]);
        for index in 0..1000_u32 {
            cache.insert(Hash::of(&index.to_be_bytes()), chunk.clone());
            cache.insert(Hash::of(&index.to_be_bytes()), chunk.clone());
        }
        assert!(cache.bytes <= CACHE_BYTES_MAX && cache.bytes > CACHE_BYTES_MAX - 2 * chunk.len());
        assert_eq!(cache.bytes, cache.chunks.len() * chunk.len());
        assert_eq!(cache.order.len(), cache.chunks.len());
        assert!(cache.chunks.contains_key(&Hash::of(&999_u32.to_be_bytes())));
    }
}
