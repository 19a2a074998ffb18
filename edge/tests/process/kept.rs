//! What an earlier run of an edge would have left on its disk.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use domain::content::{
    Action, Criteria, RouteContent, RouteEntry, RuleContent, route_key, rule_key,
};
use domain::id::{ClusterId, EnvironmentId, RouteId, RuleId, SnapshotId};
use domain::model::{Epoch, Manifest, ManifestVersion, Mode, Priority, Purges, SnapshotVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::{self, Hash, TreeKind};
use edge::store::{DiskDirectory, Store, StoreKey};
use edge_protocol::SignedManifest;
use edge_protocol::signing::{KeyPair, TrustSet, TrustedKey};
use platform::SystemEntropy;

/// Puts a configuration onto the disk as an earlier run would have: everything is answered with
/// these words.
pub(crate) fn keep(data: &Path, version: u64, words: &str) {
    let directory = DiskDirectory::open(data).unwrap();
    let key = StoreKey::load_or_make(&data.join("key"), &SystemEntropy).unwrap();
    let sealed = directory.sealed(&key, "configurations");
    let mut store = Store::open(Box::new(sealed), "production").unwrap().store;
    let mut chunks: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
    let mut tree = |kind, key, value| {
        let edited = tree::edit(
            &BTreeMap::new(),
            kind,
            Hash::EMPTY_TREE,
            &BTreeMap::from([(key, Some(value))]),
        )
        .unwrap();
        chunks.extend(edited.chunks);
        edited.root
    };
    let rule = RuleContent {
        id: RuleId::parse("rule_00000001").unwrap(),
        priority: Priority(1),
        name: "rule".to_owned(),
        criteria: Criteria::default(),
        action: Action::FixedResponse {
            status: 200,
            headers: BTreeMap::new(),
            body: words.to_owned(),
        },
        metadata: BTreeMap::new(),
    };
    let route = RouteContent {
        route_id: RouteId::parse("rt_00000001").unwrap(),
        name: "route".to_owned(),
        hostname: "api.example.net".to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: Vec::new(),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: tree(
            TreeKind::Rules,
            rule_key(rule.priority, &rule.id),
            rule.encode(),
        ),
        rule_count: 1,
    };
    let head = route.encode();
    let entry = RouteEntry {
        route_id: route.route_id.clone(),
        hostname: route.hostname.clone(),
        enabled: true,
        snapshot_id: SnapshotId::parse("snap_00000001").unwrap(),
        version: SnapshotVersion(1),
        head: Hash::of(&head),
        purges: Purges::default(),
    };
    let root = tree(TreeKind::Routes, route_key(&route.route_id), entry.encode());
    chunks.insert(entry.head, head);
    let environment = EnvironmentId::parse("env_00000001").unwrap();
    let chunks = chunks
        .into_iter()
        .map(|(hash, bytes)| (hash, Bytes::from(bytes)))
        .collect();
    let (cluster_id, key) = (
        ClusterId::parse("cl_00000001").unwrap(),
        KeyPair::new(&[7; 32]).unwrap(),
    );
    let manifest = Manifest {
        environment_id: environment,
        epoch: Epoch(1),
        version: ManifestVersion(version),
        root,
        updated_at: Timestamp(1),
        revision: Revision(1),
        previous: Hash([0; 32]),
    };
    let set = TrustSet {
        cluster_id: cluster_id.clone(),
        epoch: Epoch(1),
        serial: 1,
        keys: vec![TrustedKey {
            public: key.public(),
            voucher: None,
            retired: false,
        }],
    };
    store.keep_trusted(&set).unwrap();
    let signed = SignedManifest::sign(&cluster_id, &manifest, &key);
    store.keep(&signed, &chunks).unwrap();
}
