//! What one node may still spend of one window without asking whoever keeps it. Pure: it says what to
//! ask for and hears what came of it.
//!
//! Small limits are exact: each request is asked for by itself. For large limits a node holds a slice
//! and has it filled up while it spends it, so that no request waits for a round trip; while the
//! slice is empty it spends on credit, up to another slice, and asks for what it owes together with
//! the next one. In any minute a node therefore lets through at most two slices more than the
//! window granted, and a slice is a hundredth of the limit divided by the number of nodes: two
//! percent in all. A node that spends its credit as well asks for each request by itself.

use super::window::{SPAN_MS_MAX, Taken};

/// From this limit on slices are held. At it, a node of a cluster of five holds 20 requests.
const SLICED_FROM: u32 = 10_000;

/// By when a question for the next slice counts as lost: longer than it takes to ask every node.
const REFILL_MS_MAX: u64 = 5_000;

/// The terms of a lease. It starts over when they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: u32,
    /// How much is held; `None` asks for each request.
    slice: Option<u32>,
}

/// What one node holds of a window.
#[derive(Debug)]
pub(super) struct Lease {
    terms: Terms,
    /// What may still be spent; below zero, what is owed.
    balance: i64,
    refilling_since_ms: Option<u64>,
    /// Until when the window is known to give nothing, and from when it is known to give something.
    /// They differ by how long the answer was under way, and by the milliseconds' fractions.
    refused_until_ms: u64,
    retry_at_ms: u64,
    /// What the window had left when it was last asked, and when all of it is back.
    remaining: u32,
    reset_at_ms: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// That, and so much has to be asked for in the background.
    Decided(Verdict, Option<u32>),
    /// One has to be asked for first, see [`Lease::asked`]; and so much in the background.
    Ask(Option<u32>),
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obtained {
    pub(super) taken: Taken,
    /// Nobody could be asked: it is of this node's own share of the limit.
    pub(super) alone: bool,
}

/// Whether a request passes, and how its window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it passes.
    pub(crate) admitted: bool,
    /// The limit in a minute.
    pub(crate) limit: u32,
    /// What is left of it.
    pub(crate) remaining: u32,
    /// In how long all of it is back, if nothing more is asked.
    pub(crate) reset_in_ms: u64,
    /// In how long one request would pass; 0 while one would.
    pub(crate) retry_in_ms: u64,
}

impl Terms {
    /// The terms of a limit in a cluster of so many nodes.
    pub(super) fn new(limit: u32, nodes: usize) -> Self {
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        let slice = (limit / 100) / nodes;
        Self {
            limit,
            slice: (limit >= SLICED_FROM && slice > 1).then_some(slice),
        }
    }
}

impl Lease {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            balance: 0,
            refilling_since_ms: None,
            refused_until_ms: 0,
            retry_at_ms: 0,
            remaining: terms.limit,
            reset_at_ms: 0,
        }
    }

    /// A request comes.
    pub(super) fn take(&mut self, now_ms: u64, terms: Terms) -> Step {
        if self.terms != terms {
            *self = Self::new(terms);
        }
        if now_ms < self.refused_until_ms {
            return Step::Decided(self.refusal(now_ms), None);
        }
        let Some(slice) = terms.slice else {
            return Step::Ask(None);
        };
        if self.balance <= -i64::from(slice) {
            return Step::Ask(self.refill(now_ms, slice));
        }
        self.balance -= 1;
        Step::Decided(self.admission(now_ms), self.refill(now_ms, slice))
    }

    /// The window was asked, since `then_ms`, for the one request that waits.
    pub(super) fn asked(
        &mut self,
        (then_ms, now_ms): (u64, u64),
        terms: Terms,
        obtained: &Obtained,
    ) -> Verdict {
        self.learn((then_ms, now_ms), terms, obtained);
        let taken = &obtained.taken;
        Verdict {
            admitted: taken.granted > 0,
            limit: terms.limit,
            remaining: taken.remaining,
            reset_in_ms: taken.reset_in_ms,
            retry_in_ms: taken.retry_in_ms,
        }
    }

    /// The window was asked, since `then_ms`, for a slice.
    pub(super) fn refilled(
        &mut self,
        (then_ms, now_ms): (u64, u64),
        terms: Terms,
        obtained: &Obtained,
    ) {
        self.learn((then_ms, now_ms), terms, obtained);
        if self.terms == terms {
            self.refilling_since_ms = None;
            self.balance += i64::from(obtained.taken.granted);
        }
    }

    /// Nobody else's requests bring the end of a refusal forward, so it holds as long as was said.
    /// What a node gave out of its own share says nothing about the window.
    fn learn(&mut self, (then_ms, now_ms): (u64, u64), terms: Terms, obtained: &Obtained) {
        if self.terms != terms || obtained.alone {
            return;
        }
        let taken = &obtained.taken;
        self.remaining = taken.remaining;
        self.reset_at_ms = now_ms + taken.reset_in_ms;
        if taken.granted == 0 {
            self.refused_until_ms = then_ms + taken.retry_in_ms;
            self.retry_at_ms = now_ms + 1 + taken.retry_in_ms;
        }
    }

    /// What to ask for, if it is time and nobody has: a slice, and what is owed.
    fn refill(&mut self, now_ms: u64, slice: u32) -> Option<u32> {
        let under_way = |since: u64| now_ms < since + REFILL_MS_MAX;
        if self.balance >= i64::from(slice / 2) || self.refilling_since_ms.is_some_and(under_way) {
            return None;
        }
        self.refilling_since_ms = Some(now_ms);
        u32::try_from(i64::from(slice) - self.balance).ok()
    }

    fn admission(&self, now_ms: u64) -> Verdict {
        let remaining =
            (i64::from(self.remaining) + self.balance).clamp(0, self.terms.limit.into());
        let reset_at_ms = if self.balance < 0 {
            now_ms + SPAN_MS_MAX
        } else {
            self.reset_at_ms
        };
        Verdict {
            admitted: true,
            limit: self.terms.limit,
            remaining: u32::try_from(remaining).unwrap_or(0),
            reset_in_ms: reset_at_ms.saturating_sub(now_ms),
            retry_in_ms: 0,
        }
    }

    fn refusal(&self, now_ms: u64) -> Verdict {
        let retry_in_ms = self.retry_at_ms.saturating_sub(now_ms);
        Verdict {
            admitted: false,
            limit: self.terms.limit,
            remaining: 0,
            reset_in_ms: self.reset_at_ms.saturating_sub(now_ms).max(retry_in_ms),
            retry_in_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(granted: u32, remaining: u32, retry_in_ms: u64) -> Obtained {
        Obtained {
            taken: Taken {
                granted,
                remaining,
                reset_in_ms: 60_000,
                retry_in_ms,
            },
            alone: false,
        }
    }

    fn admitted(step: Step) -> Option<u32> {
        match step {
            Step::Decided(verdict, refill) if verdict.admitted => refill,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_limit_is_asked_for_each_time_until_it_is_known_to_be_used_up() {
        let terms = Terms::new(1_200, 3);
        let mut lease = Lease::new(terms);
        assert_eq!(lease.take(0, terms), Step::Ask(None));
        assert!(lease.asked((0, 0), terms, &taken(1, 7, 0)).admitted);
        assert_eq!(lease.take(1, terms), Step::Ask(None));
        assert!(!lease.asked((0, 1), terms, &taken(0, 0, 900)).admitted);
        let Step::Decided(verdict, None) = lease.take(2, terms) else {
            panic!("asked again in vain");
        };
        assert_eq!((verdict.admitted, verdict.retry_in_ms), (false, 900));
        // The window may have said so at the beginning of the millisecond that it took.
        assert_eq!(lease.take(900, terms), Step::Ask(None));
    }

    #[test]
    fn a_large_limit_is_spent_from_a_slice_that_is_filled_up_in_the_background() {
        // A hundredth of 60 000 among three: 200.
        let terms = Terms::new(60_000, 3);
        let mut lease = Lease::new(terms);
        assert_eq!(admitted(lease.take(0, terms)), Some(201));
        for _ in 1..50 {
            assert_eq!(admitted(lease.take(0, terms)), None);
        }
        lease.refilled((0, 0), terms, &taken(201, 59_000, 0));
        let refills: Vec<_> = (0..151)
            .filter_map(|_| admitted(lease.take(1, terms)))
            .collect();
        // Once, when less than half of it is left.
        assert_eq!(refills, [101]);
        lease.refilled((1, 1), terms, &taken(101, 58_000, 0));
        assert_eq!(admitted(lease.take(2, terms)), None);
    }

    #[test]
    fn credit_ends_with_a_slice_and_a_lost_question_is_asked_again() {
        let terms = Terms::new(60_000, 3);
        let mut lease = Lease::new(terms);
        assert_eq!(admitted(lease.take(0, terms)), Some(201));
        for _ in 1..200 {
            admitted(lease.take(0, terms));
        }
        assert_eq!(lease.take(0, terms), Step::Ask(None));
        // What was asked for one request is that request's.
        assert!(lease.asked((0, 0), terms, &taken(1, 10, 0)).admitted);
        assert_eq!(lease.take(0, terms), Step::Ask(None));
        lease.refilled((0, 0), terms, &taken(1, 0, 0));
        assert_eq!(admitted(lease.take(0, terms)), Some(400));
        // All of the credit is spent, and what was asked for last is lost.
        assert_eq!(lease.take(1, terms), Step::Ask(None));
        assert_eq!(lease.take(REFILL_MS_MAX, terms), Step::Ask(Some(400)));
        lease.refilled((REFILL_MS_MAX, REFILL_MS_MAX), terms, &taken(400, 0, 0));
        assert_eq!(admitted(lease.take(REFILL_MS_MAX, terms)), None);
    }

    #[test]
    fn a_slice_that_is_refused_ends_the_credit_until_there_is_something_again() {
        let terms = Terms::new(60_000, 3);
        let mut lease = Lease::new(terms);
        assert_eq!(admitted(lease.take(0, terms)), Some(201));
        lease.refilled((0, 0), terms, &taken(0, 0, 5_000));
        let Step::Decided(verdict, None) = lease.take(10, terms) else {
            panic!("went on");
        };
        assert_eq!(
            (verdict.admitted, verdict.remaining, verdict.retry_in_ms),
            (false, 0, 4_991)
        );
        assert_eq!(admitted(lease.take(5_000, terms)), Some(202));
    }

    #[test]
    fn a_refusal_of_a_node_that_is_alone_is_not_remembered() {
        for limit in [60, 60_000] {
            let terms = Terms::new(limit, 3);
            let mut lease = Lease::new(terms);
            let alone = Obtained {
                alone: true,
                ..taken(0, 0, 60_000)
            };
            assert!(!lease.asked((0, 0), terms, &alone).admitted);
            lease.refilled((0, 0), terms, &alone);
            let again = lease.take(1, terms);
            assert!(!matches!(again, Step::Decided(verdict, _) if !verdict.admitted));
        }
    }

    #[test]
    fn other_terms_start_over() {
        let (free, starter) = (Terms::new(60, 3), Terms::new(300, 3));
        let mut lease = Lease::new(free);
        lease.asked((0, 0), free, &taken(0, 0, 9_000));
        assert_eq!(lease.take(1, starter), Step::Ask(None));
        // An answer under the old ones comes late.
        lease.asked((1, 1), free, &taken(0, 0, 9_000));
        assert_eq!(lease.take(2, starter), Step::Ask(None));
    }
}
