//! Which certificate a client of HTTP/3 is shown, and who is told that there is HTTP/3.

use std::sync::Arc;

use http::{Request, Version};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;

use super::client::{Client, dial, endpoint, get, to};
use super::open;
use crate::client::{Answer, ask, empty};
use crate::origin::Origin;
use crate::publish::HOST;
use crate::secured::{
    CERTIFICATE, OFF, PASSTHROUGH, STRICT, ask1, der, handshake, issued, modern, put, secure,
    to_host, with,
};
use crate::world::run;

fn shown(quic: &quinn::Connection) -> CertificateDer<'static> {
    let identity = quic.peer_identity().unwrap();
    identity.downcast::<Vec<CertificateDer<'static>>>().unwrap()[0].clone()
}

#[test]
fn the_host_that_is_named_decides_which_certificate_is_shown() {
    run(async {
        let origin = Origin::saying("x").await;
        let drafts = [
            with(STRICT, origin.address),
            to_host("own.example.net", origin.address),
        ];
        let (_world, address) = open(&[], &drafts).await;
        for (host, certificate) in [
            (HOST, issued("named", HOST)),
            ("own.example.net", issued("own", "own.example.net")),
        ] {
            let quic = dial(address, host).await.unwrap();
            assert_eq!(shown(&quic), der(&certificate), "{host}");
            let answer = Client::over(quic).await.ask(to(host, "/"), b"").await;
            assert_eq!(answer.text(), "x");
        }
    });
}

#[test]
fn a_connection_is_for_the_host_that_was_named_alone() {
    run(async {
        let origin = Origin::saying("x").await;
        let drafts = [
            with(STRICT, origin.address),
            to_host("other.example.net", origin.address),
        ];
        let (_world, address) = open(&[], &drafts).await;
        let client = Client::connect(address).await;
        for (host, status) in [
            ("other.example.net", 421),
            ("nobody.example", 421),
            (HOST, 200),
        ] {
            let answer = client.ask(to(host, "/"), b"").await;
            assert_eq!(answer.status, status, "{host}");
        }
    });
}

#[test]
fn hosts_whose_tls_ends_elsewhere_or_nowhere_are_not_served() {
    run(async {
        let origin = Origin::saying("x").await;
        for config in [OFF, PASSTHROUGH] {
            let (world, address) = open(&[], &[with(config, origin.address)]).await;
            dial(address, HOST).await.unwrap_err();
            assert_eq!(world.metric("tls_handshakes_failed_total"), 1, "{config}");
        }
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_policy_that_changes_holds_for_the_next_request() {
    run(async {
        let origin = Origin::saying("x").await;
        let (mut world, address) = open(&[], &[with(STRICT, origin.address)]).await;
        let client = Client::connect(address).await;
        for (config, status) in [(STRICT, 200), (OFF, 421), (PASSTHROUGH, 421), (STRICT, 200)] {
            world.publish(&[with(config, origin.address)]);
            assert_eq!(client.ask(get("/"), b"").await.status, status, "{config}");
        }
    });
}

#[test]
fn a_new_certificate_is_shown_from_the_next_handshake_on_and_nobody_is_dropped() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, address) = open(&[], &[with(STRICT, origin.address)]).await;
        let client = Client::connect(address).await;
        let renewed = issued("renewed", HOST);
        put(&world.serving.keyring, CERTIFICATE, &renewed);
        for _ in 0..2 {
            assert_eq!(client.ask(get("/"), b"").await.text(), "x");
        }
        let quic = dial(address, HOST).await.unwrap();
        assert_eq!(shown(&quic), der(&renewed));
    });
}

#[test]
fn only_http3_is_agreed_on() {
    run(async {
        let origin = Origin::saying("x").await;
        let (_world, address) = open(&[], &[with(STRICT, origin.address)]).await;
        for alpn in [&["h2"][..], &["hq-interop"], &[]] {
            let config = super::client::config(alpn);
            let connecting = endpoint().connect_with(config, address, HOST).unwrap();
            connecting.await.unwrap_err();
        }
    });
}

#[test]
fn clients_that_come_back_are_known_and_their_early_data_is_not_taken() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, address) = open(&[], &[with(STRICT, origin.address)]).await;
        let config = super::client::config(&["h3"]);
        let mut endpoint = endpoint();
        endpoint.set_default_client_config(config);
        for _ in 0..2 {
            let connecting = endpoint.connect(address, HOST).unwrap();
            // A client that has a ticket which allows early data gets a connection here.
            let Err(connecting) = connecting.into_0rtt() else {
                panic!("early data is offered");
            };
            let client = Client::over(connecting.await.unwrap()).await;
            assert_eq!(client.ask(get("/"), b"").await.text(), "x");
        }
        assert_eq!(world.metric("tls_handshakes_total"), 2);
    });
}

#[test]
fn clients_of_https_are_told_of_http3_where_it_is_spoken() {
    run(async {
        let origin = Origin::saying("x").await;
        for (set, expect) in [
            (&[][..], None),
            (&[super::LISTEN][..], Some("h3=\":443\"; ma=86400")),
            (
                &[super::LISTEN, ("HTTP3__PUBLIC_PORT", "8443")],
                Some("h3=\":8443\"; ma=86400"),
            ),
        ] {
            let flexible = r#"{"tls":{"policy":"flexible","certificate_id":"cert_01J2A8K6"}}"#;
            let (world, https) = secure(set, &[with(flexible, origin.address)]).await;
            let config = Arc::new(modern(&["http/1.1"]));
            let stream = handshake(https, HOST, &config).await.unwrap();
            assert_eq!(ask1(stream, HOST).await.header("alt-svc"), expect);
            let config = Arc::new(modern(&["h2"]));
            let stream = handshake(https, HOST, &config).await.unwrap();
            let (mut sender, connection) =
                http2::handshake(crate::http2::Local, TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::task::spawn_local(connection);
            let request = Request::get("https://api.example.net/")
                .version(Version::HTTP_2)
                .body(empty())
                .unwrap();
            let answer = Answer::of(sender.send_request(request).await.unwrap()).await;
            assert_eq!(answer.header("alt-svc"), expect);
            // In the clear nobody is who a client could be sure of.
            let answer = ask(world.address, crate::client::get("/")).await;
            assert_eq!((answer.text(), answer.header("alt-svc")), ("x", None));
        }
    });
}
