//! What containers begin with: certificates that the product takes, made once, and secrets that are handed over as a program
//! wants them, however they are mounted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use platform::tls::{ALPN_H2, Identity, Peer};
use tempfile::TempDir;

use crate::root;

fn script(name: &str) -> PathBuf {
    root().join("deploy/container").join(name)
}

fn make_secrets(folder: &Path, names: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command
        .arg(script("make-secrets.sh"))
        .args([folder.join("authority"), folder.join("secrets")])
        .args(names);
    command.output().expect("sh runs")
}

fn folders() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["authority", "secrets", "private", "bin"] {
        fs::create_dir(folder.path().join(name)).expect("made");
    }
    folder
}

fn must_succeed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o777
}

#[test]
fn certificates_are_what_nodes_and_edges_take_and_are_kept() {
    let folder = folders();
    let secrets = folder.path().join("secrets");
    must_succeed(&make_secrets(folder.path(), &["node-2", "edge-1"]));
    for (name, peer) in [
        ("node-2", Peer::Node(2)),
        ("edge-1", Peer::Edge("edge-1".to_owned())),
    ] {
        let file = |extension: &str| secrets.join(format!("{name}.{extension}"));
        let identity = Identity::load(&secrets.join("ca.pem"), &file("pem"), &file("key"));
        let identity = identity.expect("the product loads it");
        assert_eq!(identity.peer(), Some(peer));
        identity.server(ALPN_H2).expect("it fits a server");
        identity.client(ALPN_H2).expect("it fits a client");
        assert_eq!(mode(&file("key")), 0o600);
    }
    assert_eq!(mode(&secrets.join("pepper")), 0o600);
    assert_eq!(mode(&folder.path().join("authority/ca.key")), 0o600);
    let before = fs::read(secrets.join("node-2.pem")).expect("a certificate");
    let pepper = fs::read(secrets.join("pepper")).expect("a pepper");
    must_succeed(&make_secrets(
        folder.path(),
        &["node-2", "edge-1", "edge-2"],
    ));
    assert_eq!(fs::read(secrets.join("node-2.pem")).expect("kept"), before);
    assert_eq!(fs::read(secrets.join("pepper")).expect("kept"), pepper);
    assert!(secrets.join("edge-2.pem").is_file());
}

#[test]
fn no_second_authority_is_made_beside_one_whose_key_is_elsewhere() {
    let folder = folders();
    fs::write(folder.path().join("secrets/ca.pem"), "somebody's").expect("written");
    let refused = make_secrets(folder.path(), &["node-1"]);
    assert_eq!(refused.status.code(), Some(65));
    assert!(!folder.path().join("secrets/node-1.pem").exists());
}

#[test]
fn a_name_that_would_leave_the_folder_is_refused() {
    let folder = folders();
    let refused = make_secrets(folder.path(), &["../node-1"]);
    assert_eq!(refused.status.code(), Some(64));
}

/// Runs the entry point with a program that says how it was called.
fn enter(folder: &Path, kind: &str, variable: (&str, &str)) -> Output {
    let program = folder.join("bin").join(format!("vectorgate-{kind}"));
    fs::write(&program, "#!/bin/sh\necho called with \"$@\"\n").expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .arg(script("entrypoint.sh"))
        .args([kind, "--settings", "file"])
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("VECTORGATE_SECRETS", folder.join("secrets"))
        .env("VECTORGATE_PRIVATE", folder.join("private"))
        .env(variable.0, variable.1);
    command.output().expect("sh runs")
}

#[test]
fn mounted_secrets_that_a_group_may_read_become_the_programs_own() {
    let folder = folders();
    let secrets = folder.path().join("secrets");
    for name in ["ca.pem", "node-3.pem", "node-3.key", "pepper", "keks"] {
        fs::write(secrets.join(name), name).expect("written");
        let shared = fs::Permissions::from_mode(0o440);
        fs::set_permissions(secrets.join(name), shared).expect("mounted so");
    }
    let output = enter(folder.path(), "node", ("VECTORGATE_NODE__ID", "3"));
    must_succeed(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "called with --settings file");
    let private = folder.path().join("private");
    for (name, from) in [
        ("own.key", "node-3.key"),
        ("own.pem", "node-3.pem"),
        ("pepper", "pepper"),
        ("keks", "keks"),
    ] {
        let copied = fs::read_to_string(private.join(name)).expect("copied");
        assert_eq!((copied.as_str(), mode(&private.join(name))), (from, 0o600));
    }
}

#[test]
fn a_secret_that_is_missing_is_named_and_an_edge_needs_no_pepper() {
    let folder = folders();
    let secrets = folder.path().join("secrets");
    for name in ["ca.pem", "tls.crt"] {
        fs::write(secrets.join(name), name).expect("written");
    }
    let edge = ("VECTORGATE_EDGE__ID", "edge-1");
    let refused = enter(folder.path(), "edge", edge);
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("edge-1.key tls.key"), "{said}");
    fs::write(secrets.join("tls.key"), "key").expect("written");
    must_succeed(&enter(folder.path(), "edge", edge));
}
