//! Connections that begin with whom they come from.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;

use crate::client::{Raw, talk};
use crate::origin::Origin;
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n\r\n";

async fn world(origin: SocketAddr, from: &'static str) -> World {
    let mut world = World::start(Options {
        set: vec![
            ("HTTP__PROXY_PROTOCOL", "required"),
            ("HTTP__PROXY_PROTOCOL_FROM", from),
            ("TIMEOUTS__REQUEST_HEADER_MS", "200"),
        ],
        ..Options::default()
    })
    .await;
    world.publish(&[Draft::to(origin)]);
    world
}

#[test]
fn the_origin_is_told_of_the_client_that_the_header_names() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = world(origin.address, r#"["10.0.0.0/8", "127.0.0.0/8"]"#).await;
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\x7f\0\0\x01\x30\x39\0\x50";
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        for (header, client) in [
            (
                &b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 80\r\n"[..],
                "192.0.2.7",
            ),
            (b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n", "2001:db8::7"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
            (v2, "192.0.2.9"),
            (local, "127.0.0.1"),
        ] {
            let mut raw = Raw::connect(world.address).await;
            raw.0.write_all(header).await.unwrap();
            raw.write(REQUEST).await;
            let text = raw.read_to_end().await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{header:?}: {text}");
            assert_eq!(origin.last().header("x-forwarded-for"), Some(client));
        }
        // It may come in pieces.
        let mut raw = Raw::connect(world.address).await;
        for byte in b"PROXY TCP4 192.0.2.8 127.0.0.1 1 80\r\n" {
            raw.0.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        raw.write(REQUEST).await;
        assert!(raw.read_to_end().await.starts_with("HTTP/1.1 200 "));
        assert_eq!(origin.last().header("x-forwarded-for"), Some("192.0.2.8"));
        assert_eq!(world.metric("proxy_headers_refused_total"), 0);
    });
}

#[test]
fn http2_may_follow_a_header() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = world(origin.address, r#"["127.0.0.1/32"]"#).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("PROXY TCP4 192.0.2.7 127.0.0.1 12345 80\r\n")
            .await;
        let io = hyper_util::rt::TokioIo::new(raw.0);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(crate::http2::Local, io)
                .await
                .unwrap();
        tokio::task::spawn_local(connection);
        let request = http::Request::get("http://api.example.net/")
            .body(crate::client::empty())
            .unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        assert_eq!(origin.last().header("x-forwarded-for"), Some("192.0.2.7"));
    });
}

#[test]
fn who_sends_no_header_or_is_not_believed_is_not_served() {
    run(async {
        let origin = Origin::saying("x").await;
        let trusting = world(origin.address, r#"["127.0.0.0/8"]"#).await;
        for text in [
            REQUEST.to_owned(),
            format!("PROXY TCP4 192.0.2.7\r\n{REQUEST}"),
            format!("\r\n{REQUEST}"),
        ] {
            assert_eq!(talk(trusting.address, &text).await, "", "{text:?}");
        }
        assert_eq!(trusting.metric("proxy_headers_refused_total"), 3);
        let wary = world(origin.address, r#"["10.0.0.0/8"]"#).await;
        let text = format!("PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n{REQUEST}");
        assert_eq!(talk(wary.address, &text).await, "");
        assert_eq!(wary.metric("proxy_headers_refused_total"), 1);
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = world(origin.address, r#"["127.0.0.0/8"]"#).await;
        for begun in ["", "PROXY TCP4 192.0.2.7 "] {
            assert_eq!(talk(world.address, begun).await, "");
        }
        assert_eq!(world.metric("connections_overdue_total"), 2);
        eventually("they are gone", || world.metric("connections_open") == 0).await;
    });
}

#[test]
fn without_the_setting_a_header_is_a_bad_request() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let text = format!("PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n{REQUEST}");
        let answer = talk(world.address, &text).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(origin.count(), 0);
    });
}
