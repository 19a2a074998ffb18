//! Mutants: bugs built into the product on purpose, one of which can be chosen for a run. A test
//! that nobody can make fail shows nothing; these show what the simulation would find.
//!
//! Each has one line at its place: `if mutant::active(Mutant::AckBeforeSync) { … }`.

use std::fmt;

/// The table of all mutants.
macro_rules! mutants {
    ($($variant:ident, $id:literal, $breaks:literal, $seen_by:literal;)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $(#[doc = concat!($id, ": ", $breaks, ".")] $variant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name by which it is chosen.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// What it breaks, as a sentence without its full stop.
            #[must_use]
            pub const fn breaks(self) -> &'static str {
                match self {
                    $(Self::$variant => $breaks,)*
                }
            }

            /// Which check should see it.
            #[must_use]
            pub const fn seen_by(self) -> &'static str {
                match self {
                    $(Self::$variant => $seen_by,)*
                }
            }
        }
    };
}

mutants! {
    AckBeforeSync, "M01", "entries are acknowledged before they are synced", "acknowledged writes survive";
    VoteNotSynced, "M02", "a vote counts as cast before it is synced", "one leader a term";
    ApplyInTwoWrites, "M03", "what was applied and how far are two writes", "equal revisions have equal states";
    ReadWithoutBarrier, "M04", "linearizable reads ask nobody", "reads are linearizable";
    BarrierWithoutWait, "M05", "a read learns how far it has to wait, and does not wait", "reads are linearizable";
    LeaseRead, "M06", "a leader answers reads as long as it takes itself for one", "reads are linearizable";
    AnswersInMemory, "M07", "answers to idempotency keys are kept in the memory of the node that was asked", "one effect per idempotency key";
    AnswersNotInCheckpoint, "M08", "a checkpoint lacks the answers to idempotency keys", "equal revisions have equal states";
    KeyNotScoped, "M09", "idempotency keys of different environments are the same", "one effect per idempotency key";
    ExpiryByLocalClock, "M10", "answers expire by the clock of the node that applies", "equal revisions have equal states";
    JournalNotInCheckpoint, "M11", "a checkpoint lacks the journal, which the audit log is read from", "equal revisions have equal states";
    InstallNotAtomic, "M12", "an installed checkpoint becomes the state before all of it is there", "a node starts again";
    AmnesiaAccepted, "M13", "a node that lost its disk takes part again under its old id", "acknowledged writes survive";
    ClockInApply, "M14", "applying asks the clock of the node", "equal revisions have equal states";
    AmbiguousRetry, "M15", "a write of unknown outcome is tried again although it has no key", "refused is not applied";
    PriorityOutsideApply, "M16", "whether a priority is free is not judged when it is taken", "the state keeps the domain's invariants";
    SwapBeforeValidating, "M17", "an edge swaps its configuration before the new one is known to be good", "edges serve what was published";
    OlderAccepted, "M18", "an edge follows a manifest that is older than its own", "edges never go back";
    PartialAccepted, "M19", "an edge takes a manifest into use of which parts have not come", "edges serve what was published";
    OfferDropped, "M20", "a node says nothing to an edge that comes back until the next change", "everything converges after healing";
    EveryNodeSends, "M21", "every node sends webhooks, not the leader alone", "webhooks are sent at most once a leader";
    QueueInMemory, "M22", "what waits to be sent to a webhook endpoint is lost with the leader", "every event is sent";
    LimitPerNode, "M23", "each node counts requests for itself", "no more is admitted than the limit";
    AppendUnchecked, "M24", "a follower that lacks earlier entries says that it has the new ones", "acknowledged writes survive";
    VoteUnchecked, "M25", "a vote is given to whoever asks, however little of the log he has", "acknowledged writes survive";
    MembershipKept, "M26", "an installed checkpoint leaves a node with the membership that its log last had", "one of two groups of voters goes on";
    LiveArchived, "M27", "a rule is archived although it is live", "priorities are unique and archived rules are not live";
    SignatureUnchecked, "M28", "an edge believes whatever names a key that it trusts", "refused manifests change nothing";
}

impl Mutant {
    /// The mutant with this [id](Self::id), in any case.
    #[must_use]
    pub fn find(id: &str) -> Option<Self> {
        let same = |mutant: &&Self| mutant.id().eq_ignore_ascii_case(id);
        Self::ALL.iter().find(same).copied()
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id(), self.breaks())
    }
}

pub use switch::{active, local_ms};

#[cfg(feature = "mutants")]
pub use switch::{choose, set_local_clock};

#[cfg(feature = "mutants")]
mod switch {
    //! With mutants: one may be chosen, for the thread.

    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
        static LOCAL_MS: Cell<Option<fn() -> u64>> = const { Cell::new(None) };
    }

    /// From now on the product has this bug on this thread, or none.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }

    /// The clock that [`local_ms`] asks.
    pub fn set_local_clock(clock: fn() -> u64) {
        LOCAL_MS.set(Some(clock));
    }

    /// Whether the product has this bug now.
    #[must_use]
    pub fn active(mutant: Mutant) -> bool {
        CHOSEN.get() == Some(mutant)
    }

    /// The wall clock of the process that runs, in Unix milliseconds, for those mutants that ask
    /// it where nothing may.
    #[must_use]
    pub fn local_ms() -> u64 {
        LOCAL_MS.get().map_or(0, |clock| clock())
    }
}

#[cfg(not(feature = "mutants"))]
mod switch {
    //! Without mutants: none is ever active.

    use super::Mutant;

    /// Never.
    #[inline(always)]
    #[must_use]
    pub const fn active(_: Mutant) -> bool {
        false
    }

    /// No time: nobody asks.
    #[inline(always)]
    #[must_use]
    pub const fn local_ms() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_are_found_by_their_ids() {
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::find(&mutant.id().to_lowercase()), Some(*mutant));
        }
        assert_eq!(Mutant::find("M99"), None);
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn the_chosen_one_is_active_and_no_other() {
        choose(Some(Mutant::LeaseRead));
        for mutant in Mutant::ALL {
            assert_eq!(active(*mutant), *mutant == Mutant::LeaseRead);
        }
        choose(None);
        assert!(!active(Mutant::LeaseRead));
    }
}
