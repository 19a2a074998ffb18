//! Requests that two readers could cut differently. Each is refused, or passed on in a form that
//! has one reading only; what is hidden in it never becomes a request of its own.

mod corpus;
mod http2;
mod http3;
mod strict;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use corpus::Expect;
use strict::Strict;

use crate::client::{Raw, talk};
use crate::origin::{Origin, answer};
use crate::publish::Draft;
use crate::world::{World, eventually, run};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: api.example.net\r\n\r\n";

/// Everything that an origin reads, as one text. It answers whatever ends like a head or a body.
async fn listening() -> (Origin, std::rc::Rc<std::cell::RefCell<String>>) {
    let heard = std::rc::Rc::<std::cell::RefCell<String>>::default();
    let all = std::rc::Rc::clone(&heard);
    let origin = Origin::raw(move |_, mut stream| {
        let heard = std::rc::Rc::clone(&all);
        async move {
            let mut buffer = [0; 4096];
            loop {
                let Ok(count @ 1..) = stream.read(&mut buffer).await else {
                    return;
                };
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                heard.borrow_mut().push_str(&text);
                if stream.write_all(answer("x").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (origin, heard)
}

#[test]
fn every_case_of_the_corpus_is_refused_or_has_one_reading() {
    run(async {
        let cases = corpus::cases();
        assert!(cases.len() >= 100, "{}", cases.len());
        for case in cases {
            let origin = Strict::start().await;
            let world = World::with(Draft::to(origin.address)).await;
            let mut raw = Raw::connect(world.address).await;
            let bytes = [&case.bytes[..], HIDDEN.as_bytes()].concat();
            // The edge may end the connection before it has read everything.
            let _ = raw.0.write_all(&bytes).await;
            let text = raw.read_to_end().await;
            let why = format!("{}: {text}", case.why);
            let status = text.get("HTTP/1.1 ".len()..).and_then(|text| text.get(..1));
            let seen = origin.seen.borrow();
            assert!(text.matches("HTTP/1.").count() <= 1, "{why}");
            match case.expect {
                Expect::Refused => {
                    assert!(matches!(status, Some("4" | "5")), "{why}");
                    assert!(seen.is_empty(), "{why}: {seen:?}");
                }
                Expect::Broken => {
                    assert!(matches!(status, None | Some("4" | "5")), "{why}");
                    assert!(seen.is_empty(), "{why}: {seen:?}");
                }
                Expect::Once(body) => {
                    assert_eq!(status, Some("2"), "{why}");
                    let [Ok(only)] = &seen[..] else {
                        panic!("{why}: {seen:?}");
                    };
                    assert_eq!(only.body, body.as_bytes(), "{why}");
                    assert_eq!(only.all("host"), ["api.example.net"], "{why}");
                    assert!(only.line.ends_with(" / HTTP/1.1"), "{why}: {only:?}");
                }
            }
        }
    });
}

#[test]
fn a_length_beside_chunks_is_dropped_and_what_follows_is_not_read_as_a_request() {
    run(async {
        let (origin, heard) = listening().await;
        let world = World::with(Draft::to(origin.address)).await;
        for fields in [
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
            "content-length: 4\r\nTransfer-Encoding:\tchunked\r\n",
        ] {
            heard.borrow_mut().clear();
            let text = talk(
                world.address,
                &format!("POST / HTTP/1.1\r\nhost: api.example.net\r\n{fields}\r\n3\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
            )
            .await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            assert_eq!(
                text.matches("HTTP/1.1 ").count(),
                1,
                "the connection ends after the answer: {text}"
            );
            let heard = heard.borrow().to_lowercase();
            assert!(
                !heard.contains("content-length")
                    && heard.contains("transfer-encoding: chunked\r\n"),
                "{heard}"
            );
            assert!(!heard.contains("hidden"), "{heard}");
        }
    });
}

#[test]
fn broken_chunks_end_the_request_on_both_sides() {
    run(async {
        for chunks in [
            "zz\r\nabc\r\n",
            "3\r\nabcdef\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
            "-3\r\nabc\r\n",
        ] {
            let (origin, heard) = listening().await;
            let world = World::with(Draft::to(origin.address)).await;
            let mut raw = Raw::connect(world.address).await;
            raw.write(&format!("POST / HTTP/1.1\r\nhost: api.example.net\r\ntransfer-encoding: chunked\r\n\r\n{chunks}{HIDDEN}"))
                .await;
            let text = raw.read_to_end().await;
            assert!(text.matches("HTTP/1.1 ").count() <= 1, "{chunks:?}: {text}");
            assert!(
                !heard.borrow().contains("GET /hidden"),
                "{chunks:?}: {}",
                heard.borrow()
            );
        }
    });
}

#[test]
fn an_answer_with_two_readings_does_not_reach_the_next_client() {
    run(async {
        // The origin says more than its length; what is left over must not answer another request.
        let origin = Origin::raw(|_, mut stream| async move {
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer).await {
                let text = format!(
                    "{}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
                    answer("x")
                );
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        for _ in 0..20 {
            let answer = crate::client::ask(world.address, crate::client::get("/")).await;
            assert_eq!(answer.text(), "x");
        }
        eventually("connections are given up", || {
            world.metric("connections_open") == 0
        })
        .await;
    });
}

#[test]
fn an_answer_is_framed_in_one_way_whatever_the_origin_says() {
    run(async {
        for (fields, body, framing) in [
            (
                "content-length: 100\r\ntransfer-encoding: chunked",
                "4\r\nbody\r\n0\r\n\r\n",
                "transfer-encoding: chunked",
            ),
            (
                "transfer-encoding: chunked\r\ncontent-length: 2",
                "4\r\nbody\r\n0\r\n\r\n",
                "transfer-encoding: chunked",
            ),
            (
                "content-length: 4\r\ncontent-length: 4",
                "body",
                "content-length: 4",
            ),
            ("content-length: 4, 4", "body", "content-length: 4"),
        ] {
            let origin = Origin::raw(move |_, mut stream| async move {
                while crate::origin::read_head(&mut stream).await.is_some() {
                    let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
            })
            .await;
            let world = World::with(Draft::to(origin.address)).await;
            let mut raw = Raw::connect(world.address).await;
            raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
                .await;
            let head = raw.read_until("\r\n\r\n").await;
            assert!(head.contains(framing), "{fields}: {head}");
            let lines = head.lines().filter(|line| {
                line.starts_with("content-length") || line.starts_with("transfer-encoding")
            });
            assert_eq!(lines.count(), 1, "{fields}: {head}");
            let answer = crate::client::ask(world.address, crate::client::get("/")).await;
            assert_eq!(answer.text(), "body", "{fields}");
        }
    });
}

#[test]
fn codings_that_nobody_undoes_are_refused_on_both_sides() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            crate::origin::read_head(&mut stream).await;
            let text =
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let answer = crate::client::ask(world.address, crate::client::get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "upstream_malformed")
        );
        let text = "POST / HTTP/1.1\r\nhost: api.example.net\r\ntransfer-encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        let answer = talk(world.address, &format!("{text}{HIDDEN}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 501 ") && answer.contains("unsupported_transfer_coding"),
            "{answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert_eq!(origin.connections.get(), 1);
    });
}
