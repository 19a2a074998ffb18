//! One edge and one node, stepped against each other on a virtual clock. Frames go through their
//! encoding; what is not delivered yet can be looked at, held back or lost with the connection.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use domain::id::{ClusterId, EnvironmentId, Seed};
use domain::model::{Epoch, Manifest, ManifestVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::{self, Edits, Hash, TreeKind};
use edge_protocol::feeder::{self, ChunkReader};
use edge_protocol::follower::{self, ApplyFailure, Chunks, CloseReason, Event, Held, Holdings};
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::signing::{KeyPair, TrustSet, TrustedKey};
use edge_protocol::telemetry::Batch;
use edge_protocol::{
    Feeder, Follower, HealthReport, Hello, ManifestRef, Moment, Offer, PROTOCOL, Refusal, Report,
    ReportState, SignedManifest, SignedTrust, ToEdge, ToNode, TrustReport, Welcome,
};

pub(crate) fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        edge_id: "edge-1".to_owned(),
        environment: "production".to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::new(),
        software: "test".to_owned(),
        have: None,
    }
}

pub(crate) fn environment(random: u64) -> EnvironmentId {
    EnvironmentId::new(Seed { unix_ms: 0, random })
}

pub(crate) fn welcome() -> Welcome {
    Welcome {
        protocol: PROTOCOL,
        node_id: 1,
        environment_id: environment(1),
        publishers: Vec::new(),
    }
}

pub(crate) fn manifest(epoch: u64, version: u64, root: Hash) -> ManifestRef {
    ManifestRef {
        epoch: Epoch(epoch),
        version: ManifestVersion(version),
        root,
    }
}

/// The key that signs.
pub(crate) fn key() -> KeyPair {
    KeyPair::new(&[7; 32]).unwrap()
}

pub(crate) fn cluster(random: u64) -> ClusterId {
    ClusterId::new(Seed { unix_ms: 0, random })
}

/// A manifest as the cluster signs it.
pub(crate) fn signed(manifest: ManifestRef) -> SignedManifest {
    signed_by(manifest, &key())
}

pub(crate) fn signed_by(manifest: ManifestRef, key: &KeyPair) -> SignedManifest {
    let manifest = Manifest {
        environment_id: environment(1),
        epoch: manifest.epoch,
        version: manifest.version,
        root: manifest.root,
        updated_at: Timestamp(1),
        revision: Revision(1),
        previous: Hash([0; 32]),
    };
    SignedManifest::sign(&cluster(1), &manifest, key)
}

/// Whom the cluster trusts: one key, the first of `cluster`.
pub(crate) fn trust_of(cluster: ClusterId) -> SignedTrust {
    let set = TrustSet {
        cluster_id: cluster,
        epoch: Epoch(0),
        serial: 1,
        keys: vec![TrustedKey {
            public: key().public(),
            voucher: None,
            retired: false,
        }],
    };
    SignedTrust::sign(set, &key())
}

pub(crate) fn trust() -> SignedTrust {
    trust_of(cluster(1))
}

pub(crate) fn offer(manifest: ManifestRef) -> Offer {
    Offer {
        trust: trust(),
        manifest: signed(manifest),
    }
}

/// A tree of `len` items of which those in `changed` differ from the usual.
pub(crate) fn tree(len: u32, changed: &[u32]) -> (Hash, Chunks) {
    let edits: Edits = (0..len)
        .map(|item| {
            let salt = u8::from(changed.contains(&item));
            let value = Hash::of(&[item.to_be_bytes().as_slice(), &[salt]].concat())
                .0
                .repeat(4);
            (format!("key-{item:08}").into_bytes(), Some(value))
        })
        .collect();
    let none: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
    let edited = tree::edit(&none, TreeKind::Rules, Hash::EMPTY_TREE, &edits).unwrap();
    (
        edited.root,
        edited
            .chunks
            .into_iter()
            .map(|(hash, bytes)| (hash, Bytes::from(bytes)))
            .collect(),
    )
}

/// What the node has.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) chunks: Chunks,
    /// Sent instead of the chunk with this hash.
    pub(crate) garbage: Option<(Hash, Bytes)>,
    /// How many chunks the node read.
    pub(crate) reads: RefCell<usize>,
}

impl ChunkReader for Shelf {
    fn read(&self, hashes: &[Hash], bytes_max: usize) -> Vec<Option<Bytes>> {
        let mut bytes = 0;
        let mut found = Vec::new();
        for hash in hashes {
            let chunk = match &self.garbage {
                Some((tampered, garbage)) if tampered == hash => Some(garbage.clone()),
                _ => self.chunks.get(hash).cloned(),
            };
            bytes += chunk.as_ref().map_or(0, Bytes::len);
            found.push(chunk);
            if bytes >= bytes_max {
                break;
            }
        }
        *self.reads.borrow_mut() += found.len();
        found
    }
}

/// What the edge has.
#[derive(Default)]
pub(crate) struct Disk(pub(crate) Chunks);

impl Holdings for Disk {
    fn held(&self, hash: &Hash) -> Held {
        self.0
            .get(hash)
            .map_or(Held::Nothing, |chunk| Held::Chunk(chunk.clone()))
    }

    fn chunk(&self, hash: &Hash) -> Option<Bytes> {
        self.0.get(hash).cloned()
    }
}

/// How the edge's next attempt to apply something ends.
pub(crate) enum Outcome {
    Content,
    Local,
}

/// No conversation here takes nearly as many.
const STEPS_MAX: usize = 100_000;

pub(crate) struct Pair {
    pub(crate) now: Moment,
    pub(crate) follower: Follower,
    pub(crate) feeder: Feeder,
    pub(crate) shelf: Shelf,
    pub(crate) disk: Disk,
    pub(crate) newest: ManifestRef,
    pub(crate) environment: EnvironmentId,
    /// Attempts that fail; all others succeed.
    pub(crate) failures: VecDeque<Outcome>,
    /// Actions to apply are left alone while this is set.
    pub(crate) hold_applying: bool,
    pub(crate) applying: Option<(ManifestRef, Chunks)>,
    pub(crate) applied: Vec<ManifestRef>,
    pub(crate) reports: Vec<Report>,
    pub(crate) counted: Vec<Batch>,
    pub(crate) health: Vec<HealthReport>,
    pub(crate) events: Vec<Event>,
    pub(crate) trusts: Vec<TrustSet>,
    pub(crate) trust_reports: Vec<TrustReport>,
    pub(crate) edge_closed: Option<CloseReason>,
    pub(crate) node_closed: Option<Refusal>,
    pub(crate) to_node: VecDeque<ToNode>,
    pub(crate) to_edge: VecDeque<ToEdge>,
    /// Every hash that the edge asked for, ever.
    pub(crate) wanted: Vec<Hash>,
}

impl Pair {
    /// A connected pair that has not said anything yet.
    pub(crate) fn new(newest: ManifestRef, chunks: Chunks) -> Self {
        Self::resume(Follower::new(hello(), None, None), newest, chunks)
    }

    pub(crate) fn resume(follower: Follower, newest: ManifestRef, chunks: Chunks) -> Self {
        let now = Moment::after_start(Duration::from_secs(100));
        let mut pair = Self {
            now,
            follower,
            feeder: Feeder::new(now),
            shelf: Shelf {
                chunks,
                ..Shelf::default()
            },
            disk: Disk::default(),
            newest,
            environment: environment(1),
            failures: VecDeque::new(),
            hold_applying: false,
            applying: None,
            applied: Vec::new(),
            reports: Vec::new(),
            counted: Vec::new(),
            health: Vec::new(),
            events: Vec::new(),
            trusts: Vec::new(),
            trust_reports: Vec::new(),
            edge_closed: None,
            node_closed: None,
            to_node: VecDeque::new(),
            to_edge: VecDeque::new(),
            wanted: Vec::new(),
        };
        pair.follower.handle_connected(now);
        pair
    }

    /// Loses the connection with all that is under way, and makes a new one, to a node that holds
    /// the same.
    pub(crate) fn reconnect(&mut self) {
        self.lose();
        self.feeder = Feeder::new(self.now);
        self.follower.handle_connected(self.now);
    }

    pub(crate) fn lose(&mut self) {
        self.follower.handle_disconnected();
        self.to_node.clear();
        self.to_edge.clear();
        self.edge_closed = None;
        self.node_closed = None;
    }

    pub(crate) fn publish(&mut self, newest: ManifestRef, chunks: Chunks) {
        self.shelf.chunks.extend(chunks);
        self.newest = newest;
        self.feeder.handle_offer(offer(newest));
    }

    /// Lets time pass, without anything being delivered meanwhile.
    pub(crate) fn sleep(&mut self, wait: Duration) {
        self.now = self.now.plus(wait);
        self.follower.handle_timeout(self.now);
        self.feeder.handle_timeout(self.now);
    }

    /// Delivers until nobody has anything more to say.
    pub(crate) fn settle(&mut self) {
        let steps = (0..STEPS_MAX).take_while(|_| self.step()).count();
        assert!(steps < STEPS_MAX, "they never come to rest");
    }

    /// Each side says what it has to say and hears one frame. False if nothing happened.
    pub(crate) fn step(&mut self) -> bool {
        self.edge_turn();
        self.node_turn();
        let mut moved = false;
        if let Some(frame) = self.to_node.pop_front() {
            self.feeder.handle_frame(self.now, through_the_wire(&frame));
            moved = true;
        }
        if let Some(frame) = self.to_edge.pop_front() {
            self.follower
                .handle_frame(self.now, through_the_wire(&frame));
            moved = true;
        }
        self.edge_turn() || self.node_turn() || moved
    }

    pub(crate) fn edge_turn(&mut self) -> bool {
        let mut moved = false;
        self.follower.advance(self.now, &self.disk);
        while let Some(action) = self.follower.poll_action() {
            moved = true;
            match action {
                follower::Action::Apply {
                    manifest, chunks, ..
                } => self.applying = Some((manifest.manifest, chunks)),
                follower::Action::Trust(set) => self.trusts.push(set),
                follower::Action::Close(reason) => self.edge_closed = Some(reason),
            }
        }
        if !self.hold_applying
            && let Some((manifest, chunks)) = self.applying.take()
        {
            self.finish_applying(manifest, chunks);
            moved = true;
        }
        while let Some(frame) = self.follower.poll_transmit() {
            match &frame {
                ToNode::Want(hashes) => self.wanted.extend(hashes),
                ToNode::WantPatches(wanted) => {
                    self.wanted.extend(wanted.iter().map(|it| it.hash));
                }
                _ => {}
            }
            self.to_node.push_back(frame);
            moved = true;
        }
        self.events
            .extend(std::iter::from_fn(|| self.follower.poll_event()));
        moved
    }

    fn finish_applying(&mut self, manifest: ManifestRef, chunks: Chunks) {
        let result = match self.failures.pop_front() {
            None => {
                self.disk.0.extend(chunks);
                self.applied.push(manifest);
                Ok(())
            }
            Some(Outcome::Content) => {
                Err(ApplyFailure::Content("rule_1 does not compile".to_owned()))
            }
            Some(Outcome::Local) => Err(ApplyFailure::Local {
                reason: "the disk is full".to_owned(),
                chunks,
            }),
        };
        self.follower
            .handle_applied(self.now, Duration::from_millis(3), result);
    }

    pub(crate) fn node_turn(&mut self) -> bool {
        let mut moved = false;
        while let Some(action) = self.feeder.poll_action() {
            moved = true;
            match action {
                feeder::Action::Admit(_) => {
                    let welcome = Welcome {
                        environment_id: self.environment.clone(),
                        ..welcome()
                    };
                    self.feeder
                        .handle_admitted(self.now, welcome, offer(self.newest));
                }
                feeder::Action::Note(report) => self.reports.push(report),
                feeder::Action::Count(batch) => self.counted.push(batch),
                feeder::Action::Health(report) => self.health.push(report),
                feeder::Action::Trust(report) => self.trust_reports.push(report),
                feeder::Action::Close(refusal) => self.node_closed = Some(refusal),
            }
        }
        while let Some(frame) = self.feeder.poll_transmit(&self.shelf) {
            self.to_edge.push_back(frame);
            moved = true;
        }
        moved
    }

    pub(crate) fn states(&self) -> Vec<ReportState> {
        self.reports
            .iter()
            .map(|report| report.state.clone())
            .collect()
    }

    pub(crate) fn rejections(&self) -> Vec<String> {
        self.reports
            .iter()
            .filter_map(|report| match &report.state {
                ReportState::Rejected { reason } => Some(reason.clone()),
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn through_the_wire<M>(frame: &M) -> M
where
    M: serde::Serialize + serde::de::DeserializeOwned + edge_protocol::message::Bounded,
{
    let mut decoder = Decoder::default();
    decoder.push(&encode(frame).unwrap());
    decoder.next_message().unwrap().unwrap()
}
