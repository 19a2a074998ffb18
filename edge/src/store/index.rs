//! Which chunks are held, where, and how often each is referred to: by the roots of the manifests
//! that are kept, and by other chunks. What nothing refers to is not in the index, so a chunk
//! that is has everything under it as well.

use std::collections::{BTreeMap, BTreeSet};

use domain::tree::Hash;

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pack: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// A chunk that could be referred to: where it stands and what it refers to.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) children: Box<[Hash]>,
}

#[derive(Clone, Debug)]
struct Entry {
    candidate: Candidate,
    references: u64,
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<Hash, Entry>,
    /// Bytes of each pack's chunks that are referred to.
    live: BTreeMap<u64, u64>,
}

impl Index {
    pub(super) fn place(&self, hash: &Hash) -> Option<Place> {
        self.entries.get(hash).map(|entry| entry.candidate.place)
    }

    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.entries.contains_key(hash)
    }

    /// Bytes of a pack that are referred to.
    pub(super) fn live_bytes(&self, pack: u64) -> u64 {
        self.live.get(&pack).copied().unwrap_or(0)
    }

    /// The chunks of these packs that are referred to.
    pub(super) fn of_packs(&self, packs: &BTreeSet<u64>) -> impl Iterator<Item = (Hash, Place)> {
        let places = self
            .entries
            .iter()
            .map(|(hash, entry)| (*hash, entry.candidate.place));
        places.filter(|(_, place)| packs.contains(&place.pack))
    }

    /// The first chunk under `root` that is neither held nor among `candidates`.
    pub(super) fn missing(
        &self,
        root: Hash,
        candidates: &BTreeMap<Hash, Candidate>,
    ) -> Option<Hash> {
        let mut seen = BTreeSet::new();
        let mut frontier = vec![root];
        while let Some(hash) = frontier.pop() {
            if hash == Hash::EMPTY_TREE || self.contains(&hash) || !seen.insert(hash) {
                continue;
            }
            let Some(candidate) = candidates.get(&hash) else {
                return Some(hash);
            };
            frontier.extend(candidate.children.iter());
        }
        None
    }

    /// Adds a reference to `root`, and takes in what it needs of `candidates`. Nothing may be
    /// [missing](Self::missing).
    pub(super) fn retain(&mut self, root: Hash, candidates: &BTreeMap<Hash, Candidate>) {
        let mut frontier = vec![root];
        while let Some(hash) = frontier.pop() {
            if let Some(entry) = self.entries.get_mut(&hash) {
                entry.references += 1;
            } else if let Some(candidate) = candidates.get(&hash) {
                frontier.extend(candidate.children.iter());
                self.count(candidate.place, 1);
                self.entries.insert(
                    hash,
                    Entry {
                        candidate: candidate.clone(),
                        references: 1,
                    },
                );
            }
        }
    }

    /// Takes a reference to `root` away, and drops what then nothing refers to.
    pub(super) fn release(&mut self, root: Hash) {
        let mut frontier = vec![root];
        while let Some(hash) = frontier.pop() {
            let Some(entry) = self.entries.get_mut(&hash) else {
                continue;
            };
            entry.references -= 1;
            if entry.references == 0
                && let Some(entry) = self.entries.remove(&hash)
            {
                frontier.extend(entry.candidate.children.iter());
                self.count(entry.candidate.place, -1);
            }
        }
    }

    /// The chunk now stands elsewhere.
    pub(super) fn relocate(&mut self, hash: &Hash, place: Place) {
        let Some(entry) = self.entries.get_mut(hash) else {
            return;
        };
        let before = std::mem::replace(&mut entry.candidate.place, place);
        self.count(before, -1);
        self.count(place, 1);
    }

    fn count(&mut self, place: Place, sign: i64) {
        let live = self.live.entry(place.pack).or_default();
        *live = live.saturating_add_signed(sign * i64::from(place.length));
        if *live == 0 {
            self.live.remove(&place.pack);
        }
    }
}
