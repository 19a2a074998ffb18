//! Where chunks end. The rule sees only the keys and sizes of the items since the last end, so
//! two lists that agree from some common end on are cut alike from there on, and a change moves
//! few ends.
//!
//! A chunk ends after an item when
//! - it has [`ITEMS_MIN`] items or more and the SHA-256 of level and key falls below a threshold
//!   (one key in [`KEYS_PER_END`] does), or
//! - it has [`ITEMS_MAX`] items, or
//! - its items have [`BYTES_CUT`] bytes or more; and in any case
//! - after the last item of the level.
//!
//! The hash takes the key and not the value: with the value in it, every edit of a rule would be
//! a new throw of the dice about where chunks end; without, it rewrites one chunk on each level
//! and nothing else. Keys hold identifiers that the server draws, so a client cannot choose them
//! to make degenerate trees, and the two maxima bound what bad luck can do. An end never depends
//! on the item *after* it, or else an edit there would reach back into the chunk before.

use sha2::{Digest, Sha256};

/// No chunk ends by its keys before it has this many items: without a least size inner chunks of
/// one child could follow each other upwards without end.
pub const ITEMS_MIN: usize = 8;

/// One key in so many ends a chunk, which with [`ITEMS_MIN`] gives 31 items on average.
pub const KEYS_PER_END: u32 = 24;

/// A chunk ends here at the latest: four times the average, so that one chunk in a hundred is
/// cut by size and the rest by its keys.
pub const ITEMS_MAX: usize = 128;

/// A chunk ends with the item that reaches this: it keeps a chunk with one large item more
/// within [`super::CHUNK_BYTES_MAX`].
pub const BYTES_CUT: usize = 32 * 1024;

/// Whether the key is one that ends a chunk on this level.
fn ends(level: u8, key: &[u8]) -> bool {
    let digest = Sha256::new()
        .chain_update([level])
        .chain_update(key)
        .finalize();
    let draw = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    draw < u32::MAX / KEYS_PER_END
}

/// Follows the items of one level and tells where chunks end.
#[derive(Debug)]
pub(super) struct Boundary {
    level: u8,
    items: usize,
    bytes: usize,
}

impl Boundary {
    pub(super) fn new(level: u8) -> Self {
        Self {
            level,
            items: 0,
            bytes: 0,
        }
    }

    /// Takes the next item and says whether the chunk ends with it.
    pub(super) fn ends_after(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.items += 1;
        self.bytes += key.len() + value.len();
        let full = self.items >= ITEMS_MAX || self.bytes >= BYTES_CUT;
        let end = full || (self.items >= ITEMS_MIN && ends(self.level, key));
        if end {
            *self = Self::new(self.level);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(level: u8, count: u32, value: &[u8]) -> Vec<usize> {
        let mut boundary = Boundary::new(level);
        let mut sizes = vec![0];
        for number in 0..count {
            *sizes.last_mut().unwrap() += 1;
            if boundary.ends_after(&number.to_be_bytes(), value) {
                sizes.push(0);
            }
        }
        sizes.pop();
        sizes
    }

    #[test]
    fn chunks_have_31_items_on_average_and_stay_within_the_limits_on_every_level() {
        for level in 0..3 {
            let sizes = sizes(level, 100_000, b"");
            let mean = 100_000 / sizes.len();
            assert!((29..=33).contains(&mean), "level {level}: mean {mean}");
            assert!(
                sizes
                    .iter()
                    .all(|size| (ITEMS_MIN..=ITEMS_MAX).contains(size))
            );
            let cut = sizes.iter().filter(|size| **size == ITEMS_MAX).count();
            assert!(
                cut * 50 < sizes.len(),
                "level {level}: {cut} of {} cut by size",
                sizes.len()
            );
        }
    }

    #[test]
    fn large_items_end_a_chunk_before_its_least_number_of_items() {
        assert!(
            sizes(0, 64, &[0; BYTES_CUT / 2])
                .iter()
                .all(|size| *size == 2)
        );
        assert!(sizes(0, 64, &[0; BYTES_CUT]).iter().all(|size| *size == 1));
    }

    #[test]
    fn levels_end_at_different_keys() {
        assert_ne!(sizes(0, 2000, b""), sizes(1, 2000, b""));
    }
}
