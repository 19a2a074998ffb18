//! Which entry goes first when room is needed: S3-FIFO (Yang et al., "FIFO queues are all you need
//! for cache eviction", SOSP 2023). New entries wait in a small queue; those that are asked for
//! again move to the main one, the others leave soon, so that a scan of URLs that nobody asks for
//! twice pushes nothing out. Pure: it knows numbers and weights, not answers.

use std::collections::{HashMap, HashSet, VecDeque};

/// The part of the weight that new entries get: a tenth, as the paper has it.
const SMALL_PART: u64 = 10;

/// How often an entry can be asked for to its credit; more makes it no safer.
const USES_MAX: u8 = 3;

/// Entries that are gone stay in the queues until these are this much longer than what lives.
const SLACK: usize = 64;

/// The entries of one shard.
#[derive(Debug, Default)]
pub struct Queue {
    entries: HashMap<u64, Entry>,
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    small_weight: u64,
    main_weight: u64,
    ghosts: Ghosts,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What it is remembered by after it has left.
    name: u64,
    weight: u64,
    uses: u8,
    in_main: bool,
}

/// Names of entries that left before they were asked for again.
#[derive(Debug, Default)]
struct Ghosts {
    order: VecDeque<u64>,
    names: HashSet<u64>,
}

impl Queue {
    /// Adds an entry. One whose name left not long ago goes to the main queue at once.
    pub fn insert(&mut self, id: u64, name: u64, weight: u64) {
        let entry = Entry {
            name,
            weight,
            uses: 0,
            in_main: self.ghosts.names.remove(&name),
        };
        self.admit(id, entry);
    }

    /// Adds an entry in the place of another, with its credit, and says what that one weighed.
    pub fn replace(&mut self, old: u64, id: u64, name: u64, weight: u64) -> u64 {
        let Some(before) = self.remove_entry(old) else {
            self.insert(id, name, weight);
            return 0;
        };
        let entry = Entry {
            name,
            weight,
            ..before
        };
        self.admit(id, entry);
        before.weight
    }

    /// An entry was asked for.
    pub fn used(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.uses = (entry.uses + 1).min(USES_MAX);
        }
    }

    /// An entry has grown. False where there is no such entry.
    pub fn grow(&mut self, id: u64, by: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return false;
        };
        entry.weight += by;
        let in_main = entry.in_main;
        *self.weight_of(in_main) += by;
        true
    }

    /// Takes an entry out, and says what it weighed.
    pub fn remove(&mut self, id: u64) -> Option<u64> {
        let entry = self.remove_entry(id)?;
        self.tidy();
        Some(entry.weight)
    }

    /// Takes out the entry that is least worth its room, and says which, by what name, and what
    /// it weighed.
    pub fn evict(&mut self) -> Option<(u64, u64, u64)> {
        loop {
            let from_small = self.main.is_empty()
                || self.small_weight * SMALL_PART > self.small_weight + self.main_weight;
            let evicted = if from_small && !self.small.is_empty() {
                self.evict_small()
            } else if self.main.is_empty() {
                return None;
            } else {
                self.evict_main()
            };
            if evicted.is_some() {
                self.tidy();
                return evicted;
            }
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn evict_small(&mut self) -> Option<(u64, u64, u64)> {
        let id = self.small.pop_front()?;
        let entry = *self.entries.get(&id)?;
        if entry.uses > 0 {
            self.promote(id, entry);
            return None;
        }
        self.ghosts.add(entry.name, self.entries.len());
        self.remove_entry(id);
        Some((id, entry.name, entry.weight))
    }

    fn evict_main(&mut self) -> Option<(u64, u64, u64)> {
        let id = self.main.pop_front()?;
        let entry = self.entries.get_mut(&id)?;
        if entry.uses > 0 {
            entry.uses -= 1;
            self.main.push_back(id);
            return None;
        }
        let entry = *entry;
        self.remove_entry(id);
        Some((id, entry.name, entry.weight))
    }

    fn promote(&mut self, id: u64, entry: Entry) {
        self.small_weight -= entry.weight;
        self.main_weight += entry.weight;
        let promoted = Entry {
            uses: 0,
            in_main: true,
            ..entry
        };
        self.entries.insert(id, promoted);
        self.main.push_back(id);
    }

    fn admit(&mut self, id: u64, entry: Entry) {
        if entry.in_main {
            self.main.push_back(id);
        } else {
            self.small.push_back(id);
        }
        self.entries.insert(id, entry);
        *self.weight_of(entry.in_main) += entry.weight;
        self.tidy();
    }

    fn remove_entry(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        *self.weight_of(entry.in_main) -= entry.weight;
        Some(entry)
    }

    fn weight_of(&mut self, in_main: bool) -> &mut u64 {
        if in_main {
            &mut self.main_weight
        } else {
            &mut self.small_weight
        }
    }

    /// Drops the places of entries that are gone, once there are too many of them.
    fn tidy(&mut self) {
        if self.small.len() + self.main.len() > 2 * self.entries.len() + SLACK {
            let entries = &self.entries;
            self.small.retain(|id| entries.contains_key(id));
            self.main.retain(|id| entries.contains_key(id));
        }
    }
}

impl Ghosts {
    /// Remembers a name, and as many as there are entries, no more.
    fn add(&mut self, name: u64, limit: usize) {
        if self.names.insert(name) {
            self.order.push_back(name);
        }
        while self.order.len() > limit + SLACK {
            if let Some(oldest) = self.order.pop_front() {
                self.names.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(count: u64) -> Queue {
        let mut queue = Queue::default();
        for id in 0..count {
            queue.insert(id, id, 1);
        }
        queue
    }

    #[test]
    fn what_is_asked_for_again_survives_a_scan() {
        let mut queue = filled(10);
        for id in 0..10 {
            queue.used(id);
        }
        for id in 10..1_000 {
            queue.insert(id, id, 1);
            if queue.len() > 20 {
                let (evicted, ..) = queue.evict().unwrap();
                assert!(evicted >= 10, "{evicted} was in use");
            }
        }
    }

    #[test]
    fn what_comes_back_soon_is_kept_longer() {
        let mut queue = filled(30);
        let (_, name, _) = queue.evict().unwrap();
        queue.insert(100, name, 1);
        for _ in 0..20 {
            assert_ne!(queue.evict().unwrap().0, 100);
        }
    }

    #[test]
    fn a_replacement_keeps_the_credit() {
        let mut queue = filled(2);
        queue.used(0);
        assert_eq!(queue.replace(0, 5, 0, 7), 1);
        assert_eq!(queue.evict(), Some((1, 1, 1)));
        assert!(queue.grow(5, 3) && !queue.grow(0, 3));
        assert_eq!(queue.remove(5), Some(10));
        assert_eq!(queue.evict(), None);
    }

    proptest! {
        /// Oracle: a plain set of what should be there.
        #[test]
        fn weights_and_entries_always_add_up(steps in prop::collection::vec((0_u8..5, 0_u64..40, 1_u64..9), 1..400)) {
            let mut queue = Queue::default();
            let mut model = std::collections::BTreeMap::new();
            let mut next = 0;
            for (step, pick, weight) in steps {
                let some = model.keys().nth(pick as usize % model.len().max(1)).copied();
                match (step, some) {
                    (0, Some(id)) => queue.used(id),
                    (1, Some(id)) => prop_assert_eq!(queue.remove(id), model.remove(&id)),
                    (2, Some(id)) => {
                        prop_assert!(queue.grow(id, weight));
                        *model.get_mut(&id).unwrap() += weight;
                    }
                    (3, Some(_)) => {
                        let (id, _, weight) = queue.evict().unwrap();
                        prop_assert_eq!(model.remove(&id), Some(weight));
                    }
                    _ => {
                        queue.insert(next, pick, weight);
                        model.insert(next, weight);
                        next += 1;
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.small_weight + queue.main_weight, model.values().sum::<u64>());
                prop_assert!(queue.small.len() + queue.main.len() <= 2 * queue.len() + SLACK);
            }
            while let Some((id, _, weight)) = queue.evict() {
                prop_assert_eq!(model.remove(&id), Some(weight));
            }
            prop_assert!(model.is_empty());
        }
    }
}
