//! Cost follows the change: what a command or a page reads and writes does not depend on how
//! many rules there are.

use std::cell::Cell;

use domain::command::{Command, CreateRule, Idempotency, Publish, Stamped, UpdateRule};
use domain::id::{RouteId, RuleId, Seed, SnapshotId, UpstreamId};
use domain::machine;
use domain::model::{Fingerprint, IdempotencyKey, Metadata, Priority};
use domain::outcome::Applied;
use domain::query::{self, RuleFilter};
use domain::rows::{MemoryRows, Row, Rows, View};
use domain::time::Revision;

use crate::commands::{actor, furnished, stamped};

/// Rows that count what is asked of them.
#[derive(Default)]
struct Counted {
    rows: MemoryRows,
    gets: Cell<usize>,
    /// Rows that scans gave.
    scanned: Cell<usize>,
    scans: Cell<usize>,
    writes: usize,
}

impl Counted {
    fn count_scan(&self, rows: Vec<Row>) -> Vec<Row> {
        self.scans.set(self.scans.get() + 1);
        self.scanned.set(self.scanned.get() + rows.len());
        rows
    }

    /// Gets, scans, rows that scans gave, and writes since the last call.
    fn take(&mut self) -> [usize; 4] {
        [
            self.gets.take(),
            self.scans.take(),
            self.scanned.take(),
            std::mem::take(&mut self.writes),
        ]
    }
}

impl View for Counted {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.gets.set(self.gets.get() + 1);
        self.rows.get(key)
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.count_scan(self.rows.scan(from, until, limit))
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.count_scan(self.rows.scan_back(from, until, limit))
    }
}

impl Rows for Counted {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes += 1;
        self.rows.put(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.writes += 1;
        self.rows.delete(key);
    }
}

fn seed(random: u64) -> Seed {
    Seed { unix_ms: 1, random }
}

fn create(number: u64) -> Stamped {
    let command = CreateRule {
        id: RuleId::new(seed(number)),
        draft_id: SnapshotId::new(seed(100_000 + number)),
        route_id: RouteId::new(seed(0)),
        name: "rule".to_owned(),
        priority: Priority(number as u32),
        criteria: r#"{"path":"/api/*","method":"GET"}"#.to_owned(),
        action: format!(
            r#"{{"type":"forward","upstream_id":"{}"}}"#,
            UpstreamId::new(seed(0))
        ),
        metadata: Metadata::new(),
    };
    stamped(2_000, Command::CreateRule(actor(0), command))
}

fn publish(number: u64) -> Stamped {
    let next_draft_id = SnapshotId::new(seed(200_000 + number));
    let command = Publish {
        route_id: RouteId::new(seed(0)),
        next_draft_id,
        draft_id: None,
        expected_active: None,
        comment: None,
    };
    stamped(2_000, Command::Publish(actor(0), command))
}

fn rename(number: u64) -> Stamped {
    let command = UpdateRule {
        id: RuleId::new(seed(number)),
        draft_id: SnapshotId::new(seed(300_000 + number)),
        name: Some("renamed".to_owned()),
        priority: None,
        criteria: None,
        action: None,
        metadata: Vec::new(),
        status: None,
    };
    stamped(2_000, Command::UpdateRule(actor(0), command))
}

fn step(rows: &mut Counted, stamped: &Stamped) -> Applied {
    let applied = machine::step(rows, Revision(1), stamped);
    assert!(applied.reply.is_ok(), "{:?}", applied.reply);
    applied
}

/// Route 0 with so many published rules.
fn with_rules(count: u64) -> Counted {
    let mut rows = Counted::default();
    for stamped in furnished() {
        step(&mut rows, &stamped);
    }
    for number in 0..count {
        step(&mut rows, &create(number));
    }
    step(&mut rows, &publish(0));
    rows.take();
    rows
}

#[test]
fn creating_a_rule_costs_the_same_among_few_and_many() {
    for count in [10, 3_000] {
        let mut rows = with_rules(count);
        let idempotency = Idempotency {
            key: IdempotencyKey("key".to_owned()),
            fingerprint: Fingerprint([1; 32]),
        };
        step(
            &mut rows,
            &Stamped {
                idempotency: Some(idempotency),
                ..create(count)
            },
        );
        let [gets, scans, _, writes] = rows.take();
        // Clock, answer, route, draft, identifier, priority, upstream, uses, count, history, environment.
        assert_eq!((gets, scans), (11, 0), "among {count}");
        // Rule, count, two lists, priority, uses, draft, journal, head of the chain, answer, expiry; the
        // clock.
        assert!(writes <= 12, "{writes} writes among {count}");
    }
}

#[test]
fn publishing_one_change_costs_the_chunks_on_its_path() {
    let costs = [100, 1_000, 8_000].map(|count| {
        let mut rows = with_rules(count);
        step(&mut rows, &rename(count / 2));
        rows.take();
        step(&mut rows, &publish(1));
        rows.take()
    });
    for [gets, scans, scanned, writes] in costs {
        assert!(
            gets < 100 && scans <= 4 && scanned <= 4 && writes < 100,
            "{costs:?}"
        );
    }
}

#[test]
fn a_page_costs_the_page() {
    let rows = &mut with_rules(3_000);
    let environment_id = actor(0).environment_id;
    let filter = RuleFilter {
        environment_id,
        route_id: None,
        status: None,
        include_archived: false,
    };
    let after = Some((Priority(1_500), RuleId::new(seed(1_500))));
    let page = query::rules_page(rows, &filter, after, 20);
    assert_eq!((page.items.len(), page.has_more), (20, true));
    let [gets, scans, scanned, _] = rows.take();
    assert_eq!((gets, scans), (20, 3));
    assert!(scanned <= 63, "{scanned}");
}
