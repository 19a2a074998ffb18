//! Chunks that were read when a store was opened, for the moment in which a configuration is made of them: reading them
//! twice, one by one the second time, would be a large part of an edge's start. Which of them are needed is not
//! known here.

use std::collections::HashMap;
use std::fmt;

use domain::tree::Hash;

/// How many bytes are kept at most: what a hundred thousand rules come to, several times. What is beyond is read from the disk.
const BYTES_MAX: usize = 128 * 1024 * 1024;

/// Verified chunks in memory.
#[derive(Default)]
pub(super) struct Warm {
    chunks: HashMap<Hash, Box<[u8]>>,
    bytes: usize,
}

impl Warm {
    /// Keeps a chunk that has this hash, if there is room.
    pub(super) fn keep(&mut self, hash: Hash, chunk: &[u8]) {
        if self.bytes + chunk.len() <= BYTES_MAX && self.chunks.insert(hash, chunk.into()).is_none()
        {
            self.bytes += chunk.len();
        }
    }

    /// The chunk with this hash, if it is kept.
    pub(super) fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.chunks.get(hash).map(|chunk| chunk.to_vec())
    }
}

impl fmt::Debug for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").field("bytes", &self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_kept_once_and_while_there_is_room() {
        let mut warm = Warm::default();
        let half = vec![7; BYTES_MAX / 2];
        let other = vec![8; BYTES_MAX / 2];
        let (first, second) = (Hash::of(&half), Hash::of(&other));
        for _ in 0..3 {
            warm.keep(first, &half);
        }
        warm.keep(second, &other);
        assert_eq!(warm.chunk(&first), Some(half));
        assert_eq!(warm.chunk(&second), Some(other));
        let more = Hash::of(b"more");
        warm.keep(more, b"more");
        assert_eq!(warm.chunk(&more), None);
    }
}
