//! What clients of HTTP/3 may send and how much of it, and what becomes of those who send more.

use std::net::SocketAddr;

use h3::error::Code;

use super::client::{Client, get};
use super::open_to;
use super::raw::{DATA, HEADERS, Outcome, Raw, cancel, closing, frame, head, number, outcome};
use crate::client::empty;
use crate::origin::{Origin, listen};
use crate::world::{eventually, run};

#[test]
fn large_heads_are_refused_and_the_connection_goes_on() {
    run(async {
        let origin = Origin::saying("x").await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        for (bytes, status) in [
            (14 * 1024, Some(200)),
            (20 * 1024, Some(499)),
            (40 * 1024, None),
        ] {
            let large = vec![b'x'; bytes];
            let outcome = raw.ask(&head("GET", &[(b"x-large", &large)])).await;
            assert_eq!(outcome.status(), status, "{bytes}: {outcome:?}");
            if status.is_none() {
                let expect = Code::H3_EXCESSIVE_LOAD.value();
                assert!(
                    matches!(outcome, Outcome::Reset(code) if code == expect),
                    "{outcome:?}"
                );
            }
        }
        assert_eq!(origin.count(), 1);
        assert_eq!(raw.ask(&head("GET", &[])).await.status(), Some(200));
    });
}

#[test]
fn a_frame_that_says_it_is_endless_is_not_waited_for() {
    run(async {
        let origin = Origin::saying("x").await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        for kind in [HEADERS, 0x21] {
            let (_send, recv) = raw.send(&[&[kind][..], &number(1 << 29)].concat()).await;
            let expect = Code::H3_EXCESSIVE_LOAD.value();
            let outcome = outcome(recv).await;
            assert!(
                matches!(outcome, Outcome::Reset(code) if code == expect),
                "{outcome:?}"
            );
        }
        assert_eq!(raw.ask(&head("GET", &[])).await.status(), Some(200));
    });
}

#[test]
fn large_trailers_break_the_request_off() {
    run(async {
        let origin = Origin::start(|request| async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            assert!(body.is_err());
            http::Response::new(empty())
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let large = vec![b'x'; 20 * 1024];
        let trailers = frame(HEADERS, &super::section(&[(b"x-large", &large)]));
        let bytes = [head("POST", &[]), frame(DATA, b"body"), trailers].concat();
        let outcome = raw.ask(&bytes).await;
        assert!(outcome.is_refusal(), "{outcome:?}");
    });
}

#[test]
fn a_head_that_does_not_come_in_time_ends_its_stream() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [("TIMEOUTS__REQUEST_HEADER_MS", "500")];
        let (_world, address) = open_to(&set, origin.address).await;
        let raw = Raw::connect(address).await;
        assert_eq!(raw.ask(&head("GET", &[])).await.status(), Some(200));
        let whole = head("GET", &[]);
        for bytes in [&whole[..1], &whole[..whole.len() - 1]] {
            let (_send, recv) = raw.send(bytes).await;
            let expect = Code::H3_REQUEST_REJECTED.value();
            let outcome = outcome(recv).await;
            assert!(
                matches!(outcome, Outcome::Reset(code) if code == expect),
                "{outcome:?}"
            );
        }
        assert_eq!(raw.ask(&whole).await.status(), Some(200));
    });
}

#[test]
fn a_client_that_asks_for_nothing_is_ended() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [("TIMEOUTS__REQUEST_HEADER_MS", "200")];
        let (world, address) = open_to(&set, origin.address).await;
        let code = closing(async || Raw::connect(address).await.closed().await);
        assert_eq!(code.await, Code::H3_NO_ERROR.value());
        assert!(world.metric("connections_overdue_total") >= 1);
        eventually("it is gone", || world.metric("connections_open") == 0).await;
    });
}

#[test]
fn an_idle_client_is_told_and_let_go() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [("TIMEOUTS__IDLE_MS", "300")];
        let (world, address) = open_to(&set, origin.address).await;
        let client = Client::connect(address).await;
        assert_eq!(client.ask(get("/"), b"").await.text(), "x");
        client.let_go().await;
        assert_eq!(world.metric("connections_overdue_total"), 0);
    });
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_ended() {
    run(async {
        let origin = Origin::start(|_| async {
            http::Response::new(crate::client::whole(vec![b'x'; 8 * 1024 * 1024]))
        })
        .await;
        let set = [("TIMEOUTS__IDLE_MS", "400")];
        let (world, address) = open_to(&set, origin.address).await;
        let raw = Raw::connect(address).await;
        let (mut send, _recv) = raw.send(&head("GET", &[])).await;
        send.finish().unwrap();
        raw.quic.closed().await;
        assert!(world.metric("connections_overdue_total") >= 1);
    });
}

#[test]
fn a_connection_has_so_many_requests_at_once_and_no_more() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                http::Response::new(empty())
            }
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let mut under_way = Vec::new();
        for _ in 0..128 {
            // Those that may be kept would wait for the answer to the first.
            let (mut send, recv) = raw.send(&head("POST", &[])).await;
            send.finish().unwrap();
            under_way.push(recv);
        }
        eventually("all are asked", || origin.count() == 128).await;
        let mut another = std::pin::pin!(raw.quic.open_bi());
        let soon = tokio::time::timeout(std::time::Duration::ZERO, another.as_mut());
        assert!(soon.await.is_err());
        release.send_replace(true);
        another.await.unwrap();
        for recv in under_way {
            assert_eq!(outcome(recv).await.status(), Some(200));
        }
    });
}

#[test]
fn requests_that_are_taken_back_at_once_are_a_flood() {
    run(async {
        let origin = Origin::raw(|_, _stream| std::future::pending()).await;
        let (world, address) = open_to(&[], origin.address).await;
        let code = closing(async || {
            let raw = Raw::connect(address).await;
            while raw.quic.close_reason().is_none() {
                let Ok((mut send, mut recv)) = raw.quic.open_bi().await else {
                    break;
                };
                let _ = send.write_all(&head("GET", &[])).await;
                let _ = send.finish();
                cancel(&mut send, &mut recv);
            }
            raw.closed().await
        });
        assert_eq!(code.await, Code::H3_EXCESSIVE_LOAD.value());
        eventually("it is counted", || {
            world.metric("connections_flooding_total") >= 1
        })
        .await;
    });
}

#[test]
fn frames_that_carry_nothing_are_a_flood() {
    run(async {
        let origin = Origin::raw(|_, _stream| std::future::pending()).await;
        let (world, address) = open_to(&[], origin.address).await;
        // Unknown ones, and empty data, behind a head; and on the stream for control.
        for kind in [0x21, DATA] {
            let bytes = [head("POST", &[]), frame(kind, b"").repeat(1_000)].concat();
            let before = world.metric("connections_flooding_total");
            assert_eq!(
                ended_by(address, &bytes).await,
                Code::H3_EXCESSIVE_LOAD.value()
            );
            eventually("it is counted", || {
                world.metric("connections_flooding_total") > before
            })
            .await;
        }
        let code = closing(async || {
            let mut raw = Raw::connect(address).await;
            let pushes = frame(0x0d, &number(1)).repeat(1_000);
            let _ = raw.control.write_all(&pushes).await;
            raw.closed().await
        });
        assert_eq!(code.await, Code::H3_EXCESSIVE_LOAD.value());
    });
}

/// With what code a connection is closed that begins with these bytes on a stream.
async fn ended_by(address: SocketAddr, bytes: &[u8]) -> u64 {
    closing(async || {
        let raw = Raw::connect(address).await;
        let (_send, _recv) = raw.send(bytes).await;
        raw.closed().await
    })
    .await
}

#[test]
fn a_client_that_breaks_the_rules_of_the_connection_is_ended() {
    run(async {
        let origin = Origin::saying("x").await;
        let (_world, address) = open_to(&[], origin.address).await;
        for (bytes, code) in [
            (frame(DATA, b"no head"), Code::H3_FRAME_UNEXPECTED),
            (frame(4, b""), Code::H3_FRAME_UNEXPECTED),
            (frame(6, b""), Code::H3_FRAME_UNEXPECTED),
            // Refers to a table that there is not.
            (
                frame(HEADERS, &[2, 0, 0x80]),
                Code::QPACK_DECOMPRESSION_FAILED,
            ),
            (
                frame(HEADERS, &[0, 0, 0xff]),
                Code::QPACK_DECOMPRESSION_FAILED,
            ),
        ] {
            let ended = ended_by(address, &bytes).await;
            assert_eq!(ended, code.value(), "{bytes:x?}");
        }
        let ended = closing(async || {
            let mut raw = Raw::connect(address).await;
            raw.control.finish().unwrap();
            raw.closed().await
        });
        let expect = Code::H3_CLOSED_CRITICAL_STREAM.value();
        assert_eq!(ended.await, expect);
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_port_for_http3_is_not_the_one_for_tcp() {
    run(async {
        // Both may have the same number.
        let taken = listen().await;
        let origin = Origin::saying("x").await;
        let address = platform::Listener::local_addr(&taken).unwrap();
        let text: &'static str = Box::leak(address.to_string().into_boxed_str());
        let set = [("HTTP3__LISTEN", text)];
        let (_world, http3) = open_to(&set, origin.address).await;
        assert_eq!(http3, address);
        let client = Client::connect(http3).await;
        assert_eq!(client.ask(get("/"), b"").await.text(), "x");
    });
}
