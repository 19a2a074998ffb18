//! Backups as an operator meets them: made of a running node, verified, restored into an empty directory,
//! and a cluster that is recovered from what a stopped node has.

use std::fs;
use std::process::Output;

use crate::place::{Place, contains, fails, get_from};

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// Runs a subcommand, which ends with that code and says those words.
#[track_caller]
fn ends(place: &Place, arguments: &[&str], code: i32, words: &str) -> String {
    let output = place.run(arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
    said
}

fn json(place: &Place, arguments: &[&str]) -> serde_json::Value {
    let output = place.run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A place with two keys for backups, and folders.
struct Drill {
    place: Place,
    dir: String,
    key: String,
    other: String,
}

impl Drill {
    fn new() -> Self {
        let place = Place::new();
        place.write_secret("backup.key", &"11".repeat(32));
        place.write_secret("other.key", &"22".repeat(32));
        let [dir, key, other] = ["backup", "backup.key", "other.key"]
            .map(|name| place.path(name).display().to_string());
        Self {
            place,
            dir,
            key,
            other,
        }
    }

    fn create(&self) -> serde_json::Value {
        let arguments = [
            "backup",
            "create",
            "--to",
            &self.dir,
            "--key-file",
            &self.key,
            "--json",
        ];
        json(&self.place, &arguments)
    }
}

/// The key of the production environment that bootstrapping shows.
fn api_key(output: &Output) -> String {
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = &made["environments"]["production"]["api_key"];
    key.as_str().unwrap().to_owned()
}

#[test]
fn a_backup_is_made_verified_and_restored_into_an_empty_directory() {
    let drill = Drill::new();
    let Drill {
        place,
        dir,
        key,
        other,
    } = &drill;
    let node = place.start();
    let made = place.bootstrap();
    assert!(made.status.success());
    ends(place, &["backup", "create", "--to", dir], 2, "--key-file");
    let exposed = place.path("exposed.key");
    fs::write(&exposed, "33".repeat(32)).unwrap();
    let exposed = exposed.display().to_string();
    let arguments = ["backup", "create", "--to", dir, "--key-file", &exposed];
    ends(place, &arguments, 64, "use 600");
    let manifest = drill.create();
    let state = manifest["signed"]["statement"]["state_sha256"].clone();
    let arguments = ["backup", "create", "--to", dir, "--key-file", key];
    ends(place, &arguments, 1, "is not empty");

    let api_key = api_key(&made);
    assert!(!contains(&place.path("backup"), api_key.as_bytes()));
    assert!(!contains(&place.path("backup"), b"production"));
    ends(
        place,
        &["backup", "verify", dir, "--key-file", key],
        0,
        "The backup is whole",
    );
    ends(
        place,
        &["backup", "verify", dir, "--key-file", other],
        64,
        "another key",
    );
    ends(
        place,
        &["backup", "verify", dir],
        64,
        "the backup is encrypted",
    );
    let trust = place.path("trust.json");
    let keys = json(place, &["signing-keys", "list", "--json"]);
    fs::write(&trust, keys.to_string()).unwrap();
    let trust = trust.display().to_string();
    let trusting = [
        "backup",
        "verify",
        dir,
        "--key-file",
        key,
        "--trust",
        &trust,
    ];
    ends(place, &trusting, 0, "The backup is whole");
    let rows = place.path("backup").join("rows-000000");
    let whole = fs::read(&rows).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&rows, damaged).unwrap();
    ends(
        place,
        &["backup", "verify", dir, "--key-file", key],
        65,
        "rows-000000",
    );
    let restore = ["backup", "restore", dir, "--key-file", key];
    ends(place, &restore, 65, "rows-000000");
    fs::write(&rows, whole).unwrap();

    ends(place, &restore, 1, "is not empty");
    assert_eq!(node.terminate(), Some(0));
    ends(place, &restore, 1, "is not empty");
    fs::rename(place.path("data"), place.path("gone")).unwrap();
    let dry = [&restore[..], &["--dry-run"]].concat();
    ends(place, &dry, 0, "Nothing was written");
    assert!(!place.path("data").exists());
    // One that was interrupted: no node starts on it, and it can be restored again.
    fs::create_dir(place.path("data")).unwrap();
    fs::write(place.path("data/unfinished"), b"VGUF\x01restore\n").unwrap();
    fs::write(place.path("data/hwm"), b"half").unwrap();
    fails(place.command(&place.settings()), 65, "data/unfinished");
    let restored = json(place, &[&restore[..], &["--json"]].concat());
    assert_eq!(restored["state_sha256"], state);
    assert_eq!(
        (&restored["epoch"], &restored["written"]),
        (&2.into(), &true.into())
    );

    let node = place.start();
    let changes = ends(
        place,
        &["members", "changes"],
        0,
        "begin epoch 2 from backup",
    );
    assert!(
        changes.contains(manifest["backup_id"].as_str().unwrap()),
        "{changes}"
    );
    let keys = json(place, &["signing-keys", "list", "--json"]);
    assert_eq!(keys["epoch"], 2);
    // Keys are known that were made before.
    let again = place.bootstrap();
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    let answer = with_key(place, "/v2/audit_log", &api_key);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("restore_backup"), "{answer}");
    assert_eq!(node.terminate(), Some(0));
}

#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
fn with_key(place: &Place, path: &str, key: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(place.rest).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_backup_needs_the_pepper_of_its_cluster() {
    let drill = Drill::new();
    let Drill {
        place, dir, key, ..
    } = &drill;
    let node = place.start();
    assert!(place.bootstrap().status.success());
    drill.create();
    assert_eq!(node.terminate(), Some(0));
    fs::rename(place.path("data"), place.path("gone")).unwrap();
    place.write_secret("pepper", &"cd".repeat(32));
    let restore = ["backup", "restore", dir, "--key-file", key];
    ends(place, &restore, 64, "security.pepper_file");
    assert!(!place.path("data").exists());
}

#[test]
fn a_stopped_node_is_recovered_by_whoever_names_its_cluster() {
    let place = Place::new();
    ends(
        &place,
        &[
            "recover",
            "--unsafe-force-new-cluster",
            "--cluster-id",
            "cl_1",
        ],
        65,
        "holds nothing",
    );
    let node = place.start();
    assert!(place.bootstrap().status.success());
    let keys = json(&place, &["signing-keys", "list", "--json"]);
    let cluster = keys["cluster_id"].as_str().unwrap().to_owned();
    let recover = [
        "recover",
        "--unsafe-force-new-cluster",
        "--cluster-id",
        &cluster,
    ];
    let running = place.run(&recover);
    assert_eq!(running.status.code(), Some(74), "{}", said(&running));
    assert_eq!(node.terminate(), Some(0));

    ends(
        &place,
        &["recover", "--cluster-id", &cluster],
        2,
        "--unsafe-force-new-cluster",
    );
    let other = [
        "recover",
        "--unsafe-force-new-cluster",
        "--cluster-id",
        "cl_1",
    ];
    ends(&place, &other, 1, "of another cluster");
    let looked = ends(
        &place,
        &["recover", "--dry-run", "--cluster-id", &cluster],
        0,
        "Nothing",
    );
    assert!(looked.contains("epoch 2"), "{looked}");
    let node = place.start();
    assert_eq!(
        json(&place, &["signing-keys", "list", "--json"])["epoch"],
        1
    );
    assert_eq!(node.terminate(), Some(0));

    ends(&place, &recover, 0, "is the only voter");
    let node = place.start();
    assert_eq!(
        json(&place, &["signing-keys", "list", "--json"])["epoch"],
        2
    );
    ends(&place, &["members", "changes"], 0, "with what node 1 had");
    let answer = get_from("127.0.0.1", place.admin, "/admin/cluster").unwrap();
    assert!(answer.contains("\"leader\":1"), "{answer}");
    assert_eq!(node.terminate(), Some(0));
}
