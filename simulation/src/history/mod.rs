//! What clients asked and what they were told, and what was seen of the processes: the evidence on
//! which the checks judge. It holds facts alone and decides nothing.
//!
//! | | |
//! |---|---|
//! | `calls` | clients' attempts |
//! | `raft` | how nodes' consensus stood, what their logs held |
//! | `hosts` | lives of processes, faults |
//! | `edges` | what edges held, said and answered |
//! | `webhooks` | what receivers got |
//! | `finals` | what nodes held at the end |

mod calls;
mod edges;
mod finals;
mod hosts;
mod raft;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};

use sha2::{Digest, Sha256};

pub use calls::{
    Answer, Attempt, Call, Done, Operation, RuleSeen, Seen, Silence, SnapshotSeen, mention,
};
pub use edges::{BadManifest, EdgeSight, EdgeWord, Probe};
pub use finals::{Changed, Committed, FinalRule, FinalState, Finals, Told};
pub use hosts::{Effect, FaultSpan, Host, Life};
pub use raft::{AppliedSight, Ballot, EntrySight, Leader, LeaderChange, NodeSight, Place};
pub use webhooks::{Answered, Delivery, Endpoint};

/// An environment of the simulated workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Environment {
    /// `production`, which edges follow.
    #[default]
    Production,
    /// `sandbox`, which no edge follows.
    Sandbox,
}

impl Environment {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Production, Self::Sandbox];

    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Everything that one run saw.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Clients' attempts, in the order in which they ended.
    pub attempts: Vec<Attempt>,
    /// What edges answered.
    pub probes: Vec<Probe>,
    /// What edges held, whenever that changed or a process began.
    pub sights: Vec<EdgeSight>,
    /// What edges said of manifests.
    pub words: Vec<EdgeWord>,
    /// Manifests that were made bad on purpose.
    pub bad_manifests: Vec<BadManifest>,
    /// Every manifest of production that was ever current: (epoch, version) to its root.
    pub manifests: BTreeMap<(u64, u64), [u8; 32]>,
    /// When each of these was first seen to be current, in simulated microseconds.
    pub manifests_at: BTreeMap<(u64, u64), u64>,
    /// (revision, state hash) of nodes while they ran, with the node.
    pub hashes: Vec<(usize, u64, [u8; 32])>,
    /// How nodes' consensus stood.
    pub nodes: Vec<NodeSight>,
    /// What nodes' logs held.
    pub entries: Vec<EntrySight>,
    /// What nodes applied.
    pub applied: Vec<AppliedSight>,
    /// Changes of leadership.
    pub leaders: Vec<LeaderChange>,
    /// Lives of processes.
    pub lives: Vec<Life>,
    /// Faults.
    pub faults: Vec<FaultSpan>,
    /// What receivers of webhooks got.
    pub deliveries: Vec<Delivery>,
    /// When a record of deliveries was made to fail before it was proposed, in simulated microseconds.
    pub unrecorded: Vec<u64>,
    /// The webhook endpoints that clients made.
    pub endpoints: Vec<Endpoint>,
    /// By how much nodes' wall clocks differ at most as long as none of them jumps, in microseconds.
    pub clocks_apart_us: u64,
    /// How many requests a minute an API key may make, where clients try to exceed it.
    pub requests_per_minute: Option<u64>,
    /// What each node held at the end.
    pub finals: Finals,
    /// The journal at the end, by revision.
    pub journal: Vec<Committed>,
    /// Each edge's manifest at the end.
    pub final_edges: BTreeMap<usize, (u64, u64)>,
    /// The manifest of production that was current at the end.
    pub final_manifest: (u64, u64),
    /// The idempotency keys of what a scenario's script asked for, beside the clients.
    pub scripted: BTreeSet<String>,
    /// Tokens that were ever sent to be published.
    pub tokens: BTreeSet<String>,
    /// When everything was healed, in simulated microseconds.
    pub healed_us: Option<u64>,
    /// When everything was equal everywhere after that.
    pub converged_us: Option<u64>,
    /// When the run ended.
    pub ended_us: u64,
    /// Faults and other happenings, as lines.
    pub story: Vec<String>,
}

impl History {
    /// SHA-256 over everything that was seen, in order: equal for equal runs.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        let mut digest = Digesting(Sha256::new());
        // Writing to a digest cannot fail.
        let _ = self.write_trace(&mut digest);
        hex::encode(digest.0.finalize())
    }

    /// Writes down everything that was seen, in order: the same for equal runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_trace(&self, into: &mut dyn Write) -> std::fmt::Result {
        for line in &self.story {
            writeln!(into, "{line}")?;
        }
        list(into, &self.attempts)?;
        list(into, &self.probes)?;
        list(into, &self.sights)?;
        list(into, &self.words)?;
        list(into, &self.bad_manifests)?;
        list(into, &self.manifests)?;
        list(into, &self.hashes)?;
        list(into, &self.nodes)?;
        list(into, &self.entries)?;
        list(into, &self.applied)?;
        list(into, &self.leaders)?;
        list(into, &self.lives)?;
        list(into, &self.faults)?;
        list(into, &self.deliveries)?;
        list(into, &self.journal)?;
        list(into, &self.finals)
    }

    /// Attempts that were acknowledged.
    pub fn done(&self) -> impl Iterator<Item = (&Attempt, &Done)> {
        self.attempts
            .iter()
            .filter_map(|attempt| Some((attempt, attempt.answer.done()?)))
    }
}

fn list<T: Debug>(into: &mut dyn Write, what: impl IntoIterator<Item = T>) -> std::fmt::Result {
    what.into_iter()
        .try_for_each(|item| writeln!(into, "{item:?}"))
}

/// Formats into a digest, so that no text of a whole history is ever held.
struct Digesting(Sha256);

impl Write for Digesting {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The first eight bytes of the SHA-256 of something.
#[must_use]
pub fn short_hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}
