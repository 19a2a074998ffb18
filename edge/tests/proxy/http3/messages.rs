//! Requests and answers over HTTP/3, as they reach the other side.

use std::sync::Arc;

use bytes::Bytes;
use edge::access_log::AccessLog;
use h3::error::Code;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::client::{Client, answer, get, piece, post, rest};
use super::raw::{Outcome, Raw, cancel, frame, head, outcome};
use super::{LISTEN, open, open_to};
use crate::client::{empty, whole};
use crate::observing::Sink;
use crate::origin::{Origin, read_head, streaming};
use crate::publish::{Draft, HOST};
use crate::secured::{CERTIFICATE, STRICT, issued, put, with};
use crate::world::{Options, World, eventually, run};

/// An origin that answers with what it is sent.
async fn echo() -> Origin {
    Origin::start(|request| async move {
        let body = request.into_body().map_err(std::io::Error::other);
        Response::new(body.boxed_unsync())
    })
    .await
}

#[test]
fn a_request_reaches_the_origin_as_any_other_and_its_answer_the_client() {
    run(async {
        let origin = Origin::start(|request| async move {
            let path = request.uri().path().to_owned();
            Response::builder()
                .header("connection", "keep-alive")
                .header("x-a", "b")
                .body(whole(path))
                .unwrap()
        })
        .await;
        let (world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        for path in ["/a?b=c", "/d"] {
            let answer = client.ask(get(path), b"").await;
            assert_eq!(answer.status, 200);
            assert!(path.starts_with(answer.text()));
            assert_eq!(answer.header("x-a"), Some("b"));
            assert_eq!(answer.header("connection"), None);
            assert_eq!(answer.header("via"), Some("1.1 edge-1"));
            assert!(answer.header("date").is_some());
            assert_eq!(answer.header("alt-svc"), None);
        }
        let asked = origin.last();
        assert_eq!(asked.header("host"), Some(HOST));
        assert_eq!(asked.header("via"), Some("3.0 edge-1"));
        assert_eq!(asked.header("x-forwarded-proto"), Some("https"));
        assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(asked.header("transfer-encoding"), None);
        assert!(asked.uri.authority().is_none());
        assert_eq!(world.metric("requests_total{protocol=\"HTTP/3\"}"), 2);
        assert_eq!(world.metric("tls_handshakes_total"), 1);
        assert_eq!(world.metric("connections_open"), 1);
    });
}

#[test]
fn answers_without_content_have_none() {
    run(async {
        let origin = Origin::start(|request| async move {
            let status = match request.uri().path() {
                "/204" => 204,
                "/304" => 304,
                _ => 200,
            };
            let has_content = status == 200;
            Response::builder()
                .status(status)
                .body(if has_content { whole("four") } else { empty() })
                .unwrap()
        })
        .await;
        let (_world, address) = open_to(&[("CACHE__MEMORY_BYTES", "0")], origin.address).await;
        let client = Client::connect(address).await;
        for (method, path, status, length) in [
            ("HEAD", "/200", 200, Some("4")),
            ("GET", "/204", 204, None),
            ("GET", "/304", 304, None),
        ] {
            let mut request = get(path);
            *request.method_mut() = method.parse().unwrap();
            let answer = client.ask(request, b"").await;
            assert_eq!((answer.status, answer.text()), (status, ""), "{path}");
            assert_eq!(answer.header("content-length"), length, "{path}");
        }
    });
}

#[test]
fn errors_of_the_edge_leave_the_connection_usable() {
    run(async {
        let origin = Origin::saying("x").await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        for (method, path, code) in [
            ("GET", "/a/../b", "invalid_path"),
            ("TRACE", "/", "method_not_allowed"),
        ] {
            let mut request = get(path);
            *request.method_mut() = method.parse().unwrap();
            let answer = client.ask(request, b"").await;
            assert_eq!(answer.code(), code);
            assert_eq!(answer.header("connection"), None);
        }
        assert_eq!(client.ask(get("/"), b"").await.text(), "x");
    });
}

#[test]
fn large_bodies_pass_both_ways_at_once() {
    run(async {
        let origin = echo().await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        let stream = client.begin(post("/")).await.unwrap();
        let (mut sending, mut reading) = stream.split();
        let piece = |number: u32| Bytes::from(number.to_be_bytes().repeat(16 * 1024));
        let send = async {
            for number in 0..256 {
                sending.send_data(piece(number)).await.unwrap();
            }
            sending.finish().await.unwrap();
        };
        let read = async {
            assert_eq!(reading.recv_response().await.unwrap().status(), 200);
            rest(&mut reading).await.unwrap().0
        };
        let ((), body) = tokio::join!(send, read);
        assert_eq!(body.len(), 16 * 1024 * 1024);
        for (number, piece_back) in body.chunks(64 * 1024).enumerate() {
            assert_eq!(piece_back, piece(u32::try_from(number).unwrap()));
        }
    });
}

#[test]
fn many_requests_share_a_connection() {
    run(async {
        let origin = echo().await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        let ask = |number: usize| {
            let client = &client;
            async move {
                let body = vec![b'a'; number * 1000];
                let answer = client.ask(post("/"), &body).await;
                assert_eq!((answer.status, &answer.body[..]), (200, &body[..]));
            }
        };
        futures_util::future::join_all((0..100).map(ask)).await;
        assert_eq!(origin.count(), 100);
    });
}

#[test]
fn streams_and_trailers_pass_in_both_directions() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            let head = read_head(&mut stream).await.unwrap();
            assert!(head.contains("te: trailers\r\n"), "{head}");
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n")
                .await
                .unwrap();
            let body = read_head(&mut stream).await.unwrap();
            assert!(body.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{body}");
            stream
                .write_all(b"0\r\ngrpc-status: 0\r\n\r\n")
                .await
                .unwrap();
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        let mut request = post("/");
        for (name, value) in [("te", "trailers"), ("trailer", "x-sum")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let mut stream = client.begin(request).await.unwrap();
        stream.send_data("begun".into()).await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        assert_eq!(piece(&mut stream).await.unwrap().unwrap(), "early");
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        stream.send_trailers(trailers).await.unwrap();
        stream.finish().await.unwrap();
        let (body, trailers) = rest(&mut stream).await.unwrap();
        assert!(body.is_empty());
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
    });
}

#[test]
fn what_is_kept_answers_clients_of_every_version() {
    run(async {
        let origin = Origin::start(|_| async {
            Response::builder()
                .header("cache-control", "max-age=60")
                .body(whole("kept"))
                .unwrap()
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        for _ in 0..3 {
            assert_eq!(client.ask(get("/"), b"").await.text(), "kept");
        }
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn a_client_that_waits_is_told_when_the_origin_takes_the_body() {
    run(async {
        let origin = Origin::start(|request| async move {
            let body = request.into_body().collect().await.unwrap();
            Response::new(whole(body.to_bytes()))
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let head = head(
            "PUT",
            &[(b"expect", b"100-continue"), (b"content-length", b"4")],
        );
        let (mut send, mut recv) = raw.send(&head).await;
        // HEADERS, its length in one byte, the prefix, and what stands for 100.
        let mut told = [0; 6];
        recv.read_exact(&mut told).await.unwrap();
        assert_eq!(told[told.len() - 2..], [0xff, 0], "{told:x?}");
        send.write_all(&frame(0, b"body")).await.unwrap();
        send.finish().unwrap();
        let Outcome::Answered(bytes) = outcome(recv).await else {
            panic!("there is no answer");
        };
        assert!(bytes.ends_with(b"body"), "{bytes:x?}");
    });
}

#[test]
fn frames_that_mean_nothing_change_nothing() {
    run(async {
        let origin = echo().await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let nothing = [frame(0, b""), frame(0x21, b"grease")].concat();
        let bytes = [
            &frame(0x21, b"grease")[..],
            &head("POST", &[]),
            &nothing,
            &frame(0, b"one "),
            &nothing,
            &nothing,
            &frame(0, b"two"),
            &nothing,
        ]
        .concat();
        let Outcome::Answered(bytes) = raw.ask(&bytes).await else {
            panic!("there is no answer");
        };
        // Each piece is in a frame of its own, as it came.
        assert!(bytes.windows(4).any(|part| part == b"one "), "{bytes:x?}");
        assert!(bytes.ends_with(b"two"), "{bytes:x?}");
    });
}

#[test]
fn a_request_that_is_taken_back_is_taken_back_from_the_origin() {
    run(async {
        let (saw, seen) = tokio::sync::watch::channel(None);
        let saw = std::rc::Rc::new(saw);
        let origin = Origin::start(move |request| {
            let saw = std::rc::Rc::clone(&saw);
            async move {
                let outcome = request.into_body().collect().await;
                saw.send_replace(Some(outcome.is_ok()));
                Response::new(empty())
            }
        })
        .await;
        let (world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let bytes = [head("POST", &[]), frame(0, b"begun")].concat();
        let (mut send, mut recv) = raw.send(&bytes).await;
        eventually("the origin is asked", || origin.count() == 1).await;
        cancel(&mut send, &mut recv);
        eventually("the origin sees it", || *seen.borrow() == Some(false)).await;
        // The connection goes on.
        assert_eq!(raw.ask(&head("POST", &[])).await.status(), Some(200));
        assert_eq!(*seen.borrow(), Some(true));
        assert_eq!(world.metric("connections_open"), 1);
    });
}

#[test]
fn an_answer_that_is_not_wanted_any_more_is_not_fetched_any_further() {
    run(async {
        let (give, given) = std::sync::mpsc::channel();
        let origin = Origin::start(move |_| {
            let (sender, body) = streaming();
            sender.send("begun".into()).unwrap();
            give.send(sender).unwrap();
            async move { Response::new(body) }
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        for had_some in [true, false] {
            let (mut send, mut recv) = raw.send(&head("GET", &[])).await;
            send.finish().unwrap();
            let sender = loop {
                match given.try_recv() {
                    Ok(sender) => break sender,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            if had_some {
                recv.read_exact(&mut [0; 4]).await.unwrap();
            }
            cancel(&mut send, &mut recv);
            eventually("the origin is let go", || {
                let _ = sender.send("more".into());
                sender.is_closed()
            })
            .await;
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n";
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let outcome = raw.ask(&head("GET", &[])).await;
        let internal = Code::H3_INTERNAL_ERROR.value();
        assert!(
            matches!(outcome, Outcome::Reset(code) if code == internal),
            "{outcome:?}"
        );
    });
}

#[test]
fn an_upload_is_taken_as_fast_as_the_origin_takes_it() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            std::future::pending::<()>().await;
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        let mut stream = client.begin(post("/")).await.unwrap();
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut sent = 0;
        // When nothing more is taken for a while, everything on the way is full.
        let patience = std::time::Duration::from_millis(500);
        while let Ok(taken) = tokio::time::timeout(patience, stream.send_data(piece.clone())).await
        {
            taken.unwrap();
            sent += piece.len();
            assert!(sent < 64 * 1024 * 1024, "{sent} bytes are kept somewhere");
        }
        assert!(sent > 0);
    });
}

#[test]
fn an_answer_is_fetched_as_fast_as_the_client_takes_it() {
    run(async {
        let (making, mut made) = tokio::sync::watch::channel(0);
        let making = Arc::new(making);
        let origin = Origin::start(move |_| {
            let making = Arc::clone(&making);
            let piece = Bytes::from(vec![b'x'; 64 * 1024]);
            let pieces = futures_util::stream::repeat_with(move || {
                making.send_modify(|made| *made += piece.len());
                Ok(hyper::body::Frame::data(piece.clone()))
            });
            let body = http_body_util::StreamBody::new(pieces).boxed_unsync();
            async move { Response::new(body) }
        })
        .await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        let mut stream = client.begin(get("/")).await.unwrap();
        stream.finish().await.unwrap();
        stream.recv_response().await.unwrap();
        // When nothing more is made for a while, everything on the way is full.
        let patience = std::time::Duration::from_millis(500);
        while let Ok(changed) = tokio::time::timeout(patience, made.changed()).await {
            changed.unwrap();
            let made = *made.borrow_and_update();
            assert!(made < 64 * 1024 * 1024, "{made} bytes are kept somewhere");
        }
        for _ in 0..1_000 {
            piece(&mut stream).await.unwrap().unwrap();
        }
    });
}

#[test]
fn the_access_log_says_how_it_came() {
    run(async {
        let origin = Origin::saying("four").await;
        let sink = Sink::default();
        let writing = AccessLog::start(1.0, Box::new(sink.clone())).unwrap();
        let mut world = World::start(Options {
            set: vec![("HTTPS__LISTEN", "127.0.0.1:0"), LISTEN],
            access_log: Some(writing.log()),
            ..Options::default()
        })
        .await;
        put(&world.serving.keyring, CERTIFICATE, &issued("named", HOST));
        world.publish(&[with(STRICT, origin.address)]);
        let client = Client::connect(world.http3.unwrap()).await;
        client.ask(get("/a?secret"), b"").await;
        eventually("the line is written", || !sink.lines().is_empty()).await;
        let line = &sink.lines()[0];
        assert_eq!(line["protocol"], "HTTP/3");
        assert_eq!(line["path"], "/a");
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["bytes"], 4);
        assert_eq!(line["complete"], Value::Bool(true));
    });
}

#[test]
fn without_the_setting_nobody_listens_and_nobody_is_told_of_it() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        assert_eq!(world.http3, None);
        let (world, _) = crate::secured::secure(&[], &[with(STRICT, origin.address)]).await;
        assert_eq!(world.http3, None);
        let (world, _) = open(&[], &[with(STRICT, origin.address)]).await;
        assert!(world.http3.is_some());
    });
}

#[test]
fn an_answer_to_a_stream_without_an_end_is_given_all_the_same() {
    run(async {
        let origin = Origin::saying("x").await;
        let (_world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        // A fixed answer needs no body; that the stream stays open is the client's matter.
        let request = Request::post("https://nobody.example/").body(()).unwrap();
        let mut stream = client.begin(request).await.unwrap();
        stream.send_data("begun".into()).await.unwrap();
        assert_eq!(
            answer(&mut stream).await.unwrap().code(),
            "misdirected_request"
        );
    });
}
