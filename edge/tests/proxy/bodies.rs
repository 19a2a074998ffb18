//! Bodies are streamed both ways: what has come is passed on before the rest has, and a side that
//! does not take its part holds the other side up instead of filling memory.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Raw, get, post, send};
use crate::origin::{Origin, read_head, streaming};
use crate::publish::Draft;
use crate::world::{World, eventually, run};

/// Larger than all buffers on the way together.
const MUCH: usize = 48 * 1024 * 1024;

/// An origin that sends every piece back as it comes.
async fn echo() -> Origin {
    Origin::start(|request| async move {
        let (sender, body) = streaming();
        let mut incoming = request.into_body();
        tokio::task::spawn_local(async move {
            while let Some(Ok(frame)) = incoming.frame().await {
                if let Ok(data) = frame.into_data() {
                    sender.send(data).unwrap();
                }
            }
        });
        Response::new(body)
    })
    .await
}

#[test]
fn the_first_piece_arrives_before_the_last_is_sent() {
    run(async {
        let origin = echo().await;
        let world = World::with(Draft::to(origin.address)).await;
        let (sender, body) = streaming();
        sender.send("first".into()).unwrap();
        let mut answer = send(world.address, post("/", body)).await.into_body();
        for piece in ["second", "third", "last"] {
            let frame = answer.frame().await.unwrap().unwrap();
            assert!(frame.is_data());
            sender.send(piece.into()).unwrap();
        }
        drop(sender);
        let rest = answer.collect().await.unwrap().to_bytes();
        assert!(rest.ends_with(b"last"));
        assert_eq!(origin.last().header("transfer-encoding"), Some("chunked"));
    });
}

#[test]
fn much_passes_unchanged_in_both_directions() {
    run(async {
        let origin = echo().await;
        let world = World::with(Draft::to(origin.address)).await;
        let piece = |number: usize| Bytes::from(number.to_le_bytes().repeat(8 * 1024));
        let (sender, body) = streaming();
        let pieces = MUCH / piece(0).len();
        for number in 0..pieces {
            sender.send(piece(number)).unwrap();
        }
        drop(sender);
        let answer = send(world.address, post("/", body)).await.into_body();
        let all = answer.collect().await.unwrap().to_bytes();
        assert_eq!(all.len(), pieces * piece(0).len());
        let places = all.chunks(piece(0).len()).enumerate();
        assert!(
            places
                .into_iter()
                .all(|(number, found)| found == piece(number))
        );
    });
}

#[test]
fn a_client_that_does_not_read_holds_the_origin_up() {
    run(async {
        let written = Rc::new(Cell::new(0_usize));
        let counted = Rc::clone(&written);
        let origin = Origin::raw(move |_, mut stream| {
            let written = Rc::clone(&counted);
            async move {
                read_head(&mut stream).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                let piece = vec![b'x'; 64 * 1024];
                while written.get() < MUCH && stream.write_all(&piece).await.is_ok() {
                    written.set(written.get() + piece.len());
                }
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n\r\n")
            .await;
        raw.read_until("\r\n\r\n").await;
        // What is written settles at what the sockets hold.
        let mut before = usize::MAX;
        while before != written.get() {
            before = written.get();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(
            before < MUCH,
            "all {before} bytes were taken from the origin"
        );
        let rest = raw.read_to_end().await;
        assert_eq!(rest.len(), MUCH);
    });
}

#[test]
fn an_origin_that_answers_early_is_heard_while_the_body_is_still_sent() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            let text = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig";
            stream.write_all(text.as_bytes()).await.unwrap();
            // The connection stays until the edge ends it.
            read_head(&mut stream).await;
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let (sender, body) = streaming();
        sender.send("begun".into()).unwrap();
        let answer = send(world.address, post("/", body)).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes(),
            "big"
        );
        drop(sender);
    });
}

#[test]
fn a_client_that_goes_away_takes_the_origins_request_with_it() {
    run(async {
        let gone = Rc::new(Cell::new(false));
        let seen = Rc::clone(&gone);
        let origin = Origin::raw(move |_, mut stream| {
            let gone = Rc::clone(&seen);
            async move {
                read_head(&mut stream).await;
                // Nothing comes any more but the end.
                assert!(read_head(&mut stream).await.is_none());
                gone.set(true);
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
            .await;
        eventually("the request reaches the origin", || {
            origin.connections.get() == 1
        })
        .await;
        drop(raw);
        eventually("the origin's connection ends", || gone.get()).await;
    });
}

#[test]
fn trailers_pass_in_both_directions() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            let head = read_head(&mut stream).await.unwrap();
            let mut body = String::new();
            while !body.ends_with("\r\n\r\n") {
                body.push(char::from(stream.read_u8().await.unwrap()));
            }
            let said = if head.contains("te: trailers\r\n") && body.contains("x-sum: 7") { "both" } else { "not" };
            let text = format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-said\r\nconnection: close\r\n\r\n4\r\nbody\r\n0\r\nx-said: {said}\r\n\r\n"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("POST / HTTP/1.1\r\nhost: api.example.net\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n").await;
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.contains("trailer: x-said"), "{head}");
        assert_eq!(
            raw.read_until("\r\n\r\n").await,
            "4\r\nbody\r\n0\r\nx-said: both\r\n\r\n"
        );
    });
}

#[test]
fn a_body_that_breaks_off_at_the_origin_breaks_off_at_the_client() {
    run(async {
        let origin = Origin::raw(|number, mut stream| async move {
            read_head(&mut stream).await;
            let framing = if number == 0 {
                "content-length: 100"
            } else {
                "transfer-encoding: chunked"
            };
            let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n4\r\nbody\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        for _ in 0..2 {
            let answer = send(world.address, get("/")).await;
            assert_eq!(answer.status(), 200);
            assert!(answer.into_body().collect().await.is_err());
        }
        assert_eq!(world.metric("upstream_bodies_broken_total"), 2);
    });
}

/// What nobody reads of a body must not have the operating system reset the connection before the
/// client has its answer.
#[test]
fn who_is_answered_before_its_body_is_read_gets_all_of_the_answer() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("POST / HTTP/1.1\r\nhost: nobody.example\r\ncontent-length: 10000000\r\n\r\n")
            .await;
        let piece = "x".repeat(256 * 1024);
        raw.write(&piece).await;
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        raw.write(&piece).await;
        let mut rest = String::new();
        raw.0.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("unknown_host"), "{rest}");
        raw.write(&piece).await;
        drop(raw);
        eventually("the connection is gone", || {
            world.metric("connections_open") == 0
        })
        .await;
    });
}
