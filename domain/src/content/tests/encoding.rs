//! The bytes of content, pinned for good, and what is refused as content.

use proptest::prelude::*;

use super::super::*;
use super::json;
use crate::id::{RouteId, RuleId, SnapshotId, TargetId, UpstreamId};
use crate::model::{
    Algorithm, ManifestVersion, Mode, Priority, PurgedUrl, Purges, SnapshotVersion,
};
use crate::tree::{TreeKind, children};

fn upstream_id() -> UpstreamId {
    UpstreamId::parse("up_01J2A8K6").unwrap()
}

fn route() -> RouteContent {
    RouteContent {
        route_id: RouteId::parse("rt_01HW2K1M").unwrap(),
        name: "Public API".to_owned(),
        hostname: "api.example.net".to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: vec![WeightedUpstream {
            upstream_id: upstream_id(),
            weight: 300,
        }],
        config: "{}".to_owned(),
        upstreams: Hash([0x11; 32]),
        rules: Hash([0x22; 32]),
        rule_count: 200,
    }
}

fn rule(criteria: &str, action: &str) -> RuleContent {
    RuleContent {
        id: RuleId::parse("rule_01HX9K3M").unwrap(),
        priority: Priority(40),
        name: "EU".to_owned(),
        criteria: Criteria::from_json(&json(criteria)).unwrap(),
        action: Action::from_json(&json(action)).unwrap(),
        metadata: [("owner".to_owned(), "platform".to_owned())].into(),
    }
}

fn full_rule() -> RuleContent {
    rule(
        r#"{"path":["/a","/b/*",{"regex":"/c"}],"method":"GET","region":["eu"],
            "header":{"x":["y",{"prefix":"p"},{"regex":"r"},{"present":true}]},
            "query":{"q":["",{"present":false}]},"host":["*.b.net","a.net"],
            "ip_cidr":["10.0.0.0/8","2001:db8::/32"]}"#,
        r#"{"type":"forward","upstream_id":"up_01J2A8K6"}"#,
    )
}

fn upstream() -> UpstreamContent {
    UpstreamContent {
        id: upstream_id(),
        name: "Origin".to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: vec![TargetContent {
            id: TargetId::parse("tgt_00000001").unwrap(),
            address: "10.0.0.1".to_owned(),
            port: 8080,
            weight: 1000,
            regions: Vec::new(),
            drain: false,
        }],
        settings: crate::model::UpstreamSettings::default(),
    }
}

fn entry() -> RouteEntry {
    RouteEntry {
        route_id: RouteId::parse("rt_01HW2K1M").unwrap(),
        hostname: "api.example.net".to_owned(),
        enabled: true,
        snapshot_id: SnapshotId::parse("snap_00000001").unwrap(),
        version: SnapshotVersion(3),
        head: Hash([0x33; 32]),
        purges: Purges {
            version: 300,
            manifest_version: ManifestVersion(7),
            recent: vec![vec![PurgedUrl {
                host: "a.b".to_owned(),
                target: "/?c".to_owned(),
            }]],
        },
    }
}

/// Written by hand from the description of postcard, not copied from here. Changing what is pinned makes every stored snapshot unreadable: give the format a new
/// version instead.
#[test]
fn content_has_these_bytes() {
    let check = |name: &str, bytes: Vec<u8>, expect: &[&str]| {
        assert_eq!(hex::encode(bytes), expect.concat(), "{name}")
    };
    check(
        "head",
        route().encode(),
        &[
            "0104000b72745f30314857324b314d0a5075626c6963204150490f6170692e6578616d706c652e6e",
            "65740001010b75705f30314a3241384b36ac02027b7d111111111111111111111111111111111111",
            "11111111111111111111111111112222222222222222222222222222222222222222222222222222",
            "222222222222c801",
        ],
    );
    check(
        "rule",
        full_rule().encode(),
        &[
            "010d72756c655f30314858394b334d280245550300022f6101032f622f02022f6301034745540102",
            "65750101780400017901017002017203010101710200000300",
            // Hosts, then networks: an IPv4 address, an IPv6 address, each with its prefix.
            "02072a2e622e6e657405612e6e6574",
            "02000a00000008",
            "0120010db800000000000000000000000020",
            "00010b75705f30314a3241384b360101056f776e657208706c6174666f726d",
        ],
    );
    check(
        "redirect",
        rule(
            "{}",
            r#"{"type":"redirect","url":"/n","status":301,"preserve_path":true}"#,
        )
        .encode(),
        &[
            "010d72756c655f30314858394b334d280245550000000000000001022f6ead020101056f776e6572",
            "08706c6174666f726d",
        ],
    );
    check(
        "fixed",
        rule(
            "{}",
            r#"{"type":"fixed_response","status":503,"headers":{"a":"b"},"body":"c"}"#,
        )
        .encode(),
        &[
            "010d72756c655f30314858394b334d280245550000000000000002f7030101610162016301056f77",
            "6e657208706c6174666f726d",
        ],
    );
    check(
        "upstream",
        upstream().encode(),
        &[
            "010b75705f30314a3241384b36064f726967696e0000000000050fac0280408008010c7467745f30",
            "303030303030310831302e302e302e31903fe8070000",
        ],
    );
    check(
        "entry",
        entry().encode(),
        &[
            "010b72745f30314857324b314d0f6170692e6578616d706c652e6e6574010d736e61705f30303030",
            "30303031033333333333333333333333333333333333333333333333333333333333333333",
            "ac02070101",
            "03612e62032f3f63",
        ],
    );
}

#[test]
fn content_reads_back() {
    assert_eq!(RouteContent::decode(&route().encode()), Ok(route()));
    assert_eq!(RuleContent::decode(&full_rule().encode()), Ok(full_rule()));
    assert_eq!(
        UpstreamContent::decode(&upstream().encode()),
        Ok(upstream())
    );
    assert_eq!(RouteEntry::decode(&entry().encode()), Ok(entry()));
}

#[test]
fn other_versions_longer_forms_and_trailing_bytes_are_refused() {
    let fault = |bytes: &[u8]| RouteEntry::decode(bytes).map_err(|error| error.fault);
    let good = entry().encode();
    assert_eq!(fault(&[]), Err("its format version is unknown"));
    assert_eq!(
        fault(&[&[2], &good[1..]].concat()),
        Err("its format version is unknown")
    );
    assert_eq!(fault(&good[..good.len() - 1]), Err("it does not parse"));
    assert_eq!(
        fault(&[&good[..], &[0]].concat()),
        Err("its encoding is not canonical")
    );
    // The length of the first text, 11, in two bytes.
    assert_eq!(
        fault(&[&[1, 0x8b, 0], &good[2..]].concat()),
        Err("its encoding is not canonical")
    );
    assert_eq!(
        RouteContent::decode(&good).map_err(|error| error.what),
        Err("head")
    );
}

#[test]
fn a_head_is_no_longer_than_a_chunk() {
    let long = RouteContent {
        config: "x".repeat(crate::tree::CHUNK_BYTES_MAX),
        ..route()
    };
    assert_eq!(
        RouteContent::decode(&long.encode()).map_err(|error| error.fault),
        Err("it is longer than a chunk may be")
    );
}

#[test]
fn alternatives_out_of_order_are_refused() {
    let refused = |change: fn(&mut RuleContent)| {
        let mut rule = full_rule();
        change(&mut rule);
        let found = RuleContent::decode(&rule.encode());
        assert_eq!(
            found,
            Err(DecodeError {
                what: "rule",
                fault: "its alternatives are not in order"
            })
        );
    };
    refused(|rule| rule.criteria.path.reverse());
    refused(|rule| rule.criteria.method = vec!["GET".to_owned(), "GET".to_owned()]);
    refused(|rule| rule.criteria.region = vec!["b".to_owned(), "a".to_owned()]);
    refused(|rule| drop(rule.criteria.header.insert("x".to_owned(), Vec::new())));
    refused(|rule| drop(rule.criteria.query.insert("q".to_owned(), Vec::new())));
    refused(|rule| rule.criteria.host.reverse());
    refused(|rule| rule.criteria.ip_cidr.reverse());
    refused(|rule| {
        let twice = WeightedUpstream {
            upstream_id: upstream_id(),
            weight: 1,
        };
        rule.action = Action::Forward {
            upstreams: vec![twice.clone(), twice],
        };
    });
}

#[test]
fn keys_sort_as_rules_are_tried() {
    let key = |priority: u32, id: &str| rule_key(Priority(priority), &RuleId::parse(id).unwrap());
    let keys = [
        key(0, "rule_BBBBBBBB"),
        key(255, "rule_AAAAAAAA"),
        key(256, "rule_AAAAAAAA"),
        key(256, "rule_AAAAAAAB"),
    ];
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn heads_refer_to_their_trees() {
    assert_eq!(
        children(&route().encode()),
        Ok(vec![Hash([0x22; 32]), Hash([0x11; 32])])
    );
    let bare = RouteContent {
        rules: Hash::EMPTY_TREE,
        upstreams: Hash::EMPTY_TREE,
        ..route()
    };
    assert_eq!(children(&bare.encode()), Ok(Vec::new()));
    assert!(children(&[&route().encode()[..], &[0]].concat()).is_err());
}

#[test]
fn leaves_of_a_manifest_refer_to_heads_and_others_to_nothing() {
    let chunks = |kind, value: Vec<u8>| {
        let edits = crate::tree::Edits::from([(b"k".to_vec(), Some(value))]);
        let edited =
            crate::tree::edit(&crate::tree::Chunks::new(), kind, Hash::EMPTY_TREE, &edits).unwrap();
        children(&edited.chunks[&edited.root])
    };
    assert_eq!(
        chunks(TreeKind::Routes, entry().encode()),
        Ok(vec![entry().head])
    );
    assert_eq!(
        chunks(TreeKind::Rules, full_rule().encode()),
        Ok(Vec::new())
    );
    assert_eq!(
        chunks(TreeKind::Upstreams, upstream().encode()),
        Ok(Vec::new())
    );
    assert!(chunks(TreeKind::Routes, b"junk".to_vec()).is_err());
}

proptest! {
    #[test]
    fn bytes_are_refused_or_are_the_one_encoding(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bent = full_rule().encode();
        let at = at.index(bent.len());
        bent[at] = byte;
        for bytes in [bent, [&[1], noise.as_slice()].concat()] {
            if let Ok(rule) = RuleContent::decode(&bytes) {
                prop_assert_eq!(rule.encode(), bytes);
            }
        }
    }
}
