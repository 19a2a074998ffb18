//! What making one rule weighs in rows and bytes: three nodes write them for each request, so they
//! bound how many requests a cluster takes.

use std::collections::BTreeMap;

use domain::command::{Command, CreateRule, Idempotency, Origin, Stamped};
use domain::id::{RouteId, RuleId, Seed, SnapshotId, UpstreamId};
use domain::machine;
use domain::model::{Fingerprint, IdempotencyKey, Metadata, Priority};
use domain::rows::{MemoryRows, Row, Rows, View};
use domain::time::Revision;

use crate::commands::{actor, furnished, stamped};

/// Rows that remember what was written.
#[derive(Default)]
struct Weighed {
    rows: MemoryRows,
    written: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl View for Weighed {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(key)
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.rows.scan(from, until, limit)
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.rows.scan_back(from, until, limit)
    }
}

impl Rows for Weighed {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.written.insert(key.clone(), Some(value.clone()));
        self.rows.put(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.written.insert(key.clone(), None);
        self.rows.delete(key);
    }
}

fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_714_320_000_000,
        random,
    }
}

/// A request as clients make them: some criteria, an action, a label.
fn create(number: u32) -> Stamped {
    let command = CreateRule {
        id: RuleId::new(seed(number.into())),
        draft_id: SnapshotId::new(seed(number.into())),
        route_id: RouteId::new(Seed {
            unix_ms: 1,
            random: 0,
        }),
        name: "EU traffic split".to_owned(),
        priority: Priority(number),
        criteria: r#"{"region":["eu-central-1"],"method":"GET"}"#.to_owned(),
        action: format!(
            r#"{{"type":"forward","upstream_id":"{}"}}"#,
            UpstreamId::new(Seed {
                unix_ms: 1,
                random: 0,
            })
        ),
        metadata: Metadata::from([("owner".to_owned(), "platform".to_owned())]),
    };
    Stamped {
        origin: Origin {
            method: "POST".to_owned(),
            path: "/v2/rules".to_owned(),
            address: Some("192.0.2.7".to_owned()),
        },
        idempotency: Some(Idempotency {
            key: IdempotencyKey(format!("550e8400-e29b-41d4-a716-{number:012}")),
            fingerprint: Fingerprint([7; 32]),
        }),
        ..stamped(
            1_714_320_000_000 + u64::from(number),
            Command::CreateRule(actor(0), command),
        )
    }
}

#[test]
fn making_a_rule_writes_few_rows_and_bytes() {
    let mut rows = Weighed::default();
    let log = furnished().into_iter().chain((1..20).map(create));
    for (revision, stamped) in (100_000..).zip(log) {
        rows.written.clear();
        let applied = machine::step(&mut rows, Revision(revision), &stamped);
        assert!(applied.reply.is_ok(), "{:?}", applied.reply);
    }
    let (mut bytes, mut told) = (0, String::new());
    for (key, value) in &rows.written {
        let value = value.as_ref().map_or(0, Vec::len);
        bytes += key.len() + value;
        told += &format!("{:02x} {} + {value}\n", key[0], key.len());
    }
    let entry = postcard::to_stdvec(&create(20)).unwrap().len();
    let few = rows.written.len() <= 12 && bytes <= 1_150 && entry <= 350;
    assert!(
        few,
        "tag, key and value:\n{told}{bytes} bytes; the entry has {entry}"
    );
}
