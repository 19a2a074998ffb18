//! When processes lived and which faults were in force.

/// A process, or what stands for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A node, counted from 1.
    Node(usize),
    /// An edge, counted from 0.
    Edge(usize),
    /// What edges send requests to.
    Origin,
    /// What webhooks are sent to, by its host name.
    Receiver(String),
}

/// One life of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Which process.
    pub host: Host,
    /// When it began, in simulated microseconds.
    pub began_us: u64,
    /// When it ended; `None` while it lives.
    pub ended_us: Option<u64>,
    /// Whether it ended by itself: a node that halts over its disk does.
    pub by_itself: bool,
}

/// A fault and for how long it was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpan {
    /// What kind of fault, as the options name it.
    pub kind: &'static str,
    /// What it does to the cluster.
    pub effect: Effect,
    /// When it began, in simulated microseconds.
    pub began_us: u64,
    /// When it ended; `None` while it lasts.
    pub ended_us: Option<u64>,
}

/// What a fault does to those that it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing passes between these pairs, either way.
    Cut(Vec<(Host, Host)>),
    /// Nothing passes from the first to the second; the other way is open.
    CutOneWay(Host, Host),
    /// What is sent between these two arrives when the fault ends.
    Held(Host, Host),
    /// Messages between any hosts are lost, repeated or late now and then.
    Weather,
    /// These do not run.
    Down(Vec<Host>),
    /// This one does not run, and a place on its disk rots meanwhile.
    Rot(Host),
    /// These stand still and go on later.
    Paused(Vec<Host>),
    /// The disks of these fail, are full or slow.
    Disk(Vec<Host>),
    /// The disk of this one is lost, for good, with all that it had promised to keep.
    DiskLost(Host),
    /// The clocks of these are off.
    Clock(Vec<Host>),
    /// What these serve is bad on purpose.
    Bad(Vec<Host>),
    /// Nothing that a client could notice by itself.
    Other,
}

impl FaultSpan {
    /// Whether it was in force at some time between the two, both included.
    #[must_use]
    pub fn overlaps(&self, from_us: u64, until_us: u64) -> bool {
        self.began_us <= until_us && self.ended_us.is_none_or(|ended| ended >= from_us)
    }
}
