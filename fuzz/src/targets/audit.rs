//! The audit log's canonical form, on which its chain hangs, and the verifier of exported logs.

use domain::audit::{Proof, Verifier, link};
use domain::content::{canonical_json, json_depth, strict_json};
use domain::model::AuditPoint;
use serde_json::{Map, Value, json};

use crate::Seen;
use crate::choices::Choices;
use crate::seen::size;

/// As deep as an exported entry may be.
const DEPTH_MAX: usize = 48;

pub(super) const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\"a\":1",
    b"\"chain\":",
    b"\"id\":",
    b"\"object\":\"audit_entry\"",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"\\u001f",
    b"1e400",
    b"-0",
    b"0.1",
    b"1e21",
    b"1e-7",
    b"9007199254740993",
    b"123456789012345678901234567890",
    b"true",
    b"null",
    b"$serde_json::private::Number",
    "\u{e4}".as_bytes(),
    "\u{10000}".as_bytes(),
    "\u{ffff}".as_bytes(),
    "\u{2028}".as_bytes(),
];

/// The first byte says whether the rest is a value, lines of a log, or what a log is made of and what is done
/// to it.
pub(super) fn run(input: &[u8]) -> Seen {
    let Some((kind, bytes)) = input.split_first() else {
        return Seen::of("nothing");
    };
    match kind % 3 {
        0 => value(bytes),
        1 => lines(bytes),
        _ => tampered(bytes),
    }
    .and(Seen::of(kind % 3))
}

fn value(bytes: &[u8]) -> Seen {
    let value = match strict_json(bytes, DEPTH_MAX) {
        Ok(value) => value,
        Err(error) => return Seen::refused(&error),
    };
    let text = canonical_json(&value);
    let read = strict_json(text.as_bytes(), DEPTH_MAX).expect("canonical JSON is strict JSON");
    assert_eq!(
        canonical_json(&read),
        text,
        "its canonical form has another one"
    );
    assert_eq!(
        canonical_json(&reversed(value.clone())),
        text,
        "the order of keys counts"
    );
    assert!(same(&value, &read), "{value} became {read}");
    let pretty = serde_json::to_string_pretty(&value).expect("a value has a text");
    let pretty: Value = serde_json::from_str(&pretty).expect("the text is that of a value");
    assert_eq!(canonical_json(&pretty), text, "white space counts");
    Seen::of((
        json_depth(&value).min(6),
        size(text.len()),
        text.as_bytes().first().copied(),
    ))
}

/// The same value with the keys of each object the other way round.
fn reversed(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(reversed).collect(),
        Value::Object(object) => {
            let fields = object.into_iter().rev();
            Value::Object(fields.map(|(key, value)| (key, reversed(value))).collect())
        }
        scalar => scalar,
    }
}

/// Whether two values are the same, numbers as doubles.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let in_other = |(key, value): (&String, &Value)| {
                other.get(key).is_some_and(|other| same(value, other))
            };
            one.len() == other.len() && one.iter().all(in_other)
        }
        (one, other) => one == other,
    }
}

/// Lines that anybody may have written, as a log and as a proof.
fn lines(bytes: &[u8]) -> Seen {
    let proof = Proof::parse(bytes);
    let mut verifier = Verifier::new(Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Err(finding) = verifier.line(line) {
            return Seen::refused(&finding).and(Seen::of(proof.is_ok()));
        }
    }
    match verifier.finish() {
        Ok(report) => {
            assert!(report.first.index <= report.last.index);
            Seen::of((report.unchained > 0, size(bytes.len())))
        }
        Err(finding) => Seen::refused(&finding),
    }
}

/// A log whose entries say what the input has, of which one is changed, left out, doubled or moved.
fn tampered(bytes: &[u8]) -> Seen {
    let mut choices = Choices::of(bytes);
    let mut point = AuditPoint::START;
    let mut log = Vec::new();
    for number in 0..=choices.below(6) {
        let text = choices.block();
        let said = strict_json(text, 16);
        let said = said.unwrap_or_else(|_| json!(hex::encode(text)));
        let (entry, next) = exported(point, number, &said);
        log.push(entry);
        point = next;
    }
    let proof = Proof {
        environment: "production".to_owned(),
        base: AuditPoint::START,
        head: point,
    };
    let written = texts(&log);
    let whole = verified(&written, &proof);
    assert_eq!(whole, None, "a log that nobody touched does not verify");
    let at = choices.below(log.len());
    let other = choices.below(log.len());
    let how = choices.below(5);
    match how {
        0 => drop(log.remove(at)),
        1 => log.swap(at, other),
        2 => log.insert(other, log[at].clone()),
        3 => log.truncate(at),
        _ => log[at]["said"] = said_by(choices.rest()),
    }
    let changed = texts(&log);
    let finding = verified(&changed, &proof);
    assert_eq!(finding.is_none(), changed == written, "{how}: {changed:?}");
    Seen::of((how, size(log.len()))).and(Seen::refused(&finding.unwrap_or_default()))
}

fn said_by(bytes: &[u8]) -> Value {
    strict_json(bytes, 16).unwrap_or(Value::Null)
}

fn texts(log: &[Value]) -> Vec<String> {
    log.iter().map(canonical_json).collect()
}

/// What the verifier finds, if anything.
fn verified(lines: &[String], proof: &Proof) -> Option<String> {
    let mut verifier = Verifier::new(vec![proof.clone()]);
    for line in lines {
        if let Err(finding) = verifier.line(line.as_bytes()) {
            return Some(finding.to_string());
        }
    }
    verifier.finish().err().map(|finding| finding.to_string())
}

fn exported(before: AuditPoint, number: usize, said: &Value) -> (Value, AuditPoint) {
    let mut entry = Map::new();
    entry.insert("object".to_owned(), json!("audit_entry"));
    entry.insert("id".to_owned(), json!(format!("aud_{number:08}")));
    entry.insert("environment".to_owned(), json!("production"));
    entry.insert("said".to_owned(), said.clone());
    let mut entry = Value::Object(entry);
    let link = link(before, entry.clone());
    entry["chain"] = json!({
        "index": link.point.index,
        "previous_hash": format!("sha256:{}", link.previous),
        "hash": format!("sha256:{}", link.point.hash),
    });
    (entry, link.point)
}
