//! Notes on their way: what this node was granted is told to the members that would keep the window
//! if the one that granted it were lost. One batch a member is under way at a time, and what comes
//! up meanwhile waits for the next, so that notes cost what they are worth under any load.
//!
//! A batch that nobody confirmed is sent again, under its number, so that it counts once; and each
//! note says how old it is, so that it counts no longer than it would have. What does not count any
//! more is dropped.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::id::WindowId;
use super::window::{BUCKET_MS, SPAN_MS_MAX};
use super::wire::{Batch, NOTES_MAX, Note};
use crate::control_plane::MemberId;

/// How many notes wait for a member at most: some 4 MB. A thousand keys that are used all the time fill it
/// in half a minute.
const WAITING_MAX: usize = 65_536;

/// Notes by whom they are for.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Names this process, so that its batches are not taken for those of the one before.
    sender: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The number of the last batch, to whomever it went.
    number: u64,
    members: BTreeMap<MemberId, Waiting>,
}

/// When something was granted, to half a second, and of which window.
type Granted = (u64, WindowId);

#[derive(Debug, Default)]
struct Waiting {
    counts: BTreeMap<Granted, u32>,
    /// What is under way until it is confirmed, and its number.
    sent: BTreeMap<Granted, u32>,
    number: u64,
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

/// What is found for a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Collected {
    /// What is to be sent: the batch that is not confirmed, or the next. With nothing, whoever sends
    /// is done.
    pub(super) batch: Option<Batch>,
    /// How many notes were dropped because they do not count any more.
    pub(super) dropped: usize,
}

impl Outbox {
    pub(super) fn new(sender: u64) -> Self {
        Self {
            sender,
            inner: Mutex::default(),
        }
    }

    pub(super) fn post(&self, now_ms: u64, member: MemberId, id: WindowId, count: u32) -> Posted {
        let mut inner = self.inner.lock();
        let waiting = inner.members.entry(member).or_default();
        let granted = (now_ms / BUCKET_MS, id);
        let full = waiting.counts.len() >= WAITING_MAX;
        if full && !waiting.counts.contains_key(&granted) {
            return Posted::Lost;
        }
        let noted = waiting.counts.entry(granted).or_default();
        *noted = noted.saturating_add(count);
        if std::mem::replace(&mut waiting.attended, true) {
            Posted::Waits
        } else {
            Posted::Send
        }
    }

    /// Takes out what is to be sent to a member.
    pub(super) fn collect(&self, now_ms: u64, member: MemberId) -> Collected {
        let mut inner = self.inner.lock();
        let next = inner.number + 1;
        let Some(waiting) = inner.members.get_mut(&member) else {
            return Collected::default();
        };
        let dropped = drop_old(&mut waiting.sent, now_ms) + drop_old(&mut waiting.counts, now_ms);
        if waiting.sent.is_empty() {
            waiting.number = next;
            while waiting.sent.len() < NOTES_MAX
                && let Some((granted, count)) = waiting.counts.pop_first()
            {
                waiting.sent.insert(granted, count);
            }
        }
        if waiting.sent.is_empty() {
            waiting.attended = false;
            let batch = None;
            return Collected { batch, dropped };
        }
        let batch = Batch {
            sender: self.sender,
            number: waiting.number,
            notes: notes(&waiting.sent, now_ms),
        };
        inner.number = inner.number.max(batch.number);
        let batch = Some(batch);
        Collected { batch, dropped }
    }

    /// The batch with this number has arrived.
    pub(super) fn confirm(&self, member: MemberId, number: u64) {
        if let Some(waiting) = self.inner.lock().members.get_mut(&member)
            && waiting.number == number
        {
            waiting.sent.clear();
        }
    }

    /// Forgets who is no member.
    pub(super) fn keep(&self, members: &[MemberId]) {
        let mut inner = self.inner.lock();
        inner.members.retain(|member, _| members.contains(member));
    }
}

/// How long ago, at least, something in this half second was granted.
fn age_ms(bucket: u64, now_ms: u64) -> u64 {
    now_ms.saturating_sub((bucket + 1) * BUCKET_MS)
}

fn drop_old(counts: &mut BTreeMap<Granted, u32>, now_ms: u64) -> usize {
    let before = counts.len();
    while let Some(((bucket, _), _)) = counts.first_key_value()
        && age_ms(*bucket, now_ms) >= SPAN_MS_MAX
    {
        counts.pop_first();
    }
    before - counts.len()
}

fn notes(counts: &BTreeMap<Granted, u32>, now_ms: u64) -> Vec<Note> {
    let note = |(&(bucket, id), &count): (&Granted, &u32)| Note {
        id,
        count,
        age_ms: u32::try_from(age_ms(bucket, now_ms)).unwrap_or(u32::MAX),
    };
    counts.iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed};

    use super::*;

    fn id(random: u64) -> WindowId {
        WindowId::of_key(&ApiKeyId::new(Seed { unix_ms: 1, random }))
    }

    /// The number of the batch, and each note's count and age.
    fn collect(outbox: &Outbox, now_ms: u64) -> Option<(u64, Vec<(u32, u32)>)> {
        let batch = outbox.collect(now_ms, 2).batch?;
        let notes = batch.notes.iter().map(|note| (note.count, note.age_ms));
        Some((batch.number, notes.collect()))
    }

    #[test]
    fn what_comes_up_while_one_is_sent_goes_together_with_the_next() {
        let outbox = Outbox::new(7);
        assert_eq!(outbox.post(0, 2, id(1), 1), Posted::Send);
        assert_eq!(collect(&outbox, 0), Some((1, vec![(1, 0)])));
        assert_eq!(outbox.post(0, 2, id(1), 2), Posted::Waits);
        assert_eq!(outbox.post(0, 2, id(1), 3), Posted::Waits);
        assert_eq!(outbox.post(0, 3, id(1), 1), Posted::Send);
        outbox.confirm(2, 1);
        assert_eq!(collect(&outbox, 0), Some((2, vec![(5, 0)])));
        outbox.confirm(2, 2);
        assert_eq!(collect(&outbox, 0), None);
        assert_eq!(outbox.post(0, 2, id(1), 1), Posted::Send);
    }

    #[test]
    fn what_was_not_confirmed_is_sent_again_under_its_number_until_it_counts_no_more() {
        let outbox = Outbox::new(7);
        outbox.post(0, 2, id(1), 1);
        assert_eq!(collect(&outbox, 0), Some((1, vec![(1, 0)])));
        outbox.post(20_000, 2, id(1), 2);
        assert_eq!(collect(&outbox, 30_000), Some((1, vec![(1, 29_500)])));
        // What is confirmed late is not taken for what is under way now.
        outbox.confirm(2, 9);
        assert_eq!(collect(&outbox, 60_999), Some((1, vec![(1, 60_499)])));
        assert_eq!(collect(&outbox, 61_000), Some((2, vec![(2, 40_500)])));
        let (batch, dropped) = (None, 1);
        assert_eq!(outbox.collect(81_000, 2), Collected { batch, dropped });
        assert_eq!(outbox.post(81_000, 2, id(1), 1), Posted::Send);
    }

    #[test]
    fn a_batch_fits_a_message_and_no_more_wait_than_there_is_room_for() {
        let outbox = Outbox::new(7);
        for random in 0..WAITING_MAX as u64 {
            assert_ne!(outbox.post(0, 2, id(random), 1), Posted::Lost);
        }
        assert_eq!(outbox.post(0, 2, id(WAITING_MAX as u64), 1), Posted::Lost);
        assert_eq!(outbox.post(0, 2, id(0), 1), Posted::Waits);
        let batch = outbox.collect(0, 2).batch.unwrap();
        assert_eq!(batch.notes.len(), NOTES_MAX);
        // Who left and comes back is not told under a number that he knows.
        outbox.keep(&[3]);
        outbox.post(0, 2, id(1), 1);
        assert!(outbox.collect(0, 2).batch.unwrap().number > batch.number);
    }
}
