//! What travels to an edge: the chunks that it lacks, each once, whatever happens to the connection
//! and however long the edge was away. Bytes are counted as they stand on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::content::{
    Action, Criteria, PathPattern, RouteContent, RouteEntry, RuleContent, route_key, rule_key,
};
use domain::id::{ClusterId, EnvironmentId, RouteId, RuleId, Seed, SnapshotId};
use domain::model::{Epoch, Manifest, ManifestVersion, Mode, Priority, SnapshotVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::{self, Edits, Hash, TreeKind};
use edge::store::{MemoryDirectory, Store};
use edge_protocol::feeder::{self, ChunkReader};
use edge_protocol::follower::Action as Does;
use edge_protocol::frame::encode;
use edge_protocol::signing::{KeyPair, Trust, TrustSet, TrustedKey};
use edge_protocol::{
    Feeder, Follower, Hello, ManifestRef, Moment, Offer, PROTOCOL, Patch, SignedManifest,
    SignedTrust, ToEdge, Welcome,
};

const RULES: u32 = 100_000;

/// What one changed rule among all of them may cost.
const ONE_RULE_BYTES_MAX: usize = 4096;

fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_714_320_000_000,
        random: random.wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}

fn rule(number: u32, body: u32) -> RuleContent {
    RuleContent {
        id: RuleId::new(seed(number.into())),
        priority: Priority(number),
        name: format!("Tenant {number}"),
        criteria: Criteria {
            path: vec![PathPattern::Prefix(format!("/tenants/{number}"))],
            ..Criteria::default()
        },
        action: Action::FixedResponse {
            status: 200,
            headers: BTreeMap::new(),
            body: format!("tenant {number}, text {body}"),
        },
        metadata: BTreeMap::from([("owner".to_owned(), "platform".to_owned())]),
    }
}

/// The control plane's side: a route's rules as a tree, and every manifest's chunks.
struct Plane {
    chunks: BTreeMap<Hash, Vec<u8>>,
    rules: Hash,
    routes: Hash,
    version: u64,
}

impl Plane {
    fn new() -> Self {
        let mut plane = Self {
            chunks: BTreeMap::new(),
            rules: Hash::EMPTY_TREE,
            routes: Hash::EMPTY_TREE,
            version: 0,
        };
        plane.publish((0..RULES).map(|number| rule(number, 0)));
        plane
    }

    fn publish(&mut self, rules: impl IntoIterator<Item = RuleContent>) -> ManifestRef {
        self.version += 1;
        let edits: Edits = rules
            .into_iter()
            .map(|rule| (rule_key(rule.priority, &rule.id), Some(rule.encode())))
            .collect();
        self.rules = self.edit(TreeKind::Rules, self.rules, &edits);
        let route = RouteContent {
            route_id: RouteId::new(seed(1)),
            name: "Public API".to_owned(),
            hostname: "api.example.net".to_owned(),
            mode: Mode::Balanced,
            enabled: true,
            default_upstreams: Vec::new(),
            config: "{}".to_owned(),
            upstreams: Hash::EMPTY_TREE,
            rules: self.rules,
            rule_count: RULES.into(),
        };
        let head = route.encode();
        let entry = RouteEntry {
            route_id: route.route_id.clone(),
            purges: domain::model::Purges::default(),
            hostname: route.hostname.clone(),
            enabled: true,
            snapshot_id: SnapshotId::new(seed(self.version)),
            version: SnapshotVersion(self.version),
            head: Hash::of(&head),
        };
        self.chunks.insert(entry.head, head);
        let edits = Edits::from([(route_key(&entry.route_id), Some(entry.encode()))]);
        self.routes = self.edit(TreeKind::Routes, self.routes, &edits);
        self.manifest()
    }

    fn edit(&mut self, kind: TreeKind, root: Hash, edits: &Edits) -> Hash {
        let edited = tree::edit(&self.chunks, kind, root, edits).unwrap();
        self.chunks.extend(edited.chunks);
        edited.root
    }

    fn manifest(&self) -> ManifestRef {
        ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(self.version),
            root: self.routes,
        }
    }

    /// The manifest as the cluster signs it.
    fn offer(&self) -> Offer {
        let key = KeyPair::new(&[7; 32]).unwrap();
        let set = TrustSet {
            cluster_id: ClusterId::new(seed(8)),
            epoch: Epoch(1),
            serial: 1,
            keys: vec![TrustedKey {
                public: key.public(),
                voucher: None,
                retired: false,
            }],
        };
        let manifest = self.manifest();
        let manifest = Manifest {
            environment_id: environment(),
            epoch: manifest.epoch,
            version: manifest.version,
            root: manifest.root,
            updated_at: Timestamp(1),
            revision: Revision(1),
            previous: Hash([0; 32]),
        };
        Offer {
            manifest: SignedManifest::sign(&set.cluster_id, &manifest, &key),
            trust: SignedTrust::sign(set, &key),
        }
    }

    /// How long the chunk is that comes of a patch.
    fn size(&self, patch: &Patch) -> usize {
        self.chunks[&patch.wanted.hash].len()
    }

    /// All chunks under a root.
    fn under(&self, root: Hash) -> BTreeMap<Hash, usize> {
        let mut found = BTreeMap::new();
        let mut frontier = vec![root];
        while let Some(hash) = frontier.pop() {
            if hash != Hash::EMPTY_TREE && !found.contains_key(&hash) {
                let chunk = &self.chunks[&hash];
                found.insert(hash, chunk.len());
                frontier.extend(tree::children(chunk).unwrap());
            }
        }
        found
    }

    /// Bytes of the chunks under one root that are not under another.
    fn difference(&self, from: Hash, to: Hash) -> usize {
        let known = self.under(from);
        let news = self.under(to).into_iter();
        news.filter(|(hash, _)| !known.contains_key(hash))
            .map(|(_, bytes)| bytes)
            .sum()
    }
}

impl ChunkReader for Plane {
    fn read(&self, hashes: &[Hash], bytes_max: usize) -> Vec<Option<Bytes>> {
        let mut bytes = 0;
        let mut found = Vec::new();
        for hash in hashes {
            let chunk = self
                .chunks
                .get(hash)
                .map(|chunk| Bytes::from(chunk.clone()));
            bytes += chunk.as_ref().map_or(0, Bytes::len);
            found.push(chunk);
            if bytes >= bytes_max {
                break;
            }
        }
        found
    }
}

/// An edge: its machine and its disk.
struct Edge {
    directory: MemoryDirectory,
    store: Store,
    follower: Follower,
}

/// What came over a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traffic {
    frames: usize,
    /// Of frames, lengths and all.
    frame_bytes: usize,
    /// Of the chunks that came of them.
    chunk_bytes: usize,
}

fn environment() -> EnvironmentId {
    EnvironmentId::new(seed(9))
}

impl Edge {
    fn on(directory: MemoryDirectory) -> Self {
        let store = Store::open(Box::new(directory.clone()), "production")
            .unwrap()
            .store;
        let have = store.kept().next().map(|pointer| pointer.manifest);
        let hello = Hello {
            protocol: PROTOCOL,
            edge_id: "edge-1".to_owned(),
            environment: "production".to_owned(),
            region: "eu".to_owned(),
            labels: BTreeMap::new(),
            software: "test".to_owned(),
            have,
        };
        let trust = store.trusted().cloned().map(Trust::kept);
        Self {
            directory,
            store,
            follower: Follower::new(hello, have.map(|_| environment()), trust),
        }
    }

    fn restart(self) -> Self {
        Self::on(self.directory)
    }

    /// Talks to a node until nothing is left to be said, or until so many frames of chunks came.
    fn talk(&mut self, plane: &Plane, chunk_frames_max: usize) -> Traffic {
        let now = Moment::after_start(Duration::from_secs(1));
        let mut feeder = Feeder::new(now);
        let mut traffic = Traffic::default();
        self.follower.handle_connected(now);
        loop {
            let mut moved = false;
            self.follower.advance(now, &self.store);
            while let Some(does) = self.follower.poll_action() {
                let (manifest, chunks) = match does {
                    Does::Apply { manifest, chunks } => (manifest, chunks),
                    Does::Trust(set) => {
                        self.store.keep_trusted(&set).unwrap();
                        continue;
                    }
                    Does::Close(reason) => panic!("{reason}"),
                };
                self.store.keep(&manifest, &chunks).unwrap();
                assert!(self.store.tidy().is_none());
                self.follower.handle_applied(now, Duration::ZERO, Ok(()));
                moved = true;
            }
            while let Some(frame) = self.follower.poll_transmit() {
                feeder.handle_frame(now, frame);
                moved = true;
            }
            while let Some(action) = feeder.poll_action() {
                if let feeder::Action::Admit(_) = action {
                    let welcome = Welcome {
                        protocol: PROTOCOL,
                        node_id: 1,
                        environment_id: environment(),
                        publishers: Vec::new(),
                    };
                    feeder.handle_admitted(now, welcome, plane.offer());
                }
            }
            if let Some(frame) = feeder.poll_transmit(plane) {
                let made = match &frame {
                    ToEdge::Chunks(chunks) => chunks.iter().map(Bytes::len).sum(),
                    ToEdge::Patches(patches) => patches.iter().map(|it| plane.size(it)).sum(),
                    _ => 0,
                };
                if made > 0 {
                    traffic.frames += 1;
                    traffic.frame_bytes += encode(&frame).unwrap().len();
                    traffic.chunk_bytes += made;
                }
                self.follower.handle_frame(now, frame);
                moved = true;
            }
            if !moved || traffic.frames == chunk_frames_max {
                self.follower.handle_disconnected();
                return traffic;
            }
        }
    }
}

#[test]
fn one_rule_of_a_hundred_thousand_costs_a_few_kilobytes() {
    let mut plane = Plane::new();
    let mut edge = Edge::on(MemoryDirectory::default());
    edge.talk(&plane, usize::MAX);
    let mut most = 0;
    for number in (0..RULES).step_by(9_973) {
        let before = plane.manifest().root;
        let manifest = plane.publish([rule(number, 1)]);
        let traffic = edge.talk(&plane, usize::MAX);
        assert_eq!(edge.follower.current(), Some(&manifest));
        assert_eq!(traffic.chunk_bytes, plane.difference(before, manifest.root));
        most = most.max(traffic.frame_bytes);
    }
    assert!(most <= ONE_RULE_BYTES_MAX, "{most} bytes");
}

#[test]
fn an_edge_that_was_cut_off_or_away_gets_what_it_lacks_and_nothing_twice() {
    let mut plane = Plane::new();
    let all: usize = plane.under(plane.manifest().root).values().sum();
    let mut edge = Edge::on(MemoryDirectory::default());
    // The connection breaks again and again while everything is fetched.
    let mut fetched = 0;
    let mut connections = 0;
    while edge.follower.current().is_none() {
        fetched += edge.talk(&plane, 7).chunk_bytes;
        connections += 1;
    }
    assert!(connections > 3, "{connections}");
    assert_eq!(fetched, all);
    assert_eq!(edge.talk(&plane, usize::MAX), Traffic::default());
    // Many publications while it was away, also over a restart of its process.
    for absence in 1..=2 {
        let before = plane.manifest().root;
        for number in 0..20 {
            plane.publish([rule(number * 4001, absence)]);
        }
        edge = edge.restart();
        let traffic = edge.talk(&plane, usize::MAX);
        assert_eq!(edge.follower.current(), Some(&plane.manifest()));
        assert_eq!(
            traffic.chunk_bytes,
            plane.difference(before, plane.manifest().root),
            "absence {absence}"
        );
    }
    edge = edge.restart();
    assert_eq!(edge.talk(&plane, usize::MAX), Traffic::default());
}
