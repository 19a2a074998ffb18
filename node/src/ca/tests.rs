//! Authorities in folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use platform::tls::{Identity, Peer};
use platform::{SystemClock, SystemEntropy};

use super::*;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn folder(path: &Path) -> Folder<'_> {
    Folder {
        path,
        clock: &SystemClock,
        entropy: &SystemEntropy,
    }
}

fn node(id: u64, to: &Path) -> Order {
    Order {
        subject: Subject::Node {
            id,
            names: Vec::new(),
        },
        to: to.to_owned(),
        lasts: YEAR,
        replace: false,
    }
}

fn load(ca: &Path, issued: &Issued) -> Identity {
    Identity::load(ca, &issued.cert, &issued.key).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_is_made_once_and_its_secrets_are_its_owners() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("authority");
    folder(&path).init("Acme", YEAR).unwrap();
    let before = fs::read(path.join("ca.pem")).unwrap();
    let again = folder(&path).init("Acme", YEAR);
    assert!(matches!(again, Err(CaError::Exists(_))), "{again:?}");
    assert_eq!(fs::read(path.join("ca.pem")).unwrap(), before);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("ca.key")), 0o600);

    let issued = folder(&path).issue(&node(1, &path)).unwrap();
    assert_eq!(mode(&issued.key), 0o600);
    assert_eq!(
        load(&path.join("ca.pem"), &issued).peer(),
        Some(Peer::Node(1))
    );
    let key = fs::read(&issued.key).unwrap();
    let again = folder(&path).issue(&node(1, &path));
    assert!(matches!(again, Err(CaError::Exists(_))), "{again:?}");
    assert_eq!(fs::read(&issued.key).unwrap(), key);
    let order = Order {
        replace: true,
        ..node(1, &path)
    };
    let renewed = folder(&path).issue(&order).unwrap();
    assert_eq!(renewed, issued);
    assert_ne!(fs::read(&issued.key).unwrap(), key);
    assert_eq!(mode(&issued.key), 0o600);
}

#[test]
fn an_exposed_key_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    folder.init("Acme", YEAR).unwrap();
    let key = dir.path().join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = folder.issue(&node(1, dir.path()));
    assert!(matches!(refused, Err(CaError::Exposed(_))), "{refused:?}");
}

#[test]
fn another_authority_takes_the_place_of_the_first_in_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let bundle = dir.path().join("ca.pem");
    folder.init("Acme", YEAR).unwrap();
    let first = fs::read_to_string(&bundle).unwrap();
    assert!(matches!(
        folder.finish_rotation(),
        Err(CaError::NotRotating(_))
    ));

    folder.rotate("Acme", YEAR).unwrap();
    let both = fs::read_to_string(&bundle).unwrap();
    assert!(
        both.ends_with(&first) && both.matches("BEGIN").count() == 2,
        "{both}"
    );
    assert_eq!(mode(&dir.path().join("ca.key")), 0o600);
    assert!(matches!(
        folder.rotate("Acme", YEAR),
        Err(CaError::Rotating(_))
    ));
    let issued = folder.issue(&node(2, dir.path())).unwrap();
    load(&bundle, &issued);

    folder.finish_rotation().unwrap();
    let second = fs::read_to_string(&bundle).unwrap();
    assert_eq!(both, [second, first].concat());
    folder.issue(&node(3, dir.path())).unwrap();
}

#[test]
fn a_replacement_that_was_interrupted_is_brought_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let at = |name: &str| dir.path().join(name);
    folder.init("Acme", YEAR).unwrap();
    let old_key = fs::read(at("ca.key")).unwrap();
    // The bundle was not replaced yet: the new key is of no use.
    fs::copy(at("ca.key"), at("ca.key.next")).unwrap();
    fs::write(at("ca.key.next"), "half a key").unwrap();
    folder.issue(&node(1, dir.path())).unwrap();
    assert!(!at("ca.key.next").exists());
    // It was, and the key was not moved yet.
    folder.rotate("Acme", YEAR).unwrap();
    fs::rename(at("ca.key"), at("ca.key.next")).unwrap();
    fs::write(at("ca.key"), old_key).unwrap();
    folder.issue(&node(2, dir.path())).unwrap();
    assert!(!at("ca.key.next").exists());
    assert_eq!(mode(&at("ca.key")), 0o600);
}

#[test]
fn an_edge_takes_no_name_that_would_write_over_others_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("authority");
    folder(&path).init("Acme", YEAR).unwrap();
    let issue = |id: &str| {
        folder(&path).issue(&Order {
            subject: Subject::Edge {
                id: id.to_owned(),
                environment: "production".to_owned(),
            },
            to: path.clone(),
            lasts: YEAR,
            replace: true,
        })
    };
    let long = "e".repeat(65);
    for id in [
        "ca", "node-1", "../x", "a/b", "", ".hidden", "e\u{e9}", &long,
    ] {
        let refused = issue(id);
        assert!(
            matches!(refused, Err(CaError::EdgeName(_))),
            "{id}: {refused:?}"
        );
    }
    for id in ["edge-1", "fra_2.example", "node-a"] {
        assert!(issue(id).is_ok(), "{id}");
    }
}
