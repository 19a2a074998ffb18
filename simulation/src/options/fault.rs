//! The things that go wrong, what each is called, and how one is drawn. Whether and when one
//! strikes is the options' matter, how it does the faults'.

use std::time::Duration;

use injection::Point;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::change::Change;

/// A node that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever leads when it strikes.
    Leader,
    /// A node, by index.
    Node(usize),
}

/// An operation of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Something is read.
    Read,
    /// Something is written.
    Write,
    /// What was written is made durable.
    Sync,
}

/// How a receiver of webhooks behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers 200 at once.
    #[default]
    Well,
    /// It answers this status.
    Status(u16),
    /// It never answers.
    Hang,
    /// It answers a byte at a time.
    Slow,
    /// It wants the sender to go elsewhere.
    Redirect,
    /// It answers more than anybody wants to read.
    Huge,
    /// It hangs up.
    Break,
}

/// What a node that edges trust gives them although it is of no use, first; the others follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Badness {
    /// A root whose chunk is not what the hash says.
    WrongHash,
    /// A root whose chunk is cut off.
    Truncated,
    /// A root whose chunk has the right hash and does not decode.
    Undecodable,
    /// A tree that is whole and well formed, of items that mean nothing.
    Meaningless,
    /// What was published, but for one route whose settings mean nothing.
    Spoilt,
    /// A root whose chunk is larger than any may be.
    Oversize,
    /// What was published before what the edge has, as it was.
    Older,
    /// The version that the edge has, with another root.
    Conflicting,
    /// A root whose chunks the node does not have.
    Missing,
    /// Bytes that are no frame.
    Garbage,
    /// What could have been published, with a signature that is of something else.
    Forged,
    /// What could have been published, signed by somebody else.
    Stranger,
}

impl Badness {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::WrongHash,
        Self::Truncated,
        Self::Undecodable,
        Self::Meaningless,
        Self::Spoilt,
        Self::Oversize,
        Self::Older,
        Self::Conflicting,
        Self::Missing,
        Self::Garbage,
        Self::Forged,
        Self::Stranger,
    ];

    /// Whether an edge breaks off over it, and not only refuses it.
    #[must_use]
    pub fn breaks_off(self) -> bool {
        matches!(
            self,
            Self::WrongHash
                | Self::Truncated
                | Self::Oversize
                | Self::Missing
                | Self::Garbage
                | Self::Forged
        )
    }

    /// What it is called where it is written down.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongHash => "wrong hash",
            Self::Truncated => "truncated",
            Self::Undecodable => "undecodable",
            Self::Meaningless => "meaningless",
            Self::Spoilt => "spoilt",
            Self::Oversize => "oversize",
            Self::Older => "older",
            Self::Conflicting => "conflicting",
            Self::Missing => "missing",
            Self::Garbage => "garbage",
            Self::Forged => "forged",
            Self::Stranger => "stranger",
        }
    }
}

/// Something that goes wrong, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node is cut off from the other nodes.
    Isolate(Whom),
    /// A node is cut off from the other nodes, and when it is back, the leader dies: who stands for
    /// election then may lack what was committed.
    Lag(usize),
    /// These nodes, less than a half, are cut off from the others.
    Split(Vec<usize>),
    /// Messages from one node to another are lost, but not the other way.
    CutOneWay(usize, usize),
    /// A node hears nobody, and is heard, or the other way round.
    HalfDeaf(Whom, bool),
    /// So many of a thousand messages between nodes are lost.
    Loss(u16),
    /// Messages between two nodes take up to so long.
    Latency(usize, usize, Duration),
    /// Messages between two nodes are held back and all delivered at the end.
    Hold(usize, usize),
    /// A node's process dies and its disk loses what was not synced.
    Crash(Whom),
    /// All nodes die at once.
    CrashAll,
    /// The leader dies, and whoever votes for another one dies as soon as he did.
    CrashVoters,
    /// A node dies for so long that it has to be given a checkpoint, and dies again once at each of
    /// these points if it is.
    Outage(usize, Vec<Point>),
    /// A node dies in the middle of a write or a sync, after so many more.
    Die(Whom, u64),
    /// A node is stopped as its operator would, and started again.
    Restart(Whom),
    /// All that a node sends and is sent is held back: to the others it stands still.
    Pause(Whom),
    /// An operator takes a node's vote, and gives it back at the end.
    Demote(usize),
    /// An operator changes who belongs to the cluster.
    Change(Change),
    /// The leader hands leadership over.
    Transfer,
    /// While a node is down, a place on its disk rots.
    Rot(usize),
    /// While a node is down, its disk is lost, and an empty one takes its place.
    LoseDisk(usize),
    /// A node's disk is full.
    DiskFull(Whom),
    /// An operation of a node's disk fails, after so many more.
    DiskError(Whom, DiskOperation, u64),
    /// A node's disk takes so long to sync.
    DiskSlow(Whom, Duration),
    /// A node's wall clock jumps by so many milliseconds, and back at the end.
    ClockJump(usize, i64),
    /// An edge is cut off from all nodes.
    IsolateEdge(usize),
    /// An edge's process dies.
    CrashEdge(usize),
    /// An edge dies in the middle of writing, after so many more steps.
    EdgeDies(usize, u64),
    /// While an edge is down, a place on its disk rots.
    EdgeRot(usize),
    /// An edge's disk is full.
    EdgeDiskFull(usize),
    /// A node that edges trust serves what is bad.
    BadPublisher(Badness),
    /// All nodes die, and all edges connect again at once.
    Herd,
    /// A receiver of webhooks behaves so.
    Receiver(usize, Behaviour),
    /// The origin that edges send requests to is gone.
    CrashOrigin,
}

/// How many kinds of faults are drawn: all but the origin's crash, which is in every run, and changes of the members, which
/// are drawn apart.
pub(super) const KINDS: usize = 31;

/// Where a node can die that is given a checkpoint, in the order in which it comes by.
pub const INSTALLING: [Point; 8] = [
    Point::BeforeCheckpointChunk,
    Point::AfterCheckpointChunk,
    Point::BeforeCheckpointAdopt,
    Point::AfterCheckpointAdopt,
    Point::BeforeCheckpointInstallMeta,
    Point::AfterCheckpointInstallMeta,
    Point::BeforeCheckpointInstallSwap,
    Point::AfterCheckpointInstallSwap,
];

/// At how many of these it does, at most.
const INSTALLING_MAX: usize = 3;

/// Which of them is [`Fault::Herd`].
pub(super) const HERD_KIND: usize = 25;

/// Of what a fault is drawn.
pub(super) struct Place {
    pub(super) voters: usize,
    pub(super) edges: usize,
    pub(super) receivers: usize,
}

impl Fault {
    /// Its number in the matrix of faults, which the counts go by.
    #[must_use]
    pub fn number(&self) -> &'static str {
        match self {
            Self::Isolate(_) | Self::Lag(_) | Self::Split(_) => "F1",
            Self::CutOneWay(..) | Self::HalfDeaf(..) => "F2",
            Self::Loss(_) | Self::Latency(..) => "F3",
            Self::Hold(..) => "F4",
            Self::Crash(_) | Self::CrashAll | Self::CrashVoters | Self::Restart(_) => "F5",
            Self::Pause(_) => "F6",
            Self::Outage(..) => "F7",
            Self::Demote(_) | Self::Change(_) => "F9",
            Self::Transfer => "F10",
            Self::Die(..) => "F11",
            Self::Rot(_) | Self::LoseDisk(_) => "F12",
            Self::DiskFull(_) => "F13",
            Self::DiskError(..) => "F14",
            Self::DiskSlow(..) => "F15",
            Self::ClockJump(..) => "F16",
            Self::IsolateEdge(_)
            | Self::CrashEdge(_)
            | Self::EdgeDies(..)
            | Self::EdgeRot(_)
            | Self::EdgeDiskFull(_) => "F19",
            Self::BadPublisher(_) => "F20",
            Self::Herd => "F21",
            Self::Receiver(..) => "F22",
            Self::CrashOrigin => "origin",
        }
    }

    /// Draws one of a kind, and how long it lasts.
    pub(super) fn draw(kind: usize, place: &Place, rng: &mut ChaCha8Rng) -> (Self, Duration) {
        let short = Duration::from_millis(rng.random_range(300..=6_000));
        let long = Duration::from_millis(rng.random_range(5_000..=15_000));
        let node = rng.random_range(0..place.voters);
        let other = (node + rng.random_range(1..place.voters)) % place.voters;
        let edge = rng.random_range(0..place.edges);
        let whom = if rng.random_bool(0.5) {
            Whom::Leader
        } else {
            Whom::Node(node)
        };
        let steps = rng.random_range(0..60);
        let fault = match kind {
            0 => Self::Isolate(Whom::Leader),
            1 => Self::Isolate(Whom::Node(node)),
            2 => Self::Split(minority(place.voters, rng)),
            3 => Self::CutOneWay(node, other),
            4 => Self::HalfDeaf(whom, rng.random()),
            5 => Self::Loss(rng.random_range(2..=60)),
            6 => Self::Latency(
                node,
                other,
                Duration::from_millis(rng.random_range(50..=500)),
            ),
            7 => Self::Hold(node, other),
            8 => Self::Crash(Whom::Leader),
            9 => Self::Crash(Whom::Node(node)),
            10 => Self::CrashAll,
            11 => return (Self::Outage(node, installing(rng)), long),
            12 => Self::Die(whom, steps),
            13 => Self::Restart(whom),
            14 => Self::Pause(whom),
            15 => Self::Transfer,
            16 => Self::Rot(node),
            17 => Self::DiskFull(whom),
            18 => Self::DiskError(whom, operation(rng), steps),
            19 => Self::DiskSlow(whom, Duration::from_millis(rng.random_range(100..=5_000))),
            20 => return (Self::ClockJump(node, jump_ms(rng)), long),
            21 => Self::IsolateEdge(edge),
            22 => edge_crash(edge, rng),
            23 => Self::EdgeDiskFull(edge),
            24 => {
                let all = Badness::ALL;
                return (
                    Self::BadPublisher(all[rng.random_range(0..all.len())]),
                    long,
                );
            }
            HERD_KIND => Self::Herd,
            26 => return (Self::Demote(node), long),
            27 => return (Self::Lag(node), long),
            28 => Self::CrashVoters,
            29 => Self::LoseDisk(node),
            _ => {
                let receiver = rng.random_range(0..place.receivers);
                return (Self::Receiver(receiver, behaviour(rng)), long);
            }
        };
        (fault, short)
    }
}

/// Less than a half of the nodes, at least one.
fn minority(voters: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let size = rng.random_range(1..=(voters - 1) / 2);
    let first = rng.random_range(0..voters);
    let mut nodes: Vec<_> = (0..size).map(|step| (first + step) % voters).collect();
    nodes.sort_unstable();
    nodes
}

/// In a half of all cases, some of the places where a node can die that is given a checkpoint.
fn installing(rng: &mut ChaCha8Rng) -> Vec<Point> {
    let count = rng.random_range(1..=INSTALLING_MAX);
    if rng.random() {
        INSTALLING.sample(rng, count).copied().collect()
    } else {
        Vec::new()
    }
}

/// Up to an hour, either way; or in a third of all cases some days ahead, so that log time passes what
/// answers and sessions live for.
fn jump_ms(rng: &mut ChaCha8Rng) -> i64 {
    let hour = 3_600_000;
    if rng.random_range(0..3) == 0 {
        rng.random_range(25 * hour..=72 * hour)
    } else {
        rng.random_range(-hour..=hour)
    }
}

fn operation(rng: &mut ChaCha8Rng) -> DiskOperation {
    match rng.random_range(0..4) {
        0 => DiskOperation::Read,
        1 => DiskOperation::Write,
        _ => DiskOperation::Sync,
    }
}

fn edge_crash(edge: usize, rng: &mut ChaCha8Rng) -> Fault {
    match rng.random_range(0..3) {
        0 => Fault::CrashEdge(edge),
        1 => Fault::EdgeDies(edge, rng.random_range(0..12)),
        _ => Fault::EdgeRot(edge),
    }
}

fn behaviour(rng: &mut ChaCha8Rng) -> Behaviour {
    match rng.random_range(0..6) {
        0 => Behaviour::Status([500, 503, 404, 410][rng.random_range(0..4)]),
        1 => Behaviour::Hang,
        2 => Behaviour::Slow,
        3 => Behaviour::Redirect,
        4 => Behaviour::Huge,
        _ => Behaviour::Break,
    }
}
