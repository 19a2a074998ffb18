//! Receivers behind TLS: whom an attempt trusts, and that a certificate must name the host.

use platform::testing::{Pems, TestAuthority, dns};
use platform::tls::public_server;
use rustls::RootCertStore;

use super::super::roots::{self, RootsError};
use super::super::sender::{Attempted, Sender};
use super::world::{Behaviour, Listening, Scripted, loopback, send_soon};

fn certificate(authority: &str, name: &str) -> Pems {
    TestAuthority::new(authority).issue(name, vec![dns(name)])
}

/// Sends to `receiver.test`, which shows `shown`, trusting `trusted`'s authority.
async fn attempt(shown: &Pems, trusted: &Pems) -> (Attempted, Vec<String>) {
    let config = public_server(shown.cert.as_bytes(), shown.key.as_bytes()).unwrap();
    let answer = Behaviour::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let listening = Listening::start(answer, Some(config)).await;
    let mut roots = RootCertStore::empty();
    roots::add_pem(&mut roots, trusted.ca.as_bytes()).unwrap();
    let network = Scripted::new([Scripted::addresses(["127.0.0.1"])]);
    let sender = Sender::new(network, loopback(), roots).unwrap();
    let url = listening.named("https", "receiver.test");
    let attempted = send_soon(&sender, &url).await;
    let requests = listening.requests.lock().clone();
    (attempted, requests)
}

#[tokio::test]
async fn a_receiver_that_a_trusted_authority_vouches_for_is_spoken_to() {
    let good = certificate("ours", "receiver.test");
    let (attempted, requests) = attempt(&good, &good).await;
    assert_eq!((attempted.status, attempted.error), (Some(200), None));
    assert_eq!(attempted.head, "ok");
    assert!(requests[0].contains("\r\nhost: receiver.test:"));
}

#[tokio::test]
async fn another_name_or_another_authority_gets_nothing() {
    let good = certificate("ours", "receiver.test");
    for shown in [
        certificate("ours", "other.test"),
        certificate("ours", "sub.receiver.test"),
        certificate("theirs", "receiver.test"),
    ] {
        let (attempted, requests) = attempt(&shown, &good).await;
        assert_eq!(attempted.status, None);
        let error = attempted.error.unwrap();
        assert!(error.starts_with("TLS failed: "), "{error}");
        assert!(requests.is_empty(), "{requests:?}");
    }
}

#[tokio::test]
async fn of_an_error_that_a_receiver_has_made_long_only_the_beginning_is_kept() {
    let names = (0..500).map(|number| dns(&format!("{number}.other.test")));
    let shown = TestAuthority::new("ours").issue("other.test", names.collect());
    let (attempted, _) = attempt(&shown, &shown).await;
    let error = attempted.error.unwrap();
    assert!(error.starts_with("TLS failed: "), "{error}");
    assert_eq!(error.len(), 1024);
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_gets_nothing() {
    let listening = Listening::start(Behaviour::Say(b"HTTP/1.1 400 No\r\n\r\n"), None).await;
    let network = Scripted::new([Scripted::addresses(["127.0.0.1"])]);
    let sender = Sender::new(network, loopback(), RootCertStore::empty())
        .unwrap()
        .with_deadline(std::time::Duration::from_secs(1));
    let url = listening.named("https", "receiver.test");
    let attempted = send_soon(&sender, &url).await;
    assert_eq!(attempted.status, None);
    assert!(attempted.error.is_some());
    assert!(listening.requests.lock().is_empty());
}

#[test]
fn the_operators_authorities_come_beside_the_systems() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let without = roots::load(None).unwrap().len();
    std::fs::write(&path, certificate("ours", "x.test").ca).unwrap();
    assert_eq!(roots::load(Some(&path)).unwrap().len(), without + 1);
    for bad in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(&path, bad).unwrap();
        let refused = roots::load(Some(&path)).expect_err(bad);
        assert!(matches!(refused, RootsError::Pem { .. }), "{refused:?}");
    }
    let missing = roots::load(Some(&dir.path().join("none"))).unwrap_err();
    assert!(
        missing.to_string().contains("webhooks.ca_file"),
        "{missing}"
    );
}
