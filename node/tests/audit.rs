//! `vectorgate-node audit verify`: files, messages and exit codes, as operators meet them.

use std::fs;
use std::process::{Command, Output};

use domain::audit;
use domain::command::Origin;
use domain::id::{RequestId, Seed};
use domain::model::{AuditPoint, JournalEntry, JournalPlace};
use domain::time::{Revision, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

fn entry(number: u64, before: AuditPoint) -> (Value, AuditPoint) {
    let place = JournalPlace {
        at: Timestamp(1_714_320_000_000 + number),
        revision: Revision(number),
    };
    let entry = JournalEntry {
        actor: None,
        request_id: RequestId::new(Seed {
            unix_ms: number,
            random: number,
        }),
        origin: Origin::default(),
        idempotency_key: None,
        operation: "publish".to_owned(),
        changes: Vec::new(),
        notices: Vec::new(),
        link: None,
    };
    let mut told = audit::told(place, &entry, "production");
    let link = audit::link(before, told.clone());
    told["chain"] = json!({
        "index": link.point.index,
        "previous_hash": format!("sha256:{}", link.previous),
        "hash": format!("sha256:{}", link.point.hash),
    });
    (told, link.point)
}

fn end(point: AuditPoint) -> Value {
    json!({"index": point.index, "hash": format!("sha256:{}", point.hash)})
}

/// A directory with the log of ten entries and its proof.
struct Place {
    dir: TempDir,
    lines: Vec<String>,
}

impl Place {
    fn new() -> Self {
        let (mut lines, mut point) = (Vec::new(), AuditPoint::START);
        for number in 1..=10 {
            let (told, next) = entry(number, point);
            lines.push(told.to_string());
            point = next;
        }
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
            lines,
        };
        let proof = json!({
            "object": "audit_proof", "environment": "production", "created_at": 1_714_320_000,
            "base": end(AuditPoint::START), "head": end(point), "revision": 10,
        });
        place.write("proof.json", &proof.to_string());
        place.write("audit.ndjson", &(place.lines.join("\n") + "\n"));
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn verify(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vectorgate-node"));
        command
            .current_dir(self.dir.path())
            .args(["audit", "verify"])
            .args(arguments);
        command.output().unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.verify(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_whole_log_is_said_to_be_so_with_what_vouches_for_it() {
    let place = Place::new();
    let told = place.verify(&["audit.ndjson", "--proof", "proof.json"]);
    assert_eq!(told.status.code(), Some(0));
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(
        text.contains("whole from entry 1") && text.contains("to entry 10"),
        "{text}"
    );
    assert!(text.contains("the one that the proof names"), "{text}");
    let told = place.verify(&["audit.ndjson"]);
    assert_eq!(told.status.code(), Some(0));
    assert!(
        String::from_utf8(told.stdout)
            .unwrap()
            .contains("would not show")
    );
    let told = place.verify(&["audit.ndjson", "--json", "--proof", "proof.json"]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (&report["proven"], &report["last"]["index"]),
        (&json!(10), &json!(10))
    );
}

#[test]
fn a_log_that_was_tampered_with_ends_with_1_and_the_entry() {
    let place = Place::new();
    let check = |lines: &[String], says: &str| {
        place.write("tampered", &lines.join("\n"));
        place.fails(&["tampered", "--proof", "proof.json"], 1, says);
    };
    let mut edited = place.lines.clone();
    edited[6] = edited[6].replace("publish", "rollback");
    check(&edited, "entry 7 (");
    let mut without = place.lines.clone();
    without.remove(3);
    check(&without, "entries 4 to 4 are missing");
    let mut twice = place.lines.clone();
    twice.insert(6, twice[2].clone());
    check(&twice, "entry 3 (");
    let mut moved = place.lines.clone();
    moved.swap(4, 8);
    check(&moved, "entry 5 is out of order");
    check(&place.lines[..8], "entries 9 to 10 are missing at the end");
    let mut cut = place.lines.clone();
    cut[9].truncate(40);
    check(&cut, "line 10 is no entry");
}

#[test]
fn files_that_cannot_be_read_or_are_something_else_are_named() {
    let place = Place::new();
    place.write("other", "{}");
    place.fails(&["none"], 66, "cannot read none");
    place.fails(
        &["audit.ndjson", "--proof", "other"],
        65,
        "other is no proof",
    );
    place.fails(&["audit.ndjson", "--proof", "none"], 66, "cannot read none");
    place.fails(&[], 2, "<FILE>");
}
