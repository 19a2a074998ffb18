//! The windows that this node keeps, for itself and for others. It answers whoever asks, whether or
//! not it is the first in the order: that is the asker's to know, and windows that two nodes keep are
//! held together by notes.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::id::WindowId;
use super::presence::Presence;
use super::shards::Shards;
use super::window::{SPAN_MS_MAX, Taken, Window};
use super::wire::{Batch, Note, Reply};

/// The windows that this node keeps.
#[derive(Debug)]
pub(super) struct Keeper {
    windows: Shards<Window>,
    presence: Mutex<Presence>,
    heard: Mutex<BTreeMap<u64, Heard>>,
}

/// The last batch of notes that a sender's was taken from.
#[derive(Clone, Copy, Debug)]
struct Heard {
    number: u64,
    at_ms: u64,
}

impl Keeper {
    pub(super) fn new() -> Self {
        Self {
            windows: Shards::new(),
            presence: Mutex::new(Presence::new()),
            heard: Mutex::default(),
        }
    }

    /// This node is a member that is in contact with a quorum, or it is not. To be told twice a
    /// second.
    pub(super) fn saw(&self, now_ms: u64, there: bool) {
        self.presence.lock().saw(now_ms, there);
    }

    /// How long this node may still have missed something; 0 once it has not.
    pub(super) fn fresh_for_ms(&self, now_ms: u64) -> u64 {
        self.presence.lock().fresh_for_ms(now_ms)
    }

    /// Takes from a window, unless somebody else may know better.
    pub(super) fn ask(&self, now_ms: u64, wish: &Wish, insist: bool) -> Reply {
        match self.fresh_for_ms(now_ms) {
            for_ms if for_ms > 0 && !insist => Reply::Fresh { for_ms },
            _ => Reply::Taken(self.take(now_ms, wish)),
        }
    }

    /// Takes from a window.
    pub(super) fn take(&self, now_ms: u64, wish: &Wish) -> Taken {
        let take = |window: &mut Window| window.take(now_ms, wish.limit, wish.amount);
        self.windows.with(wish.id, now_ms, Window::new, take)
    }

    /// Counts what was granted elsewhere.
    pub(super) fn note(&self, now_ms: u64, note: &Note) {
        let count = |window: &mut Window| window.note(now_ms, note.age_ms.into(), note.count);
        self.windows.with(note.id, now_ms, Window::new, count);
    }

    /// Counts what a node tells, unless it was counted and the sender did not hear so.
    pub(super) fn note_all(&self, now_ms: u64, batch: &Batch) {
        if self.is_news(now_ms, batch) {
            for note in &batch.notes {
                self.note(now_ms, note);
            }
        }
    }

    fn is_news(&self, now_ms: u64, batch: &Batch) -> bool {
        let mut heard = self.heard.lock();
        let Some(last) = heard.get_mut(&batch.sender) else {
            // A sender that was silent for so long has nothing under way any more.
            heard.retain(|_, last| now_ms < last.at_ms + SPAN_MS_MAX);
            let (number, at_ms) = (batch.number, now_ms);
            heard.insert(batch.sender, Heard { number, at_ms });
            return true;
        };
        last.at_ms = now_ms;
        let news = batch.number > last.number;
        last.number = last.number.max(batch.number);
        news
    }
}

/// What is wanted of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) id: WindowId,
    pub(super) limit: u32,
    pub(super) amount: u32,
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed};

    use super::*;

    #[test]
    fn what_is_told_twice_counts_once_and_no_longer_than_it_would_have() {
        let keeper = Keeper::new();
        let id = WindowId::of_key(&ApiKeyId::new(Seed {
            unix_ms: 1,
            random: 1,
        }));
        let (limit, amount) = (60, 0);
        let take = |now_ms| keeper.take(now_ms, &Wish { id, limit, amount });
        let batch = |sender, number, age_ms| Batch {
            sender,
            number,
            notes: vec![Note {
                id,
                count: 10,
                age_ms,
            }],
        };
        for (batch, remaining) in [
            (batch(7, 1, 0), 50),
            (batch(7, 1, 400), 50),
            (batch(7, 2, 0), 40),
            (batch(7, 1, 900), 40),
            // Another process.
            (batch(8, 1, 30_000), 30),
            // What does not count any more.
            (batch(8, 2, 61_000), 30),
        ] {
            keeper.note_all(100_000, &batch);
            assert_eq!(take(100_000).remaining, remaining, "{batch:?}");
        }
        assert_eq!(take(130_500).remaining, 40);
        assert_eq!(take(100_000 + SPAN_MS_MAX).remaining, 60);
    }
}
