//! Slots of real configurations, and what becomes of them when others are published.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::content::{Action, Criteria, PathPattern, RouteContent, RouteEntry, RuleContent};
use domain::id::{TargetId, UpstreamId};
use domain::matching::CompiledRoute;
use domain::model::{Epoch, ManifestVersion, Mode, Priority};
use domain::tree::Hash;
use edge_protocol::ManifestRef;

use super::*;
use crate::active::{Active, Reader};
use crate::configuration::Configuration;
use crate::route::{Route, Surroundings};

fn route(number: usize, rules: u32) -> Served {
    let rules = (0..rules).map(|rule| RuleContent {
        id: RuleId::parse(&format!("rule_{number:04}{rule:04}")).unwrap(),
        priority: Priority(rule),
        name: String::new(),
        criteria: Criteria {
            path: vec![PathPattern::Exact(format!("/{rule}"))],
            ..Criteria::default()
        },
        action: Action::Redirect {
            url: "/".to_owned(),
            status: 302,
            preserve_path: false,
        },
        metadata: BTreeMap::new(),
    });
    let content = RouteContent {
        route_id: RouteId::parse(&format!("rt_{number:08}")).unwrap(),
        name: String::new(),
        hostname: format!("host-{number}.example.net"),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: Vec::new(),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: Hash::EMPTY_TREE,
        rule_count: 0,
    };
    let entry = RouteEntry {
        route_id: content.route_id.clone(),
        purges: domain::model::Purges::default(),
        hostname: content.hostname.clone(),
        enabled: true,
        snapshot_id: SnapshotId::parse("snap_00000001").unwrap(),
        version: SnapshotVersion(1),
        head: Hash::EMPTY_TREE,
    };
    let compiled = CompiledRoute::compile(content, rules.collect(), Vec::new()).unwrap();
    Served {
        entry,
        route: Arc::new(Route::new(compiled, None, &Surroundings::default()).unwrap()),
        tls: domain::content::TlsConfig::default(),
        stand_ins: Vec::new(),
    }
}

fn publish(active: &Active, version: u64, routes: Vec<Served>) {
    let manifest = ManifestRef {
        epoch: Epoch(1),
        version: ManifestVersion(version),
        root: Hash::EMPTY_TREE,
    };
    active.replace(Arc::new(Configuration::new(manifest, routes).unwrap()));
}

fn rule_of(served: &Served, place: usize) -> &RuleId {
    &served.route.compiled().rules()[place].id
}

fn drained(slots: &Slots) -> BTreeMap<SeriesKey, u64> {
    let mut series = BTreeMap::new();
    slots.drain(&mut |key, counts| {
        *series.entry(key).or_default() += counts.answers();
    });
    series
}

#[test]
fn rules_beyond_the_bound_are_counted_together_route_by_route() {
    let active = Arc::new(Active::default());
    publish(&active, 1, vec![route(1, 900), route(2, 900)]);
    let reader = Reader::new(Arc::clone(&active));
    let held = reader.current();
    let slots = Slots::default();
    for round in 0..2 {
        for served in held.routes() {
            for place in 0..900 {
                let slot = slots.of(&held, served, Some(rule_of(served, place)));
                slots.count(&slot, NOWHERE, |counts| counts.answered(2, 1));
            }
        }
        assert!(
            slots.by_key.borrow().len() <= SLOTS_MAX + 2,
            "round {round}"
        );
    }
    let series = drained(&slots);
    assert_eq!(series.values().sum::<u64>(), 3600);
    assert_eq!(series.len(), SLOTS_MAX + 1);
    let others = |key: &&SeriesKey| key.taker == Taker::Others;
    let beyond: Vec<_> = series.keys().filter(others).collect();
    assert_eq!(beyond.len(), 1);
    assert_eq!(beyond[0].route.as_ref().unwrap().as_str(), "rt_00000002");
    assert_eq!(drained(&slots), BTreeMap::new());
    assert!(
        slots.by_key.borrow().is_empty(),
        "they were too many to keep"
    );
}

#[test]
fn a_request_counts_where_it_began_whatever_is_published_meanwhile() {
    let active = Arc::new(Active::default());
    let slots = Slots::default();
    publish(&active, 1, vec![route(1, 2)]);
    let reader = Reader::new(Arc::clone(&active));
    let held = reader.current();
    let served = &held.routes()[0];
    let begun = slots.of(&held, served, Some(rule_of(served, 1)));
    let again = slots.of(&held, served, Some(rule_of(served, 1)));
    assert!(Rc::ptr_eq(&begun, &again));
    drop(again);
    for version in 2..50 {
        publish(&active, version, vec![route(1, 2)]);
        let held = reader.current();
        let served = &held.routes()[0];
        let slot = slots.of(&held, served, Some(rule_of(served, 0)));
        slots.count(&slot, NOWHERE, |counts| counts.answered(2, 1));
        drop(slot);
        assert_eq!(drained(&slots).len(), 1);
        assert!(slots.by_key.borrow().len() <= 2, "older ones go");
    }
    slots.count(&begun, NOWHERE, |counts| counts.answered(5, 1));
    let series = drained(&slots);
    let (key, answers) = series.first_key_value().unwrap();
    assert!(matches!(&key.taker, Taker::Rule(rule) if rule.as_str() == "rule_00010001"));
    assert_eq!(*answers, 1);
}

#[test]
fn targets_beyond_the_bound_are_counted_as_none() {
    let slot = Slot::new(None, Taker::Defaults, 1);
    for number in 0..100 {
        let key = || TargetKey {
            upstream: UpstreamId::parse("up_00000001").unwrap(),
            target: TargetId::parse(&format!("tgt_{number:08}")).unwrap(),
        };
        let expect = if number < CELLS_MAX - 1 {
            number + 1
        } else {
            NOWHERE
        };
        let address = 8 * (number + 1);
        let cell = slot.cell_at(address, key);
        assert_eq!((cell, slot.cell_at(address, key)), (expect, expect));
        assert_eq!(slot.target(cell).is_some(), cell != NOWHERE);
    }
}
