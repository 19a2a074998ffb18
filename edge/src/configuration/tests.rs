//! Manifests made as the control plane makes them, taken into use.

use std::collections::{BTreeMap, BTreeSet};

use domain::content::{
    Action, Criteria, PathPattern, WeightedUpstream, route_key, rule_key, upstream_key,
};
use domain::content::{RuleContent, TargetContent};
use domain::id::{RouteId, RuleId, SnapshotId, TargetId, UpstreamId};
use domain::model::{
    Algorithm, Epoch, Limits, ManifestVersion, Mode, Priority, Purges, SnapshotVersion,
    UpstreamSettings,
};
use domain::tree::Edits;
use parking_lot::Mutex as Locked;

use super::*;
use crate::health::{Identity, TargetHealth};

type Chunks = BTreeMap<Hash, Vec<u8>>;

/// Chunks, and which of them were read.
#[derive(Default)]
struct Source {
    chunks: Chunks,
    read: Locked<BTreeSet<Hash>>,
}

impl ChunkSource for Source {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.read.lock().insert(*hash);
        self.chunks.get(hash).cloned()
    }
}

impl Source {
    fn tree(
        &mut self,
        kind: TreeKind,
        items: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Hash {
        let edits: Edits = items
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        let edited = tree::edit(&self.chunks, kind, Hash::EMPTY_TREE, &edits).unwrap();
        self.chunks.extend(edited.chunks);
        edited.root
    }

    fn route(&mut self, number: u32, hostname: &str, pattern: &str) -> RouteEntry {
        self.limited(number, hostname, pattern, Limits::default())
    }

    fn limited(
        &mut self,
        number: u32,
        hostname: &str,
        pattern: &str,
        limits: Limits,
    ) -> RouteEntry {
        let upstream_id = UpstreamId::parse("up_00000001").unwrap();
        let rule = RuleContent {
            id: RuleId::parse(&format!("rule_{number:08}")).unwrap(),
            priority: Priority(1),
            name: "rule".to_owned(),
            criteria: Criteria {
                path: vec![PathPattern::Regex(pattern.to_owned())],
                ..Criteria::default()
            },
            action: Action::Forward {
                upstreams: vec![WeightedUpstream {
                    upstream_id: upstream_id.clone(),
                    weight: 1,
                }],
            },
            metadata: BTreeMap::new(),
        };
        let upstream = UpstreamContent {
            id: upstream_id,
            name: "upstream".to_owned(),
            algorithm: Algorithm::WeightedRoundRobin,
            targets: vec![TargetContent {
                id: TargetId::parse("tgt_00000001").unwrap(),
                address: "127.0.0.1".to_owned(),
                port: 80,
                weight: 1,
                regions: Vec::new(),
                drain: false,
            }],
            settings: UpstreamSettings {
                limits,
                ..UpstreamSettings::default()
            },
        };
        let rules = self.tree(
            TreeKind::Rules,
            [(rule_key(rule.priority, &rule.id), rule.encode())],
        );
        let upstreams = self.tree(
            TreeKind::Upstreams,
            [(upstream_key(&upstream.id), upstream.encode())],
        );
        let content = RouteContent {
            route_id: RouteId::parse(&format!("rt_{number:08}")).unwrap(),
            name: "route".to_owned(),
            hostname: hostname.to_owned(),
            mode: Mode::Balanced,
            enabled: true,
            default_upstreams: Vec::new(),
            config: "{}".to_owned(),
            upstreams,
            rules,
            rule_count: 1,
        };
        let head = content.encode();
        let entry = RouteEntry {
            route_id: content.route_id,
            hostname: hostname.to_owned(),
            enabled: true,
            snapshot_id: SnapshotId::parse(&format!("snap_{number:08}")).unwrap(),
            version: SnapshotVersion(1),
            head: Hash::of(&head),
            purges: Purges::default(),
        };
        self.chunks.insert(entry.head, head);
        entry
    }

    fn manifest(&mut self, version: u64, entries: &[RouteEntry]) -> ManifestRef {
        let items = entries
            .iter()
            .map(|entry| (route_key(&entry.route_id), entry.encode()));
        let root = self.tree(TreeKind::Routes, items.collect::<Vec<_>>());
        ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(version),
            root,
        }
    }
}

fn applier() -> Applier {
    Applier::new(Arc::default(), Arc::default(), Surroundings::default())
}

#[test]
fn a_manifest_is_taken_into_use_whole() {
    let mut source = Source::default();
    let routes = [
        source.route(1, "a.example.net", "/a"),
        source.route(2, "*.example.net", "/b"),
    ];
    let manifest = source.manifest(1, &routes);
    let applier = applier();
    assert_eq!(applier.active(), None);
    let report = applier.apply(manifest, &source).unwrap();
    assert_eq!((report.routes, report.compiled), (2, 2));
    assert_eq!(applier.active(), Some(manifest));
    let current = applier.active.current();
    assert_eq!(current.find("a.example.net").unwrap().entry, routes[0]);
    assert_eq!(current.find("b.example.net").unwrap().entry, routes[1]);
    assert!(current.find("example.net").is_none());
}

#[test]
fn the_empty_manifest_is_a_configuration_without_routes() {
    let mut source = Source::default();
    let manifest = source.manifest(0, &[]);
    assert_eq!(manifest.root, Hash::EMPTY_TREE);
    let applier = applier();
    assert_eq!(applier.apply(manifest, &source).unwrap().routes, 0);
    assert_eq!(applier.active(), Some(manifest));
}

#[test]
fn unchanged_routes_are_neither_read_nor_compiled_again() {
    let mut source = Source::default();
    let mut routes = [
        source.route(1, "a.example.net", "/a"),
        source.route(2, "b.example.net", "/b"),
    ];
    let applier = applier();
    applier.apply(source.manifest(1, &routes), &source).unwrap();
    let before = applier.active.current();
    routes[1] = source.route(2, "b.example.net", "/c");
    // The same content under another snapshot, as after a rollback.
    routes[0].version = SnapshotVersion(9);
    let manifest = source.manifest(2, &routes);
    source.read.lock().clear();
    let report = applier.apply(manifest, &source).unwrap();
    assert_eq!((report.routes, report.compiled), (2, 1));
    assert!(!source.read.lock().contains(&routes[0].head));
    let after = applier.active.current();
    assert!(Arc::ptr_eq(
        &before.routes()[0].route,
        &after.routes()[0].route
    ));
    assert!(!Arc::ptr_eq(
        &before.routes()[1].route,
        &after.routes()[1].route
    ));
    assert_eq!(after.routes()[0].entry.version, SnapshotVersion(9));
}

#[test]
fn what_cannot_be_used_is_named_and_what_ran_runs_on() {
    let mut source = Source::default();
    let good = source.route(1, "a.example.net", "/a");
    let first = source.manifest(1, std::slice::from_ref(&good));
    let applier = applier();
    applier.apply(first, &source).unwrap();
    let twin = source.route(3, "a.example.net", "/x");
    let mut missing = source.route(4, "d.example.net", "/d");
    missing.head = Hash::of(b"nobody has it");
    let mut foreign = source.route(5, "e.example.net", "/e");
    foreign.head = good.head;
    let mut corrupt = source.route(6, "f.example.net", "/f");
    corrupt.head = Hash::of(b"something else");
    source.chunks.insert(corrupt.head, b"not that".to_vec());
    for (entry, reason) in [
        (
            source.route(2, "b.example.net", "("),
            "route rt_00000002: rule rule_00000002, pattern `(`",
        ),
        (
            twin,
            "routes rt_00000001 and rt_00000003 both serve a.example.net",
        ),
        (missing, "route rt_00000004: its head chunk"),
        (
            foreign,
            "route rt_00000005: its head chunk is that of route rt_00000001",
        ),
        (corrupt, "is corrupt"),
    ] {
        let manifest = source.manifest(2, &[good.clone(), entry]);
        let error = applier.apply(manifest, &source).unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
        assert_eq!(applier.active(), Some(first));
    }
    let gone = ManifestRef {
        root: Hash::of(b"gone"),
        ..first
    };
    assert!(
        applier
            .apply(gone, &source)
            .unwrap_err()
            .reason
            .starts_with("the manifest: ")
    );
}

#[test]
fn a_disabled_route_serves_no_host_but_keeps_what_was_compiled() {
    let mut source = Source::default();
    let mut entry = source.route(1, "a.example.net", "/a");
    let applier = applier();
    applier
        .apply(source.manifest(1, std::slice::from_ref(&entry)), &source)
        .unwrap();
    entry.enabled = false;
    let report = applier
        .apply(source.manifest(2, &[entry]), &source)
        .unwrap();
    assert_eq!((report.routes, report.compiled), (1, 0));
    assert!(applier.active.current().find("a.example.net").is_none());
}

/// How many requests at once the target of all routes takes.
fn taken(applier: &Applier) -> usize {
    let identity = Identity {
        upstream: UpstreamId::parse("up_00000001").unwrap(),
        target: TargetId::parse("tgt_00000001").unwrap(),
        authority: "127.0.0.1:80".to_owned(),
    };
    let health = applier.around.health.target(&identity);
    let held: Vec<_> = (0..100)
        .map_while(|_| TargetHealth::occupy(Arc::clone(&health), 0))
        .collect();
    held.len()
}

#[test]
fn limits_are_those_of_the_configuration_in_use_and_of_its_first_route() {
    let mut source = Source::default();
    let limit = |requests| Limits {
        requests,
        ..Limits::default()
    };
    let applier = applier();
    let first = source.limited(1, "a.example.net", "/a", limit(2));
    let second = source.limited(2, "b.example.net", "/b", limit(5));
    let manifest = source.manifest(1, &[first.clone(), second.clone()]);
    applier.apply(manifest, &source).unwrap();
    assert_eq!(taken(&applier), 2);
    // What is refused has limited nobody.
    let other = source.limited(1, "a.example.net", "/a", limit(3));
    let twin = source.route(3, "a.example.net", "/x");
    let refused = source.manifest(2, &[other.clone(), twin]);
    applier.apply(refused, &source).unwrap_err();
    assert_eq!(taken(&applier), 2);
    // Whichever is compiled last, the first counts.
    let again = source.limited(2, "b.example.net", "/b", limit(7));
    let manifest = source.manifest(3, &[first, again]);
    applier.apply(manifest, &source).unwrap();
    assert_eq!(taken(&applier), 2);
    let manifest = source.manifest(4, &[other, second.clone()]);
    applier.apply(manifest, &source).unwrap();
    assert_eq!(taken(&applier), 3);
    let manifest = source.manifest(5, &[second]);
    applier.apply(manifest, &source).unwrap();
    assert_eq!(taken(&applier), 5);
}

#[test]
fn of_a_route_with_many_rules_only_what_changed_is_read_and_made_anew() {
    let mut source = Source::default();
    let mut entry = source.route(1, "api.example.net", "/a");
    let content = RouteContent::decode(&source.chunks[&entry.head]).unwrap();
    let rule = |number: u32, path: &str| RuleContent {
        id: RuleId::parse(&format!("rule_{number:08}")).unwrap(),
        priority: Priority(number),
        name: "rule".to_owned(),
        criteria: Criteria {
            path: vec![PathPattern::Exact(path.to_owned())],
            ..Criteria::default()
        },
        action: Action::Redirect {
            url: "/".to_owned(),
            status: 302,
            preserve_path: false,
        },
        metadata: BTreeMap::new(),
    };
    let mut rules: Vec<_> = (0..2_000)
        .map(|number| rule(number, &format!("/{number}")))
        .collect();
    let mut publish = |source: &mut Source, rules: &[RuleContent], version| {
        let items = rules.iter().map(|rule| (rule.key(), rule.encode()));
        let content = RouteContent {
            rules: source.tree(TreeKind::Rules, items.collect::<Vec<_>>()),
            ..content.clone()
        };
        let head = content.encode();
        entry.head = Hash::of(&head);
        source.chunks.insert(entry.head, head);
        source.read.lock().clear();
        source.manifest(version, std::slice::from_ref(&entry))
    };
    let applier = applier();
    let first = publish(&mut source, &rules, 1);
    applier.apply(first, &source).unwrap();
    let read_at_first = source.read.lock().len();
    let before = applier.active.current();

    rules[700] = rule(700, "/changed");
    rules.remove(1_500);
    let second = publish(&mut source, &rules, 2);
    applier.apply(second, &source).unwrap();
    let read = source.read.lock().len();
    assert!(read * 3 < read_at_first, "{read} of {read_at_first}");

    let after = applier.active.current();
    let compiled = |configuration: &Configuration| {
        let served = configuration.find("api.example.net").unwrap();
        served.route.compiled().rules().to_vec()
    };
    let (before, after) = (compiled(&before), compiled(&after));
    assert!(
        after
            .iter()
            .map(|rule| &rule.id)
            .eq(rules.iter().map(|rule| &rule.id))
    );
    let kept = after
        .iter()
        .filter(|rule| before.iter().any(|old| Arc::ptr_eq(old, rule)));
    assert_eq!(kept.count(), 1_998);
}

#[test]
fn where_the_last_rules_cannot_be_read_any_more_all_are_read() {
    let mut source = Source::default();
    let old = source.route(1, "api.example.net", "/a");
    let first = source.manifest(1, std::slice::from_ref(&old));
    let applier = applier();
    applier.apply(first, &source).unwrap();
    let content = RouteContent::decode(&source.chunks[&old.head]).unwrap();
    source.chunks.remove(&content.rules);
    let new = source.route(1, "api.example.net", "/b");
    let second = source.manifest(2, &[new]);
    assert_eq!(applier.apply(second, &source).unwrap().compiled, 1);
}
