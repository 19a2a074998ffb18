//! TLS towards clients: which certificate, which version, which hosts, and what goes by unopened.

use std::sync::Arc;

use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use platform::{Network, TokioNetwork};
use rustls::HandshakeKind;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Answer, Raw, ask, empty, get};
use crate::origin::{Origin, nobody};
use crate::publish::HOST;
use crate::secured::{
    CERTIFICATE, OFF, PASSTHROUGH, STRICT, ask1, client, der, ending_tls, handshake, issued,
    modern, put, secure, to_host, with,
};
use crate::world::{Options, World, eventually, run};

const STRICT_13: &str =
    r#"{"tls":{"policy":"strict","certificate_id":"cert_01J2A8K6","min_version":"1.3"}}"#;

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[test]
fn a_host_is_served_with_its_certificate_and_the_origin_is_told_of_tls() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
        for alpn in [&["http/1.1"][..], &[]] {
            let config = Arc::new(modern(alpn));
            let stream = handshake(https, HOST, &config).await.unwrap();
            assert_eq!(shown(&stream), der(&issued("named", HOST)));
            assert_eq!(ask1(stream, HOST).await.text(), "x");
            let asked = origin.last();
            assert_eq!(asked.header("x-forwarded-proto"), Some("https"));
            let forwarded = "for=127.0.0.1;host=\"api.example.net\";proto=https";
            assert_eq!(asked.header("forwarded"), Some(forwarded));
        }
        let config = Arc::new(modern(&["h2", "http/1.1"]));
        let stream = handshake(https, HOST, &config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) = http2::handshake(crate::http2::Local, TokioIo::new(stream))
            .await
            .unwrap();
        tokio::task::spawn_local(connection);
        for _ in 0..3 {
            let request = Request::get("https://api.example.net/")
                .version(Version::HTTP_2)
                .body(empty())
                .unwrap();
            let answer = Answer::of(sender.send_request(request).await.unwrap()).await;
            assert_eq!(answer.text(), "x");
        }
        assert_eq!(origin.last().header("x-forwarded-proto"), Some("https"));
        assert_eq!(world.metric("tls_handshakes_total"), 3);
        let strange = Arc::new(modern(&["imap"]));
        handshake(https, HOST, &strange).await.unwrap_err();
        assert_eq!(world.metric("tls_handshakes_failed_total"), 1);
    });
}

#[test]
fn a_connection_is_for_the_host_that_was_named_alone() {
    run(async {
        let origin = Origin::saying("x").await;
        let other = to_host("other.example.net", origin.address);
        let drafts = [with(STRICT, origin.address), other];
        let (_world, https) = secure(&[], &drafts).await;
        let config = Arc::new(modern(&[]));
        for (host, status, code) in [
            ("API.example.net:443", 200, None),
            ("other.example.net", 421, Some("misdirected_request")),
            ("nobody.example.net", 421, Some("misdirected_request")),
        ] {
            let stream = handshake(https, HOST, &config).await.unwrap();
            let answer = ask1(stream, host).await;
            assert_eq!(answer.status, status, "{host}");
            assert_eq!(code.map(str::to_owned), code.map(|_| answer.code()));
        }
        let config = Arc::new(modern(&["h2"]));
        let stream = handshake(https, HOST, &config).await.unwrap();
        let (mut sender, connection) = http2::handshake(crate::http2::Local, TokioIo::new(stream))
            .await
            .unwrap();
        tokio::task::spawn_local(connection);
        for (host, status) in [("other.example.net", 421), (HOST, 200)] {
            let request = Request::get(format!("https://{host}/"))
                .version(Version::HTTP_2)
                .body(empty())
                .unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), status, "{host}");
        }
    });
}

#[test]
fn hosts_without_a_certificate_of_their_own_are_shown_the_edges() {
    run(async {
        let origin = Origin::saying("x").await;
        let drafts = [
            with(STRICT, origin.address),
            to_host("own.example.net", origin.address),
        ];
        let (_world, https) = secure(&[], &drafts).await;
        let own = der(&issued("own", "own.example.net"));
        let config = Arc::new(modern(&[]));
        let stream = handshake(https, "own.example.net", &config).await.unwrap();
        assert_eq!(shown(&stream), own);
        assert_eq!(ask1(stream, "own.example.net").await.text(), "x");
        // A client that names no host sees it, too, and no host that has another certificate.
        let mut silent = modern(&[]);
        silent.enable_sni = false;
        let silent = Arc::new(silent);
        for (host, status) in [("own.example.net", 200), (HOST, 421)] {
            let stream = handshake(https, "own.example.net", &silent).await.unwrap();
            assert_eq!(shown(&stream), own);
            assert_eq!(ask1(stream, host).await.status, status, "{host}");
        }
    });
}

#[test]
fn without_a_certificate_there_is_no_tls() {
    run(async {
        let origin = Origin::saying("x").await;
        let mut world = World::start(Options {
            set: vec![("HTTPS__LISTEN", "127.0.0.1:0")],
            ..Options::default()
        })
        .await;
        world.publish(&[
            with(STRICT, origin.address),
            to_host("other.example.net", origin.address),
        ]);
        let config = Arc::new(modern(&[]));
        for host in [HOST, "other.example.net", "nobody.example.net"] {
            handshake(world.https.unwrap(), host, &config)
                .await
                .unwrap_err();
        }
        assert_eq!(world.metric("tls_handshakes_failed_total"), 3);
        // It is there as soon as its certificate is.
        put(&world.serving.keyring, CERTIFICATE, &issued("named", HOST));
        let stream = handshake(world.https.unwrap(), HOST, &config)
            .await
            .unwrap();
        assert_eq!(ask1(stream, HOST).await.text(), "x");
    });
}

#[test]
fn policies_open_and_close_both_ways() {
    run(async {
        let origin = Origin::saying("x").await;
        let tls = Arc::new(modern(&[]));
        for (config, in_the_clear, over_tls) in [
            (STRICT, 308, true),
            (
                r#"{"tls":{"policy":"flexible","certificate_id":"cert_01J2A8K6"}}"#,
                200,
                true,
            ),
            (OFF, 200, false),
        ] {
            let drafts = [with(config, origin.address)];
            let (world, https) = secure(&[("HTTPS__PUBLIC_PORT", "8443")], &drafts).await;
            let answer = ask(world.address, get("/a?b=c")).await;
            assert_eq!(answer.status, in_the_clear, "{config}");
            if in_the_clear == 308 {
                let there = "https://api.example.net:8443/a?b=c";
                assert_eq!(answer.header("location"), Some(there));
            }
            match handshake(https, HOST, &tls).await {
                Ok(stream) => {
                    assert!(over_tls, "{config}");
                    assert_eq!(ask1(stream, HOST).await.text(), "x");
                }
                Err(error) => assert!(!over_tls, "{config}: {error}"),
            }
        }
        // The usual port is not named.
        let (world, _) = secure(&[], &[with(STRICT, origin.address)]).await;
        let mut request = get("/");
        let host = "API.example.net.:8080".parse().unwrap();
        request.headers_mut().insert("host", host);
        let answer = ask(world.address, request).await;
        assert_eq!(answer.header("location"), Some("https://api.example.net/"));
    });
}

#[test]
fn where_something_in_front_ends_tls_policies_are_its_matter() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(with(STRICT, origin.address)).await;
        assert_eq!(ask(world.address, get("/")).await.text(), "x");
    });
}

#[test]
fn a_policy_that_changes_holds_for_the_next_request() {
    run(async {
        let origin = Origin::saying("x").await;
        let (mut world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
        let config = Arc::new(modern(&[]));
        let stream = handshake(https, HOST, &config).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        for (config, status) in [(STRICT, 200), (OFF, 421), (PASSTHROUGH, 421), (STRICT, 200)] {
            world.publish(&[with(config, origin.address)]);
            let response = sender.send_request(get("/")).await.unwrap();
            assert_eq!(response.status(), status, "{config}");
            response.into_body().collect().await.unwrap();
        }
    });
}

#[test]
fn a_route_sets_the_oldest_version() {
    run(async {
        let origin = Origin::saying("x").await;
        let old = Arc::new(client(&[], &[&rustls::version::TLS12]));
        let new = Arc::new(client(&[], &[&rustls::version::TLS13]));
        for (config, takes_old) in [(STRICT, true), (STRICT_13, false)] {
            let (_world, https) = secure(&[], &[with(config, origin.address)]).await;
            handshake(https, HOST, &new).await.unwrap();
            let outcome = handshake(https, HOST, &old).await;
            assert_eq!(outcome.is_ok(), takes_old, "{config}");
        }
    });
}

#[test]
fn a_new_certificate_is_shown_from_the_next_handshake_on_and_nobody_is_dropped() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
        let config = Arc::new(modern(&[]));
        let stream = handshake(https, HOST, &config).await.unwrap();
        assert_eq!(shown(&stream), der(&issued("named", HOST)));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        let renewed = issued("renewed", HOST);
        put(&world.serving.keyring, CERTIFICATE, &renewed);
        for _ in 0..2 {
            let response = sender.send_request(get("/")).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        }
        // Without what the other handshake has left, it would go on with the old one.
        let fresh = Arc::new(modern(&[]));
        let stream = handshake(https, HOST, &fresh).await.unwrap();
        assert_eq!(shown(&stream), der(&renewed));
    });
}

#[test]
fn while_another_certificate_is_on_its_way_the_one_before_is_shown() {
    run(async {
        let origin = Origin::saying("x").await;
        let (mut world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
        let fresh = || Arc::new(modern(&[]));
        let other = r#"{"tls":{"policy":"strict","certificate_id":"cert_00000002"}}"#;
        let third = r#"{"tls":{"policy":"strict","certificate_id":"cert_00000003"}}"#;
        for config in [other, third] {
            world.publish(&[with(config, origin.address)]);
            let stream = handshake(https, HOST, &fresh()).await.unwrap();
            assert_eq!(shown(&stream), der(&issued("named", HOST)));
            assert_eq!(ask1(stream, HOST).await.text(), "x");
        }
        let arrived = issued("arrived", HOST);
        put(&world.serving.keyring, "cert_00000003", &arrived);
        let stream = handshake(https, HOST, &fresh()).await.unwrap();
        assert_eq!(shown(&stream), der(&arrived));
    });
}

#[test]
fn a_client_that_comes_back_is_known_by_its_ticket() {
    run(async {
        let origin = Origin::saying("x").await;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let (_world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
            let config = Arc::new(client(&[], &[version]));
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut stream = handshake(https, HOST, &config).await.unwrap();
                stream
                    .write_all(
                        b"GET / HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n\r\n",
                    )
                    .await
                    .unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
            }
        }
    });
}

#[test]
fn what_is_passed_through_is_opened_by_the_upstream_alone() {
    run(async {
        let theirs = issued("theirs", HOST);
        let upstream = ending_tls(&theirs).await;
        let (world, https) = secure(&[], &[with(PASSTHROUGH, upstream)]).await;
        let config = Arc::new(modern(&["anything"]));
        // The upstream does not speak that; the edge would not have let it decide.
        handshake(https, HOST, &config).await.unwrap_err();
        let config = Arc::new(modern(&[]));
        let mut stream = handshake(https, HOST, &config).await.unwrap();
        assert_eq!(shown(&stream), der(&theirs));
        for _ in 0..10 {
            stream.write_all(b"no http at all").await.unwrap();
            let mut heard = [0; 14];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"NO HTTP AT ALL");
        }
        assert_eq!(world.metric("tunnels_open"), 1);
        let answer = ask(world.address, get("/")).await;
        assert_eq!(answer.status, 308);
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        stream.write_all(b"bye").await.unwrap();
        let mut heard = [0; 3];
        stream.read_exact(&mut heard).await.unwrap();
        assert!(!stopping.is_finished());
        drop(stream);
        stopping.await.unwrap();
    });
}

#[test]
fn what_is_passed_through_goes_past_targets_that_do_not_take_connections() {
    run(async {
        let upstream = ending_tls(&issued("theirs", HOST)).await;
        let mut draft = with(PASSTHROUGH, upstream);
        draft.upstreams = vec![("main", vec![(nobody().await, 1), (upstream, 1)])];
        draft.settings.ejection.failures = 1;
        draft.settings.limits.requests = 2;
        let (world, https) = secure(&[], &[draft]).await;
        let config = Arc::new(modern(&[]));
        let mut streams = Vec::new();
        for _ in 0..2 {
            streams.push(handshake(https, HOST, &config).await.unwrap());
        }
        eventually("being out", || world.metric("targets_out") == 1).await;
        // It has as many as it takes.
        handshake(https, HOST, &config).await.unwrap_err();
        drop(streams);
        eventually("they end", || world.metric("tunnels_open") == 0).await;
        handshake(https, HOST, &config).await.unwrap();
    });
}

#[test]
fn a_handshake_that_takes_too_long_or_is_none_is_ended() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [("TIMEOUTS__TLS_HANDSHAKE_MS", "200")];
        let (world, https) = secure(&set, &[with(STRICT, origin.address)]).await;
        for begun in ["", "\u{16}\u{3}\u{1}", "\u{16}\u{3}\u{1}\u{1}\u{0}\u{1}"] {
            let mut raw = Raw::connect(https).await;
            raw.write(begun).await;
            assert_eq!(raw.read_to_end().await, "");
        }
        assert_eq!(world.metric("connections_overdue_total"), 3);
        // What is not TLS is told so and dropped at once.
        let mut raw = Raw::connect(https).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
            .await;
        assert!(!raw.read_to_end().await.contains("HTTP"));
        eventually("they are gone", || world.metric("connections_open") == 0).await;
        assert_eq!(world.metric("tls_handshakes_failed_total"), 4);
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn after_the_handshake_a_head_is_awaited_as_long_as_ever() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [
            ("TIMEOUTS__TLS_HANDSHAKE_MS", "5000"),
            ("TIMEOUTS__REQUEST_HEADER_MS", "200"),
        ];
        let (world, https) = secure(&set, &[with(STRICT, origin.address)]).await;
        let config = Arc::new(modern(&[]));
        let mut stream = handshake(https, HOST, &config).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        let mut rest = Vec::new();
        // However it ends, nothing is answered.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        assert_eq!(world.metric("connections_overdue_total"), 1);
    });
}

#[test]
fn the_proxy_protocol_goes_before_tls() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [
            ("HTTPS__PROXY_PROTOCOL", "required"),
            ("HTTPS__PROXY_PROTOCOL_FROM", r#"["127.0.0.1/32"]"#),
        ];
        let (_world, https) = secure(&set, &[with(STRICT, origin.address)]).await;
        let mut stream = TokioNetwork.connect(&https.to_string()).await.unwrap();
        stream
            .write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\n")
            .await
            .unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(Arc::new(modern(&[])));
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(ask1(stream, HOST).await.text(), "x");
        assert_eq!(origin.last().header("x-forwarded-for"), Some("192.0.2.7"));
    });
}

#[test]
fn a_stopping_edge_answers_what_has_come_over_tls() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                http::Response::new(crate::client::whole("finished"))
            }
        })
        .await;
        let (world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
        let config = Arc::new(modern(&[]));
        let stream = handshake(https, HOST, &config).await.unwrap();
        let idle = handshake(https, HOST, &config).await.unwrap();
        let asking = tokio::task::spawn_local(async move { ask1(stream, HOST).await });
        eventually("the origin is asked", || origin.count() == 1).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        let mut rest = Vec::new();
        let mut idle = idle;
        idle.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty() && !stopping.is_finished());
        release.send_replace(true);
        assert_eq!(asking.await.unwrap().text(), "finished");
        stopping.await.unwrap();
    });
}

#[test]
fn a_stopping_edge_finishes_handshakes_and_answers_what_comes_by_them() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, https) = secure(&[], &[with(STRICT, origin.address)]).await;
        let address = world.address;
        let greeting = TokioNetwork.connect(&https.to_string()).await.unwrap();
        eventually("it is accepted", || world.metric("connections_open") == 1).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        while TokioNetwork.connect(&address.to_string()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(Arc::new(modern(&[])));
        let stream = connector.connect(name, greeting).await.unwrap();
        let answer = ask1(stream, HOST).await;
        assert_eq!((answer.status, answer.text()), (200, "x"));
        assert_eq!(answer.header("connection"), Some("close"));
        stopping.await.unwrap();
    });
}
