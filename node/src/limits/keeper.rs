//! The windows that this node keeps, for itself and for others. It answers whoever asks, whether or
//! not it is the first in the order: that is the asker's to know, and windows that two nodes keep are
//! held together by notes.

use super::id::WindowId;
use super::shards::Shards;
use super::window::{SPAN_MS_MAX, Taken, Window};
use super::wire::{Note, Reply};

/// How long after its start a node is only asked if nobody else is there: what was granted before it
/// started counts that long, and notes of what was granted since take a moment to come.
const FRESH_MS: u64 = SPAN_MS_MAX + 1_500;

/// The windows that this node keeps.
#[derive(Debug)]
pub(super) struct Keeper {
    windows: Shards<Window>,
}

impl Keeper {
    pub(super) fn new() -> Self {
        Self {
            windows: Shards::new(),
        }
    }

    /// How long this node may still have missed something; 0 once it has not.
    pub(super) fn fresh_for_ms(now_ms: u64) -> u64 {
        FRESH_MS.saturating_sub(now_ms)
    }

    /// Takes from a window, unless somebody else may know better.
    pub(super) fn ask(&self, now_ms: u64, wish: &Wish, insist: bool) -> Reply {
        match Self::fresh_for_ms(now_ms) {
            for_ms if for_ms > 0 && !insist => Reply::Fresh { for_ms },
            _ => Reply::Taken(self.take(now_ms, wish)),
        }
    }

    /// Takes from a window.
    pub(super) fn take(&self, now_ms: u64, wish: &Wish) -> Taken {
        let take = |window: &mut Window| window.take(now_ms, wish.limit, wish.amount);
        self.windows.with(wish.id, now_ms, Window::new, take)
    }

    /// Counts what another node granted.
    pub(super) fn note(&self, now_ms: u64, note: &Note) {
        let count = |window: &mut Window| window.note(now_ms, note.count);
        self.windows.with(note.id, now_ms, Window::new, count);
    }
}

/// What is wanted of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) id: WindowId,
    pub(super) limit: u32,
    pub(super) amount: u32,
}
