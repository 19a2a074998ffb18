//! What clients asked and what they were told: the evidence on which the checks judge. It holds
//! facts alone and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

/// One HTTP attempt of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which client.
    pub client: usize,
    /// The node that was asked.
    pub node: usize,
    /// What was asked.
    pub call: Call,
    /// When it was sent, in simulated microseconds.
    pub sent_us: u64,
    /// When the answer came, or the client gave up.
    pub ended_us: u64,
    /// The answer.
    pub answer: Answer,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Create a rule; `key` is the idempotency key and also a label of the rule.
    Create {
        /// The idempotency key.
        key: String,
    },
    /// Set a rule's name to a value that no other write uses.
    Rename {
        /// The idempotency key.
        key: String,
        /// Which rule.
        rule: String,
        /// The new name.
        name: String,
    },
    /// Read a rule.
    Read {
        /// Which rule.
        rule: String,
    },
    /// Set the marker rule's body and publish; `token` is what edges then answer.
    Publish {
        /// The idempotency key.
        key: String,
        /// What the published marker answers, where the client knows it.
        token: String,
    },
    /// Go back one snapshot.
    Rollback {
        /// The idempotency key.
        key: String,
    },
}

impl Call {
    /// The idempotency key, where there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Create { key }
            | Self::Rename { key, .. }
            | Self::Publish { key, .. }
            | Self::Rollback { key } => Some(key),
            Self::Read { .. } => None,
        }
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Done {
        /// `VectorGate-Revision`: the entry that made the change, or up to which was read.
        revision: u64,
        /// Whether it is the stored answer of an earlier attempt.
        replayed: bool,
        /// The body.
        body: String,
        /// The rule's identifier and name, where the body is a rule.
        rule: Option<(String, String)>,
    },
    /// 4xx: known not applied.
    Refused {
        /// The status.
        status: u16,
        /// The error's code.
        code: String,
    },
    /// 503 `cluster_unavailable`: known not applied.
    Unavailable,
    /// Anything else: it may have been applied or may be yet.
    Unknown,
}

/// What a client saw of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which edge.
    pub edge: usize,
    /// When the answer came, in simulated microseconds.
    pub at_us: u64,
    /// The status, or nothing where the connection failed.
    pub status: Option<u16>,
    /// The body.
    pub body: String,
}

/// What an edge process held at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeSight {
    /// Which edge.
    pub edge: usize,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// The manifest's epoch.
    pub epoch: u64,
    /// The manifest's version.
    pub version: u64,
    /// The manifest's root.
    pub root: [u8; 32],
}

/// A rule as a node holds it at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalRule {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The idempotency key that made it, from its labels.
    pub key: Option<String>,
}

/// An event that told of an upstream in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The upstream.
    pub upstream: String,
    /// Where.
    pub region: String,
    /// Whether it failed there, or recovered.
    pub failed: bool,
}

/// What one node holds at the end, after the faults healed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalState {
    /// Up to which revision.
    pub applied: u64,
    /// The hash of its whole state.
    pub hash: [u8; 32],
    /// Its rules.
    pub rules: Vec<FinalRule>,
    /// What it tells of upstreams, oldest first.
    pub outages: Vec<Told>,
    /// What the domain's own invariants say.
    pub invariants: Option<String>,
}

/// Everything that one run saw.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Clients' attempts, in the order in which they ended.
    pub attempts: Vec<Attempt>,
    /// What edges answered.
    pub probes: Vec<Probe>,
    /// What edges held.
    pub sights: Vec<EdgeSight>,
    /// Every manifest that was ever current: (epoch, version) to its root.
    pub manifests: BTreeMap<(u64, u64), [u8; 32]>,
    /// (revision, state hash) of nodes while they ran, with the node.
    pub hashes: Vec<(usize, u64, [u8; 32])>,
    /// What each node held at the end.
    pub finals: BTreeMap<usize, FinalState>,
    /// Each edge's manifest at the end.
    pub final_edges: BTreeMap<usize, (u64, u64)>,
    /// The manifest that was current at the end.
    pub final_manifest: (u64, u64),
    /// Tokens that were ever sent to be published.
    pub tokens: BTreeSet<String>,
    /// Faults and other happenings, as lines.
    pub story: Vec<String>,
}

impl History {
    /// SHA-256 over everything that was seen, in order: equal for equal runs.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        let mut digest = Sha256::new();
        for line in &self.story {
            digest.update(line.as_bytes());
            digest.update(b"\n");
        }
        digest.update(format!("{:?}", self.attempts).as_bytes());
        digest.update(format!("{:?}", self.probes).as_bytes());
        digest.update(format!("{:?}", self.sights).as_bytes());
        digest.update(format!("{:?}", self.manifests).as_bytes());
        digest.update(format!("{:?}", self.finals).as_bytes());
        hex::encode(digest.finalize())
    }

    /// Attempts that were acknowledged, with their revision.
    pub fn done(&self) -> impl Iterator<Item = (&Attempt, u64)> {
        self.attempts
            .iter()
            .filter_map(|attempt| match &attempt.answer {
                Answer::Done { revision, .. } => Some((attempt, *revision)),
                _ => None,
            })
    }
}
