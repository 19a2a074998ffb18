//! `vectorgate-edge verify`, as somebody meets it who has a file and no node.

use std::path::Path;
use std::process::Command;

use domain::id::{ClusterId, EnvironmentId, RouteId, SnapshotId};
use domain::model::Epoch;
use domain::time::Timestamp;
use domain::tree::Hash;
use edge_protocol::signing::{
    KeyPair, Scope, SignatureDocument, Statement, StatementDocument, TrustDocument, TrustSet,
    TrustedKey,
};

fn key(number: u8) -> KeyPair {
    KeyPair::new(&[number; 32]).unwrap()
}

fn statement() -> Statement {
    Statement {
        cluster_id: ClusterId::parse("cl_00000001").unwrap(),
        environment_id: EnvironmentId::parse("env_00000001").unwrap(),
        scope: Scope::Route {
            route_id: RouteId::parse("rt_00000001").unwrap(),
            snapshot_id: SnapshotId::parse("snap_00000001").unwrap(),
        },
        epoch: Epoch(1),
        version: 7,
        previous: Hash([0; 32]),
        root: Hash([0xab; 32]),
        at: Timestamp(1_714_320_000_123),
    }
}

/// As the API answers.
fn document(key: &KeyPair) -> SignatureDocument {
    let statement = statement();
    let bytes = statement.bytes();
    SignatureDocument {
        statement: StatementDocument {
            format: 1,
            cluster_id: statement.cluster_id.to_string(),
            environment_id: statement.environment_id.to_string(),
            scope: "route".to_owned(),
            route_id: "rt_00000001".to_owned(),
            snapshot_id: "snap_00000001".to_owned(),
            epoch: 1,
            version: 7,
            previous_hash: format!("sha256:{}", statement.previous),
            content_hash: format!("sha256:{}", statement.root),
            at_ms: statement.at.0,
        },
        canonical: hex::encode(&bytes),
        key_id: key.id().to_string(),
        public_key: hex::encode(key.public().0),
        signature: hex::encode(key.sign(&bytes).bytes.bytes()),
    }
}

/// As `vectorgate-node signing-keys list --json` prints them.
fn keys() -> TrustDocument {
    let set = TrustSet {
        cluster_id: statement().cluster_id,
        epoch: Epoch(1),
        serial: 1,
        keys: vec![TrustedKey {
            public: key(1).public(),
            voucher: None,
            retired: false,
        }],
    };
    TrustDocument::of(&set, Some(key(1).id()))
}

fn write(path: &Path, content: &impl serde::Serialize) {
    std::fs::write(path, serde_json::to_vec(content).unwrap()).unwrap();
}

fn verify(arguments: &[&Path]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vectorgate-edge"));
    command.arg("verify").args(arguments);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn what_is_signed_is_told_and_what_was_changed_is_named() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (file, known, flag) = (
        path("signature.json"),
        path("keys.json"),
        Path::new("--keys"),
    );
    write(&known, &keys());
    write(&file, &document(&key(1)));
    let (code, text) = verify(&[&file, flag, &known]);
    assert_eq!(code, Some(0), "{text}");
    let root = "ab".repeat(32);
    for told in [
        "snap_00000001 of rt_00000001",
        "cl_00000001",
        &root,
        "one of the keys",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let (code, text) = verify(&[&file]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("NOT COMPARED"), "{text}");

    let mut changed = document(&key(1));
    changed.statement.version = 8;
    let mut forged = document(&key(1));
    forged.signature = document(&key(2)).signature;
    for (what, expect) in [
        (changed, "belongs to version"),
        (forged, "its signature is not one that key"),
        (document(&key(2)), "which this edge does not know"),
    ] {
        write(&file, &what);
        let (code, text) = verify(&[&file, flag, &known]);
        assert_eq!(code, Some(65), "{text}");
        assert!(
            text.contains("NOT VERIFIED") && text.contains(expect),
            "{text}"
        );
    }
}

#[test]
fn files_that_are_missing_or_something_else_are_refused_by_their_exit_codes() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (file, other, flag) = (
        path("signature.json"),
        path("other.json"),
        Path::new("--keys"),
    );
    assert_eq!(verify(&[&file]).0, Some(66));
    write(&other, &serde_json::json!({"object": "route"}));
    assert_eq!(verify(&[&other]).0, Some(65));
    write(&file, &document(&key(1)));
    let (code, text) = verify(&[&file, flag, &other]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("signing-keys list"), "{text}");
    assert_eq!(verify(&[]).0, Some(64));
}
