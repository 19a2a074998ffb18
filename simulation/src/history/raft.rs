//! What nodes' consensus was seen to hold: how each stood over time, what its log held, and what it
//! applied. An observer writes these down; whether they agree is for the checks.

/// An entry's place in a log: who led when it was proposed, and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The leader.
    pub leader: Leader,
    /// The index.
    pub index: u64,
}

/// A term and the node that leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leader {
    /// The term.
    pub term: u64,
    /// The node.
    pub node: u64,
}

/// A vote as a node holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ballot {
    /// Whom it voted for.
    pub leader: Leader,
    /// Whether a quorum did.
    pub elected: bool,
}

/// How a node's consensus stood. One is recorded whenever it differs from the one before, and at
/// each start of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSight {
    /// Which node: its number as a member.
    pub node: usize,
    /// Which of its lives, counted from 1.
    pub life: u64,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// The term that it is in.
    pub term: u64,
    /// Its vote.
    pub vote: Ballot,
    /// Whether it takes itself for the leader.
    pub leads: bool,
    /// Whether it does and a quorum acknowledged it within the last second.
    pub acting: bool,
    /// The leader that it knows.
    pub leader: Option<u64>,
    /// The last entry of its log.
    pub last: Option<Place>,
    /// The last entry of its log that it knows to be committed.
    pub committed: Option<Place>,
    /// The last entry that it applied.
    pub applied: Option<Place>,
    /// What its last checkpoint covers.
    pub checkpoint: Option<Place>,
    /// Up to where its log was purged.
    pub purged: Option<Place>,
    /// The entry that the membership is of: the last one in its log, committed or not.
    pub membership: Option<Place>,
    /// The voters: one set, or two while a change of them is under way.
    pub voters: Vec<Vec<u64>>,
    /// The members without a vote.
    pub learners: Vec<u64>,
}

/// An entry, as a log was first seen to hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntrySight {
    /// Which node: its number as a member.
    pub node: usize,
    /// Which of its lives, counted from 1.
    pub life: u64,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// Where.
    pub place: Place,
    /// Whose entry stands before it, unless that was purged.
    pub before: Option<Leader>,
    /// What it carries: the first bytes of its SHA-256.
    pub hash: u64,
}

/// An entry that a node had applied and still had in its log, so that it is known what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedSight {
    /// Which node: its number as a member.
    pub node: usize,
    /// Which of its lives, counted from 1.
    pub life: u64,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// Where.
    pub place: Place,
    /// What it carries, as in [`EntrySight`].
    pub hash: u64,
}

/// A change of leadership, as the first node to know of it told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// Who leads from then on.
    pub leader: Leader,
    /// What the new leader had applied by then.
    pub revision: u64,
}
