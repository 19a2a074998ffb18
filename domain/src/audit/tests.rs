//! The chain as its bytes are, and what the verifier says of logs that somebody tampered with.

use serde_json::{Map, Value, json};

use super::{CHAIN, Finding, Proof, Report, Verifier, canonical, link, told};
use crate::command::Origin;
use crate::id::{ApiKeyId, RequestId, RouteId, Seed};
use crate::model::{
    AuditPoint, Change, IdempotencyKey, JournalEntry, JournalPlace, Notice, ObjectKind,
};
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// Numbers that look random and are the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_714_320_000_000,
        random,
    }
}

fn entry(number: u64) -> (JournalPlace, JournalEntry) {
    let route = RouteId::new(seed(number % 7));
    let entry = JournalEntry {
        actor: (!number.is_multiple_of(5)).then(|| ApiKeyId::new(seed(number % 3))),
        request_id: RequestId::new(seed(number)),
        origin: Origin {
            method: "PATCH".to_owned(),
            path: format!("/v2/routes/{route}"),
            address: Some("192.0.2.7".to_owned()),
        },
        idempotency_key: number
            .is_multiple_of(2)
            .then(|| IdempotencyKey("550e8400-e29b-41d4-a716-446655440000".to_owned())),
        operation: "update_route".to_owned(),
        changes: vec![Change {
            object: ObjectKind::Route,
            id: route.to_string(),
            route_id: Some(route),
            before: Some(format!(
                r#"{{"name":"before {number}","config":{{"a":[1,2.5]}}}}"#
            )),
            after: Some(format!(
                r#"{{"name":"after {number}","config":{{"a":[1e2]}}}}"#
            )),
            version: None,
        }],
        notices: Vec::<Notice>::new(),
        link: None,
    };
    let place = JournalPlace {
        at: Timestamp(1_714_320_000_000 + number * 10),
        revision: Revision(number * 2),
    };
    (place, entry)
}

fn exported(mut entry: Value, before: AuditPoint) -> (Value, AuditPoint) {
    let link = link(before, entry.clone());
    entry[CHAIN] = json!({
        "index": link.point.index,
        "previous_hash": format!("sha256:{}", link.previous),
        "hash": format!("sha256:{}", link.point.hash),
    });
    (entry, link.point)
}

/// A whole log of so many entries, with the point behind each.
struct Log {
    entries: Vec<Value>,
    points: Vec<AuditPoint>,
}

impl Log {
    fn new(count: u64) -> Self {
        let mut log = Self {
            entries: Vec::new(),
            points: vec![AuditPoint::START],
        };
        for number in 1..=count {
            let (place, entry) = entry(number);
            log.push(told(place, &entry, "production"));
        }
        log
    }

    fn push(&mut self, told: Value) {
        let (entry, point) = exported(told, *self.points.last().unwrap());
        self.entries.push(entry);
        self.points.push(point);
    }

    fn proof(&self, base: usize, head: usize) -> Proof {
        Proof {
            environment: "production".to_owned(),
            base: self.points[base],
            head: self.points[head],
        }
    }

    fn whole_proof(&self) -> Proof {
        self.proof(0, self.entries.len())
    }
}

fn verify(lines: &[impl ToString], proofs: Vec<Proof>) -> Result<Report, Finding> {
    let mut verifier = Verifier::new(proofs);
    for line in lines {
        verifier.line(line.to_string().as_bytes())?;
    }
    verifier.finish()
}

#[test]
fn the_start_is_the_hash_of_its_name() {
    let name = b"vectorgate audit chain v1";
    assert_eq!(AuditPoint::START.hash, Hash::of(name));
}

#[test]
fn golden_an_entry_has_its_canonical_form_and_its_hash() {
    let (place, entry) = entry(3);
    let told = told(place, &entry, "production");
    let before = AuditPoint {
        index: 2,
        hash: Hash([0xab; 32]),
    };
    let text = canonical(told.clone(), 3);
    assert_eq!(text, GOLDEN);
    let linked = link(before, told);
    assert_eq!(linked.previous, before.hash);
    assert_eq!(linked.point.index, 3);
    let hashed = [&[0xab; 32], GOLDEN.as_bytes()].concat();
    assert_eq!(linked.point.hash, Hash::of(&hashed));
}

const GOLDEN: &str = r#"{"actor":{"id":"key_01HWJPYH00000000000000","type":"api_key"},"chain":{"index":3},"changes":[{"after":{"config":{"a":[100]},"name":"after 3"},"before":{"config":{"a":[1,2.5]},"name":"before 3"},"id":"rt_01HWJPYH00000000000003","object":"route","route_id":"rt_01HWJPYH00000000000003"}],"created_at":1714320000,"environment":"production","id":"aud_01HWJPYH0Y4BA2VG0JJNMF","idempotency_key":null,"ip":"192.0.2.7","method":"PATCH","object":"audit_entry","operation":"update_route","path":"/v2/routes/rt_01HWJPYH00000000000003","request_id":"req_01HWJPYH00000000000003","revision":6}"#;

#[test]
fn a_log_as_it_was_exported_is_whole() {
    let log = Log::new(40);
    let report = verify(&log.entries, Vec::new()).unwrap();
    assert_eq!((report.first.index, report.last.index), (1, 40));
    assert_eq!((report.proven, report.unchained), (None, 0));
    let report = verify(&log.entries, vec![log.whole_proof()]).unwrap();
    assert_eq!(report.proven, Some(40));
    // Proofs from before and after; the log went on, or older entries had gone.
    for (base, head) in [(0, 7), (0, 40), (12, 40), (39, 40)] {
        let proofs = vec![log.proof(base, head), log.whole_proof()];
        assert!(verify(&log.entries, proofs).is_ok(), "{base} {head}");
    }
    // The way in which a tool writes JSON does not matter.
    let spaced: Vec<_> = log
        .entries
        .iter()
        .map(|entry| {
            serde_json::to_string_pretty(entry)
                .unwrap()
                .replace('\n', " ")
        })
        .collect();
    assert!(verify(&spaced, vec![log.whole_proof()]).is_ok());
}

#[test]
fn a_log_whose_older_entries_have_gone_begins_where_the_proof_says() {
    let log = Log::new(40);
    let kept = &log.entries[15..];
    let report = verify(kept, vec![log.proof(15, 40)]).unwrap();
    assert_eq!(report.first.index, 16);
    // Without a proof nobody knows where it has to begin, but it is a chain.
    assert_eq!(verify(kept, Vec::new()).unwrap().first.index, 16);
    let found = verify(&log.entries[17..], vec![log.proof(15, 40)]);
    let missing = Finding::Missing {
        from: 16,
        to: 17,
        line: 1,
    };
    assert_eq!(found, Err(missing));
    let mut base = log.proof(15, 40);
    base.base.hash = Hash([1; 32]);
    assert_eq!(verify(kept, vec![base]).unwrap_err().index(), 16);
}

#[test]
fn entries_from_before_the_chain_stand_before_it_only() {
    let mut log = Log::new(3);
    let (place, entry) = entry(0);
    let mut old = told(place, &entry, "production");
    old[CHAIN] = Value::Null;
    log.entries.insert(0, old.clone());
    assert_eq!(verify(&log.entries, Vec::new()).unwrap().unchained, 1);
    let put_in = |at: usize| {
        let mut entries = log.entries.clone();
        entries.insert(at, old.clone());
        verify(&entries, Vec::new())
    };
    assert!(put_in(0).is_ok());
    for at in 2..=4 {
        let found = put_in(at).unwrap_err();
        assert!(matches!(found, Finding::PutIn { .. }), "{found}");
        assert_eq!(found.index(), u64::try_from(at).unwrap());
    }
    // Whoever takes an entry out of the chain leaves a hole in it.
    let mut entries = log.entries.clone();
    entries[1][CHAIN] = Value::Null;
    assert_eq!(verify(&entries, Vec::new()).unwrap_err().index(), 1);
}

/// Changes some value somewhere below; says whether there was one.
fn change_leaf(value: &mut Value, draw: &mut Draw) {
    match value {
        Value::Object(fields) => {
            let at = draw.below(fields.len());
            let field = fields.values_mut().nth(at).unwrap();
            change_leaf(field, draw);
        }
        Value::Array(items) if !items.is_empty() => {
            let at = draw.below(items.len());
            change_leaf(&mut items[at], draw);
        }
        Value::String(text) => {
            let at = draw.below(text.len());
            let other = if text.as_bytes()[at] == b'0' {
                "1"
            } else {
                "0"
            };
            text.replace_range(at..=at, other);
        }
        Value::Number(number) => *number = (number.as_u64().unwrap_or(7) + 1).into(),
        other => *other = json!("made up"),
    }
}

#[test]
fn made_up_tampering_is_found_and_the_entry_named() {
    let mut draw = Draw(0x5eed);
    for round in 0..200 {
        let count = 5 + draw.below(40);
        let log = Log::new(u64::try_from(count).unwrap());
        let mut entries = log.entries.clone();
        let at = draw.below(count - 2);
        let kind = ["edit", "deletion", "reordering", "truncation", "forgery"][round % 5];
        let (expected, proofs) = match kind {
            "edit" => {
                change_leaf(&mut entries[at], &mut draw);
                (at + 1, Vec::new())
            }
            "deletion" => {
                entries.remove(at);
                // The first of all is missed by who knows where the log begins.
                (at + 1, vec![log.whole_proof()])
            }
            "reordering" => {
                let to = at + 1 + draw.below(count - at - 1);
                let moved = entries.remove(at);
                entries.insert(to, moved);
                (at + 1, vec![log.whole_proof()])
            }
            "truncation" => {
                entries.truncate(at + 1);
                (at + 2, vec![log.whole_proof()])
            }
            // An entry and all behind it are made anew, as somebody would who knows the format.
            _ => {
                let mut forged = Log {
                    entries: Vec::new(),
                    points: log.points[..=at].to_vec(),
                };
                for (index, told) in entries.split_off(at).into_iter().enumerate() {
                    let mut told = told;
                    told.as_object_mut().unwrap().remove(CHAIN);
                    if index == 0 {
                        told["path"] = json!("/v2/forged");
                    }
                    forged.push(told);
                }
                entries.extend(forged.entries);
                // A proof from the day before confines it: the entry that it names is another one.
                (at + 2, vec![log.whole_proof(), log.proof(0, at + 2)])
            }
        };
        let found = verify(&entries, proofs).expect_err(kind);
        let line = match &found {
            Finding::Changed(entry) => usize::try_from(entry.line).unwrap(),
            Finding::NoEntry { line, .. } => usize::try_from(*line).unwrap(),
            other => usize::try_from(other.index()).unwrap(),
        };
        assert_eq!(
            line, expected,
            "round {round}, {kind} at {at} of {count}: {found}"
        );
    }
}

#[test]
fn a_line_that_is_cut_or_says_things_twice_is_no_entry() {
    let log = Log::new(6);
    let lines: Vec<_> = log.entries.iter().map(Value::to_string).collect();
    for cut in 0..lines[5].len() {
        let mut lines = lines.clone();
        lines[5].truncate(cut);
        let found = verify(&lines, Vec::new()).unwrap_err();
        assert!(matches!(found, Finding::NoEntry { line: 6, .. }), "{found}");
        assert_eq!(found.index(), 6);
    }
    let mut twice = lines.clone();
    twice[2].insert_str(1, r#""path":"/v2/harmless","#);
    assert_eq!(verify(&twice, Vec::new()).unwrap_err().index(), 3);
    for chain in [
        json!({}),
        json!(1),
        json!({"index": 3, "hash": "sha256:", "previous_hash": ""}),
    ] {
        let mut entries = log.entries.clone();
        entries[2][CHAIN] = chain;
        assert_eq!(verify(&entries, Vec::new()).unwrap_err().index(), 3);
    }
}

#[test]
fn an_entry_that_alone_was_made_anew_is_found_by_the_one_behind_it() {
    let log = Log::new(9);
    let mut entries = log.entries.clone();
    entries[4].as_object_mut().unwrap().remove(CHAIN);
    entries[4]["method"] = json!("GET");
    entries[4] = exported(entries[4].clone(), log.points[4]).0;
    let found = verify(&entries, Vec::new()).unwrap_err();
    assert!(
        matches!(&found, Finding::MadeAnew(entry) if entry.index == 5),
        "{found}"
    );
    let found = verify(&log.entries[..4], Vec::new());
    assert!(found.is_ok(), "without a proof the end is not known");
}

#[test]
fn entries_that_come_twice_and_those_of_another_environment_are_found() {
    let log = Log::new(6);
    let mut entries = log.entries.clone();
    entries.insert(4, entries[2].clone());
    let found = verify(&entries, Vec::new()).unwrap_err();
    assert!(matches!(found, Finding::Moved { behind: 4, .. }), "{found}");
    let other = Proof {
        environment: "sandbox".to_owned(),
        ..log.whole_proof()
    };
    let found = verify(&log.entries, vec![other]).unwrap_err();
    assert!(matches!(found, Finding::OtherEnvironment { .. }), "{found}");
    let none: &[Value] = &[];
    assert_eq!(verify(none, Vec::new()), Err(Finding::Empty));
    let cut = Finding::CutOff { from: 1, to: 6 };
    assert_eq!(verify(none, vec![log.whole_proof()]), Err(cut));
}

#[test]
fn a_proof_is_read_as_the_api_gives_it_and_nothing_else_is() {
    let log = Log::new(4);
    let point =
        |point: AuditPoint| json!({"index": point.index, "hash": format!("sha256:{}", point.hash)});
    let text = json!({
        "object": "audit_proof",
        "environment": "production",
        "base": point(log.points[1]),
        "head": point(log.points[4]),
        "revision": 9,
    });
    let parse = |value: &Value| Proof::parse(value.to_string().as_bytes());
    assert_eq!(parse(&text), Ok(log.proof(1, 4)));
    let without = |name: &str| {
        let mut fields: Map<_, _> = text.as_object().unwrap().clone();
        fields.remove(name);
        parse(&Value::Object(fields))
    };
    for name in ["object", "environment", "base", "head"] {
        assert!(without(name).is_err(), "{name}");
    }
    let mut backwards = text.clone();
    backwards["base"] = point(AuditPoint {
        index: 5,
        ..log.points[4]
    });
    assert!(parse(&backwards).is_err());
}
