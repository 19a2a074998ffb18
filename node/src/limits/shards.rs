//! Many small things by window, behind several locks so that threads seldom meet, and bounded. What is
//! kept here is a count of the last minute, so what nobody touched for longer is forgotten.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::id::WindowId;
use super::window::SPAN_MS_MAX;

/// So many locks: a few for each core of a large machine.
const SHARDS: usize = 64;

/// So many windows behind one lock: with 64 locks 32 768 windows, more keys and routes than a cluster
/// sees in a minute, in some 20 MB. Beyond it the one that was used longest ago is forgotten.
const SLOTS_MAX: usize = 512;

/// After how long without use something is forgotten: no window counts anything that old.
const IDLE_MS: u64 = SPAN_MS_MAX + 500;

/// Things by window.
#[derive(Debug)]
pub(super) struct Shards<T> {
    shards: Vec<Mutex<Shard<T>>>,
}

#[derive(Debug)]
struct Shard<T> {
    slots: BTreeMap<WindowId, Slot<T>>,
    swept_at_ms: u64,
}

#[derive(Debug)]
struct Slot<T> {
    value: T,
    used_at_ms: u64,
}

impl<T> Shards<T> {
    pub(super) fn new() -> Self {
        let shard = || Shard {
            slots: BTreeMap::new(),
            swept_at_ms: 0,
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
        }
    }

    /// Does something with what is kept for a window, made new if there is nothing.
    pub(super) fn with<R>(
        &self,
        id: WindowId,
        now_ms: u64,
        new: impl FnOnce() -> T,
        act: impl FnOnce(&mut T) -> R,
    ) -> R {
        let index = usize::try_from(id.halves()[0] % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[index].lock();
        shard.sweep(now_ms);
        if let Some(slot) = shard.slots.get_mut(&id) {
            slot.used_at_ms = slot.used_at_ms.max(now_ms);
            return act(&mut slot.value);
        }
        shard.make_room();
        let slot = shard.slots.entry(id).or_insert_with(|| Slot {
            value: new(),
            used_at_ms: now_ms,
        });
        act(&mut slot.value)
    }

    /// How many windows there is something for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().slots.len())
            .sum()
    }
}

impl<T> Shard<T> {
    /// Forgets what was not used lately, now and then.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms < self.swept_at_ms + IDLE_MS {
            return;
        }
        self.swept_at_ms = now_ms;
        self.slots
            .retain(|_, slot| now_ms < slot.used_at_ms + IDLE_MS);
    }

    fn make_room(&mut self) {
        if self.slots.len() < SLOTS_MAX {
            return;
        }
        let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.used_at_ms);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.slots.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed};

    use super::*;

    fn id(number: u64) -> WindowId {
        WindowId::of_key(&ApiKeyId::new(Seed {
            unix_ms: 1,
            random: number,
        }))
    }

    fn count(shards: &Shards<u32>, number: u64, now_ms: u64) -> u32 {
        shards.with(
            id(number),
            now_ms,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        )
    }

    #[test]
    fn each_window_is_kept_by_itself_and_forgotten_when_nobody_uses_it() {
        let shards = Shards::new();
        assert_eq!([count(&shards, 1, 0), count(&shards, 2, 0)], [1, 1]);
        assert_eq!(count(&shards, 1, IDLE_MS / 2), 2);
        assert_eq!(count(&shards, 1, IDLE_MS), 3);
        assert_eq!(count(&shards, 2, 3 * IDLE_MS), 1);
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for_and_the_latest_stay() {
        let shards = Shards::new();
        let many = (SHARDS * SLOTS_MAX * 9 / 8) as u64;
        for number in 0..many {
            count(&shards, number, number / 1_000);
        }
        assert!(shards.len() <= SHARDS * SLOTS_MAX);
        assert_eq!(count(&shards, many - 1, many / 1_000), 2);
    }
}
