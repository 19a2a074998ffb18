//! `ca`: an authority for operators who have none, made and used with nothing but the program.

use std::process::{Command, Output};

use platform::tls::{Identity, Peer};

fn ca(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vectorgate-node"));
    command.arg("ca").args(arguments).output().unwrap()
}

fn ends(arguments: &[&str], code: i32) -> String {
    let output = ca(arguments);
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("PRIVATE KEY"), "{said}");
    said
}

#[test]
fn an_operator_makes_an_authority_and_certificates_that_nodes_and_edges_take() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("authority").display().to_string();
    let out = dir.path().join("out").display().to_string();
    ends(&["init", "--dir", &folder], 0);
    let said = ends(&["init", "--dir", &folder], 1);
    assert!(said.contains("not overwritten"), "{said}");
    ends(
        &[
            "issue", "--dir", &folder, "--out", &out, "--node", "4", "--also", "node-4",
        ],
        0,
    );
    ends(
        &["issue", "--dir", &folder, "--out", &out, "--node", "4"],
        1,
    );
    let edge = ["issue", "--dir", &folder, "--out", &out, "--edge", "edge-1"];
    let said = ends(&edge, 2);
    assert!(said.contains("--environment"), "{said}");
    ends(&[&edge[..], &["--environment", "production"]].concat(), 0);
    for (name, peer) in [
        ("node-4", Peer::Node(4)),
        ("edge-1", Peer::Edge("edge-1".to_owned())),
    ] {
        let file = |extension: &str| dir.path().join(format!("out/{name}.{extension}"));
        let ca = dir.path().join("authority/ca.pem");
        let identity = Identity::load(&ca, &file("pem"), &file("key")).unwrap();
        assert_eq!(identity.peer(), Some(peer));
    }
    ends(
        &[
            "issue",
            "--dir",
            &folder,
            "--edge",
            "no name",
            "--environment",
            "x",
        ],
        64,
    );
    ends(&["rotate", "--dir", &folder, "--finish"], 1);
    ends(&["rotate", "--dir", &folder], 0);
    ends(&["rotate", "--dir", &folder], 1);
    ends(&["rotate", "--dir", &folder, "--finish"], 0);
    let help = ends(&["issue", "--help"], 0);
    assert!(help.contains("--replace"), "{help}");
}
