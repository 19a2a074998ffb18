//! What two snapshots differ in, and how it is told.

use serde_json::{Value, json};

use super::*;
use crate::content::{Action, Criteria, TargetContent, upstream_key};
use crate::id::{RouteId, TargetId};
use crate::model::{Algorithm, Mode};
use crate::tree::{Chunks, Edits, edit};

/// A snapshot in the making.
#[derive(Clone)]
struct Draft {
    name: String,
    enabled: bool,
    config: Value,
    rules: Vec<RuleContent>,
    upstreams: Vec<UpstreamContent>,
}

impl Draft {
    fn sample() -> Self {
        Self {
            name: "Public API".to_owned(),
            enabled: true,
            config: json!({ "tls": { "policy": "off" } }),
            rules: vec![
                rule(1, 10, json!({ "method": "GET" })),
                rule(2, 20, json!({})),
                rule(3, 30, json!({})),
            ],
            upstreams: vec![upstream(
                "up_AAAAAAAA",
                &[("tgt_11111111", 90), ("tgt_22222222", 10)],
            )],
        }
    }

    /// Freezes it and gives the head.
    fn freeze(&self, chunks: &mut Chunks) -> Hash {
        let rules = self
            .rules
            .iter()
            .map(|rule| (rule.key(), Some(rule.encode())));
        let upstreams = self
            .upstreams
            .iter()
            .map(|upstream| (upstream_key(&upstream.id), Some(upstream.encode())));
        let head = RouteContent {
            route_id: RouteId::parse("rt_01HW2K1M").unwrap(),
            name: self.name.clone(),
            hostname: "api.example.net".to_owned(),
            mode: Mode::Balanced,
            enabled: self.enabled,
            default_upstreams: Vec::new(),
            config: self.config.to_string(),
            upstreams: tree_of(chunks, TreeKind::Upstreams, &upstreams.collect()),
            rules: tree_of(chunks, TreeKind::Rules, &rules.collect()),
            rule_count: self.rules.len() as u64,
        };
        let bytes = head.encode();
        let hash = Hash::of(&bytes);
        chunks.insert(hash, bytes);
        hash
    }
}

fn tree_of(chunks: &mut Chunks, kind: TreeKind, edits: &Edits) -> Hash {
    let edited = edit(&*chunks, kind, Hash::EMPTY_TREE, edits).unwrap();
    chunks.extend(edited.chunks);
    edited.root
}

fn rule_id(number: u32) -> RuleId {
    RuleId::parse(&format!("rule_{number:08}")).unwrap()
}

fn rule(number: u32, priority: u32, criteria: Value) -> RuleContent {
    RuleContent {
        id: rule_id(number),
        priority: Priority(priority),
        name: format!("Rule {number}"),
        criteria: Criteria::from_json(&criteria).unwrap(),
        action: forward(&[("up_AAAAAAAA", 1)]),
        metadata: BTreeMap::new(),
    }
}

fn forward(upstreams: &[(&str, u32)]) -> Action {
    let upstreams: Vec<_> = upstreams
        .iter()
        .map(|(id, weight)| json!({ "upstream_id": id, "weight": weight }))
        .collect();
    Action::from_json(&json!({ "type": "forward", "upstreams": upstreams })).unwrap()
}

fn upstream(id: &str, targets: &[(&str, u32)]) -> UpstreamContent {
    let target = |(id, weight): &(&str, u32)| TargetContent {
        id: TargetId::parse(id).unwrap(),
        address: "10.0.0.1".to_owned(),
        port: 80,
        weight: *weight,
        regions: Vec::new(),
        drain: false,
    };
    UpstreamContent {
        id: UpstreamId::parse(id).unwrap(),
        name: "Origin".to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: targets.iter().map(target).collect(),
        settings: crate::model::UpstreamSettings::default(),
    }
}

fn diff_of(before: &Draft, after: &Draft) -> SnapshotDiff {
    let mut chunks = Chunks::new();
    let (before, after) = (before.freeze(&mut chunks), after.freeze(&mut chunks));
    diff_snapshots(&chunks, Some(before), Some(after)).unwrap()
}

/// Changes the sample and compares the text of the difference.
fn check(change: impl Fn(&mut Draft), expect: &str) {
    let mut after = Draft::sample();
    change(&mut after);
    let diff = diff_of(&Draft::sample(), &after);
    assert_eq!(diff.to_text(), expect);
    assert_eq!(diff.is_empty(), expect == "No differences.\n");
    assert_eq!(diff.to_json()["identical"], json!(diff.is_empty()));
}

#[test]
fn equal_snapshots_have_no_differences() {
    check(|_| {}, "No differences.\n");
    check(|draft| draft.rules.reverse(), "No differences.\n");
    let expect = json!({
        "identical": true,
        "route": [],
        "rules": { "added": [], "removed": [], "changed": [], "moved": [] },
        "upstreams": { "added": [], "removed": [], "changed": [] },
    });
    assert_eq!(SnapshotDiff::default().to_json(), expect);
}

#[test]
fn rules_are_added_removed_changed_and_moved() {
    check(
        |draft| draft.rules.push(rule(4, 15, json!({}))),
        "Rules\n  + 15 \"Rule 4\" (rule_00000004)\n",
    );
    check(
        |draft| drop(draft.rules.remove(1)),
        "Rules\n  - 20 \"Rule 2\" (rule_00000002)\n",
    );
    check(
        |draft| draft.rules[0].priority = Priority(25),
        "Rules\n  > 10 -> 25 \"Rule 1\" (rule_00000001)\n",
    );
    check(
        |draft| {
            draft.rules[0].criteria =
                Criteria::from_json(&json!({ "region": "eu", "method": ["GET", "PUT"] })).unwrap()
        },
        "Rules\n  ~ 10 \"Rule 1\" (rule_00000001)\n      ~ match.method: [\"GET\"] -> [\"GET\",\"PUT\"]\n      + match.region: [\"eu\"]\n",
    );
    check(
        |draft| {
            draft.rules[0].priority = Priority(11);
            draft.rules[0].name = "New\nname".to_owned();
            draft.rules[0]
                .metadata
                .insert("own\ner".to_owned(), "me".to_owned());
        },
        "Rules\n  ~ 11 \"New\\nname\" (rule_00000001)\n      + metadata.own\u{fffd}er: \"me\"\n      ~ name: \"Rule 1\" -> \"New\\nname\"\n  > 10 -> 11 \"New\\nname\" (rule_00000001)\n",
    );
}

#[test]
fn two_rules_that_swap_places_are_two_moves() {
    check(
        |draft| {
            draft.rules[0].priority = Priority(20);
            draft.rules[1].priority = Priority(10);
        },
        "Rules\n  > 20 -> 10 \"Rule 2\" (rule_00000002)\n  > 10 -> 20 \"Rule 1\" (rule_00000001)\n",
    );
}

#[test]
fn weights_are_told_by_upstream_and_target() {
    check(
        |draft| draft.rules[0].action = forward(&[("up_AAAAAAAA", 9), ("up_BBBBBBBB", 1)]),
        "Rules\n  ~ 10 \"Rule 1\" (rule_00000001)\n      ~ action.upstreams.up_AAAAAAAA.weight: 1 -> 9\n      + action.upstreams.up_BBBBBBBB: {\"upstream_id\":\"up_BBBBBBBB\",\"weight\":1}\n",
    );
    check(
        |draft| {
            draft.upstreams[0] =
                upstream("up_AAAAAAAA", &[("tgt_11111111", 50), ("tgt_22222222", 50)])
        },
        "Upstreams\n  ~ \"Origin\" (up_AAAAAAAA)\n      ~ targets.tgt_11111111.weight: 90 -> 50\n      ~ targets.tgt_22222222.weight: 10 -> 50\n",
    );
    check(
        |draft| {
            draft.upstreams[0].targets.pop();
            draft.upstreams.push(upstream("up_BBBBBBBB", &[]));
        },
        "Upstreams\n  + \"Origin\" (up_BBBBBBBB)\n  ~ \"Origin\" (up_AAAAAAAA)\n      - targets.tgt_22222222: {\"id\":\"tgt_22222222\",\"address\":\"10.0.0.1\",\"port\":80,\"weight\":10,\"regions\":[],\"drain\":false}\n",
    );
}

#[test]
fn an_action_of_another_type_is_told_whole() {
    let redirect = json!({ "type": "redirect", "url": "/x" });
    check(
        |draft| draft.rules[0].action = Action::from_json(&redirect).unwrap(),
        "Rules\n  ~ 10 \"Rule 1\" (rule_00000001)\n      ~ action: {\"type\":\"forward\",\"upstreams\":[{\"upstream_id\":\"up_AAAAAAAA\",\"weight\":1}]} -> {\"type\":\"redirect\",\"url\":\"/x\",\"status\":302,\"preserve_path\":false}\n",
    );
}

#[test]
fn the_order_of_targets_is_a_difference_of_its_own() {
    let diff = {
        let mut after = Draft::sample();
        after.upstreams[0].targets.reverse();
        diff_of(&Draft::sample(), &after)
    };
    let paths: Vec<_> = diff.upstreams.changed[0]
        .fields
        .iter()
        .map(|field| field.path.as_str())
        .collect();
    assert_eq!(paths, ["targets"]);
}

#[test]
fn fields_of_the_route_are_told_with_their_paths() {
    check(
        |draft| {
            draft.name = "API".to_owned();
            draft.enabled = false;
            draft.config =
                json!({ "tls": { "policy": "flexible" }, "health_check": { "path": "/" } });
        },
        "Route\n  + config.health_check: {\"path\":\"/\"}\n  ~ config.tls.policy: \"off\" -> \"flexible\"\n  ~ enabled: true -> false\n  ~ name: \"Public API\" -> \"API\"\n",
    );
}

#[test]
fn json_tells_the_same_as_text() {
    let mut after = Draft::sample();
    after.rules[0].name = "Renamed".to_owned();
    after.rules[1].priority = Priority(40);
    after.rules.remove(2);
    after.rules.push(rule(4, 50, json!({ "path": "/a*" })));
    let expect = json!({
        "added": [{
            "id": "rule_00000004", "name": "Rule 4", "priority": 50, "match": { "path": [{ "prefix": "/a" }] },
            "action": { "type": "forward", "upstreams": [{ "upstream_id": "up_AAAAAAAA", "weight": 1 }] }, "metadata": {},
        }],
        "removed": [{
            "id": "rule_00000003", "name": "Rule 3", "priority": 30, "match": {},
            "action": { "type": "forward", "upstreams": [{ "upstream_id": "up_AAAAAAAA", "weight": 1 }] }, "metadata": {},
        }],
        "changed": [{
            "id": "rule_00000001", "name": "Renamed", "priority": 10,
            "fields": [{ "path": "name", "before": "Rule 1", "after": "Renamed" }],
        }],
        "moved": [{ "id": "rule_00000002", "name": "Rule 2", "from": 20, "to": 40 }],
    });
    assert_eq!(diff_of(&Draft::sample(), &after).to_json()["rules"], expect);
}

#[test]
fn a_route_that_was_never_published_differs_in_everything() {
    let mut chunks = Chunks::new();
    let head = Draft::sample().freeze(&mut chunks);
    let added = diff_snapshots(&chunks, None, Some(head)).unwrap();
    assert_eq!(
        (added.rules.added.len(), added.upstreams.added.len()),
        (3, 1)
    );
    let paths: Vec<_> = added
        .route
        .iter()
        .map(|field| field.path.as_str())
        .collect();
    assert_eq!(paths, ["config", "enabled", "hostname", "mode", "name"]);
    let removed = diff_snapshots(&chunks, Some(head), None).unwrap();
    assert_eq!(
        (removed.rules.removed, removed.rules.added),
        (added.rules.added, Vec::new())
    );
    assert!(diff_snapshots(&chunks, None, None).unwrap().is_empty());
}

#[test]
fn a_missing_or_misplaced_chunk_is_an_error() {
    let mut chunks = Chunks::new();
    let head = Draft::sample().freeze(&mut chunks);
    let absent = Hash([9; 32]);
    assert_eq!(
        diff_snapshots(&chunks, Some(head), Some(absent)),
        Err(TreeError::Missing(absent))
    );
    // A rule that stands under another rule's key.
    let edits = Edits::from([(
        rule(1, 10, json!({})).key(),
        Some(rule(2, 20, json!({})).encode()),
    )]);
    let root = tree_of(&mut chunks, TreeKind::Rules, &edits);
    let bytes = RouteContent {
        rules: root,
        ..load_head(&chunks, head).unwrap()
    }
    .encode();
    let bent = Hash::of(&bytes);
    chunks.insert(bent, bytes);
    assert!(
        matches!(diff_snapshots(&chunks, None, Some(bent)), Err(TreeError::Corrupt { hash, .. }) if hash == root)
    );
}

#[test]
fn a_large_route_with_one_changed_rule_opens_a_few_chunks() {
    let mut before = Draft::sample();
    before.rules = (0..3000)
        .map(|number| rule(number, number, json!({})))
        .collect();
    let mut after = before.clone();
    after.rules[1234].name = "Other".to_owned();
    let mut chunks = Chunks::new();
    let (before, after) = (before.freeze(&mut chunks), after.freeze(&mut chunks));
    let asked = std::cell::Cell::new(0);
    let source = Counting(&chunks, &asked);
    let diff = diff_snapshots(&source, Some(before), Some(after)).unwrap();
    assert_eq!(diff.rules.changed.len(), 1);
    assert!(
        asked.get() <= 12,
        "opened {} of {}",
        asked.get(),
        chunks.len()
    );
}

struct Counting<'a>(&'a Chunks, &'a std::cell::Cell<usize>);

impl ChunkSource for Counting<'_> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.1.set(self.1.get() + 1);
        self.0.chunk(hash)
    }
}
