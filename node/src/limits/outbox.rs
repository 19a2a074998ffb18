//! Notes on their way: what this node was granted is told to the members that would keep the window
//! if the one that granted it were lost. One message a member is under way at a time, and what comes
//! up meanwhile waits for the next, so that notes cost what they are worth under any load.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::id::WindowId;
use super::wire::{NOTES_MAX, Note};
use crate::control_plane::MemberId;

/// Notes by whom they are for.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    members: Mutex<BTreeMap<MemberId, Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    counts: BTreeMap<WindowId, u32>,
    /// Whether somebody takes care of them.
    attended: bool,
}

/// What became of a note that was put into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// Whoever sends to that member will take it along.
    Waits,
    /// The caller has to send to that member.
    Send,
    /// There is no room.
    Lost,
}

impl Outbox {
    pub(super) fn post(&self, member: MemberId, note: Note) -> Posted {
        let mut members = self.members.lock();
        let waiting = members.entry(member).or_default();
        let full = waiting.counts.len() >= NOTES_MAX;
        if full && !waiting.counts.contains_key(&note.id) {
            return Posted::Lost;
        }
        let count = waiting.counts.entry(note.id).or_default();
        *count = count.saturating_add(note.count);
        if std::mem::replace(&mut waiting.attended, true) {
            Posted::Waits
        } else {
            Posted::Send
        }
    }

    /// All that waits for a member. With nothing, whoever sends is done.
    pub(super) fn collect(&self, member: MemberId) -> Option<Vec<Note>> {
        let mut members = self.members.lock();
        let counts = std::mem::take(&mut members.get_mut(&member)?.counts);
        if counts.is_empty() {
            members.remove(&member);
            return None;
        }
        let note = |(id, count)| Note { id, count };
        Some(counts.into_iter().map(note).collect())
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed};

    use super::*;

    fn note(random: u64, count: u32) -> Note {
        let id = WindowId::of_key(&ApiKeyId::new(Seed { unix_ms: 1, random }));
        Note { id, count }
    }

    #[test]
    fn what_comes_up_while_one_is_sent_goes_together_with_the_next() {
        let outbox = Outbox::default();
        assert_eq!(outbox.post(2, note(1, 1)), Posted::Send);
        assert_eq!(outbox.collect(2), Some(vec![note(1, 1)]));
        assert_eq!(outbox.post(2, note(1, 2)), Posted::Waits);
        assert_eq!(outbox.post(2, note(1, 3)), Posted::Waits);
        assert_eq!(outbox.post(3, note(1, 1)), Posted::Send);
        assert_eq!(outbox.collect(2), Some(vec![note(1, 5)]));
        assert_eq!(outbox.collect(2), None);
        assert_eq!(outbox.post(2, note(1, 1)), Posted::Send);
    }

    #[test]
    fn no_more_wait_than_fit_a_message() {
        let outbox = Outbox::default();
        for random in 0..NOTES_MAX as u64 {
            assert_ne!(outbox.post(2, note(random, 1)), Posted::Lost);
        }
        assert_eq!(outbox.post(2, note(NOTES_MAX as u64, 1)), Posted::Lost);
        assert_eq!(outbox.post(2, note(0, 1)), Posted::Waits);
    }
}
