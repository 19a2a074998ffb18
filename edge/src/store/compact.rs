//! Making room: packs of which less than half is referred to, and small ones once there are
//! many, are written together into new ones. Each byte is moved a number of times that grows
//! with the logarithm of what is held, so the cost follows the changes.

use std::collections::BTreeSet;

use domain::tree::Hash;

use super::index::Place;
use super::{Packs, Store, StoreError};

/// With more packs than this, small ones are merged: opening a store looks at each of them.
pub(super) const PACKS_MAX: usize = 32;

/// What one compaction moves, at most. The rest is done after the next publish.
const COMPACT_BYTES_MAX: u64 = 32 * 1024 * 1024;

impl Store {
    /// Moves what is referred to out of packs that are not worth keeping.
    pub(super) fn compact(&mut self) -> Result<(), StoreError> {
        let chosen = self.choose();
        if chosen.is_empty() {
            return Ok(());
        }
        let moves: Vec<(Hash, Place)> = self.index.of_packs(&chosen).collect();
        let mut packs = Packs::new();
        let mut places = Vec::new();
        for (hash, place) in moves {
            // What cannot be read stays where it is, and its pack with it.
            let Some(chunk) = self.read(&hash, place) else {
                continue;
            };
            places.push((hash, self.add_to_packs(&mut packs, hash, &chunk)));
        }
        self.write_packs(packs)?;
        self.directory.sync().map_err(|source| StoreError::Write {
            name: "the directory".to_owned(),
            source,
        })?;
        for (hash, place) in places {
            self.index.relocate(&hash, place);
        }
        Ok(())
    }

    fn choose(&self) -> BTreeSet<u64> {
        let mut by_size: Vec<(u64, u64)> = self
            .packs
            .keys()
            .map(|pack| (self.index.live_bytes(*pack), *pack))
            .collect();
        by_size.retain(|(live, _)| *live > 0);
        by_size.sort_unstable();
        let mut chosen = BTreeSet::new();
        let mut bytes = 0;
        let crowded = by_size.len() > PACKS_MAX;
        for (live, pack) in by_size {
            let wasteful = live * 2 < self.packs[&pack];
            let mergeable = crowded && (chosen.is_empty() || live <= bytes * 2);
            if (wasteful || mergeable) && bytes + live <= COMPACT_BYTES_MAX {
                chosen.insert(pack);
                bytes += live;
            }
        }
        // One small pack alone would only be copied.
        let alone = chosen.len() == 1
            && chosen
                .iter()
                .all(|pack| self.index.live_bytes(*pack) * 2 >= self.packs[pack]);
        if alone { BTreeSet::new() } else { chosen }
    }
}
