//! Edges that came by their certificate with a join token, when they are started again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use edge::enrolment::{Enrolled, Folder};
use edge::store::DiskDirectory;
use edge_protocol::enrolment::Papers;
use platform::testing::TestAuthority;
use platform::{Clock, SystemClock};

use crate::place::Place;

/// Gives the edge a certificate that it came by with a token, instead of its operator's.
fn let_in(place: &Place) {
    let settings = fs::read_to_string(place.path("edge.toml")).unwrap();
    let (before, after) = settings.split_once("[tls]").unwrap();
    let (_, after) = after.split_once("[timeouts]").unwrap();
    let token_file = place.path("token").display().to_string();
    let settings = format!("{before}[enrolment]\ntoken_file = \"{token_file}\"\n[timeouts]{after}");
    let settings = settings.replace("environment = \"production\"\n", "");
    fs::write(place.path("edge.toml"), settings).unwrap();
    let pems = TestAuthority::default().edge("edge-1");
    let directory = DiskDirectory::open(&place.path("data").join("identity")).unwrap();
    let enrolled = Enrolled {
        edge_id: "edge-1".to_owned(),
        key: pems.key.into(),
        obtained_s: SystemClock.now().0 / 1000,
        papers: Papers {
            certificate: pems.cert,
            authorities: pems.ca,
            until_s: SystemClock.now().0 / 1000 + 3600,
            environment: "production".to_owned(),
            region: "eu-central-1".to_owned(),
            labels: BTreeMap::new(),
            nodes: vec!["127.0.0.1:9".to_owned()],
        },
        environment_id: None,
    };
    Folder(Arc::new(directory)).keep(&enrolled).unwrap();
}

#[test]
fn a_join_token_is_told_of_while_the_certificate_holds_and_read_for_another_environment() {
    let place = Place::new();
    let_in(&place);
    let edge = place.start(&[]);
    assert!(!edge.before.contains("the join token is not used"));
    assert_eq!(edge.stop("-TERM").0, Some(0));
    let elsewhere = [("VECTORGATE_EDGE__ENVIRONMENT", "sandbox")];
    let (code, text) = place.ends(&elsewhere);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("let in for `production`"), "{text}");

    fs::write(place.path("token"), "no token").unwrap();
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(place.path("token"), mode).unwrap();
    let edge = place.start(&[]);
    assert!(edge.before.contains("the join token is not used"));
    assert_eq!(edge.stop("-TERM").0, Some(0));
    let (code, text) = place.ends(&elsewhere);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("enrolment.token_file"), "{text}");
}
