//! HTTP/2 clients, without TLS by prior knowledge.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use domain::content::{Action, Criteria, PathPattern};
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use platform::{Network, TokioNetwork};
use tokio::io::AsyncWriteExt;

use crate::client::{Answer, Body, empty, whole};
use crate::origin::{Origin, nobody, read_head, streaming};
use crate::publish::Draft;
use crate::world::{World, eventually, run};

#[derive(Clone, Copy)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

pub(crate) async fn connect(to: SocketAddr) -> http2::SendRequest<Body> {
    let stream = TokioNetwork.connect(&to.to_string()).await.unwrap();
    let (sender, connection) = http2::handshake(Local, TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(connection);
    sender
}

fn request(path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://api.example.net{path}"))
        .version(Version::HTTP_2)
        .body(body)
        .unwrap()
}

#[test]
fn many_requests_share_a_connection_and_reach_the_origin_as_http1() {
    run(async {
        let origin = Origin::start(|request| async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::builder()
                .header("connection", "keep-alive")
                .body(whole([path.as_bytes(), &body].concat()))
                .unwrap()
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let sender = connect(world.address).await;
        let ask = |number: usize| {
            let mut sender = sender.clone();
            async move {
                let body = Bytes::from(vec![b'a'; number * 1000]);
                let response = sender
                    .send_request(request(&format!("/{number}"), whole(body)))
                    .await
                    .unwrap();
                assert_eq!(response.version(), Version::HTTP_2);
                let answer = Answer::of(response).await;
                assert_eq!(
                    answer.body.len(),
                    format!("/{number}").len() + number * 1000
                );
                assert_eq!(answer.header("connection"), None);
            }
        };
        futures_util::future::join_all((0..100).map(ask)).await;
        let asked = origin.last();
        assert_eq!(asked.version, Version::HTTP_11);
        assert_eq!(asked.header("host"), Some("api.example.net"));
        assert_eq!(asked.header("via"), Some("2.0 edge-1"));
        assert_eq!(
            asked.header("forwarded"),
            Some("for=127.0.0.1;host=\"api.example.net\";proto=http")
        );
        assert!(asked.uri.authority().is_none());
    });
}

#[test]
fn streams_and_trailers_pass_in_both_directions() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            let head = read_head(&mut stream).await.unwrap();
            assert!(
                head.contains("te: trailers\r\n")
                    && head.contains("transfer-encoding: chunked\r\n"),
                "{head}"
            );
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n")
                .await
                .unwrap();
            // The rest of the request: the last chunk and the trailers.
            let body = read_head(&mut stream).await.unwrap();
            assert!(body.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{body}");
            stream
                .write_all(b"0\r\ngrpc-status: 0\r\n\r\n")
                .await
                .unwrap();
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Frame<Bytes>>();
        let frames = futures_util::stream::poll_fn(move |cx| {
            receiver.poll_recv(cx).map(|frame| frame.map(Ok))
        });
        let mut request = request("/", StreamBody::new(frames).boxed_unsync());
        request
            .headers_mut()
            .insert("te", "trailers".parse().unwrap());
        request
            .headers_mut()
            .insert("trailer", "x-sum".parse().unwrap());
        sender.send(Frame::data("begun".into())).unwrap();
        let mut answer = connect(world.address)
            .await
            .send_request(request)
            .await
            .unwrap()
            .into_body();
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "early");
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        sender.send(Frame::trailers(trailers)).unwrap();
        drop(sender);
        let last = answer.collect().await.unwrap();
        assert_eq!(last.trailers().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn errors_leave_the_connection_usable() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        for (uri, host, code) in [
            ("http://nobody.example/", None, Some("unknown_host")),
            ("http://api.example.net/../x", None, Some("invalid_path")),
            (
                "http://api.example.net/",
                Some("other.example"),
                Some("invalid_host"),
            ),
            ("http://api.example.net/", Some("api.example.net"), None),
        ] {
            let mut request = Request::get(uri)
                .version(Version::HTTP_2)
                .body(empty())
                .unwrap();
            if let Some(host) = host {
                request.headers_mut().insert("host", host.parse().unwrap());
            }
            let answer = Answer::of(sender.send_request(request).await.unwrap()).await;
            match code {
                Some(code) => assert_eq!(answer.code(), code),
                None => assert_eq!(answer.text(), "x"),
            }
        }
    });
}

#[test]
fn a_reset_stream_does_not_disturb_the_others() {
    run(async {
        let origin = Origin::start(|_| async {
            let (sender, body) = streaming();
            sender.send("begun".into()).unwrap();
            std::mem::forget(sender);
            Response::new(body)
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        for _ in 0..300 {
            // Dropping the answer resets its stream, and the origin's connection with it.
            let answer = sender.send_request(request("/", empty())).await.unwrap();
            drop(answer);
        }
        assert_eq!(origin.count(), 300);
        assert!(!sender.is_closed());
    });
}

#[test]
fn large_heads_are_refused() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        let mut large = request("/", empty());
        large
            .headers_mut()
            .insert("x-large", "x".repeat(20 * 1024).parse().unwrap());
        let refused = sender.send_request(large).await;
        assert!(refused.is_err() || refused.unwrap().status() == 431);
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn stopping_finishes_streams_and_says_goodbye() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                Response::new(whole("finished"))
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        let asking = sender.send_request(request("/", empty()));
        let asking =
            tokio::task::spawn_local(async move { Answer::of(asking.await.unwrap()).await });
        eventually("the origin is asked", || origin.count() == 1).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        // After GOAWAY the client sends nothing new on this connection.
        loop {
            let late = sender.send_request(request("/late", empty()));
            match tokio::time::timeout(std::time::Duration::from_millis(20), late).await {
                Ok(answer) => break assert!(answer.is_err()),
                Err(_) => sender.ready().await.unwrap(),
            }
        }
        release.send_replace(true);
        assert_eq!(asking.await.unwrap().text(), "finished");
        stopping.await.unwrap();
    });
}

/// What the edge makes by itself has a body that a request for the head alone does not get.
#[test]
fn a_request_for_the_head_gets_no_body() {
    run(async {
        let draft = Draft {
            rules: vec![(
                Criteria {
                    path: vec![PathPattern::Exact("/fixed".to_owned())],
                    ..Criteria::default()
                },
                Action::FixedResponse {
                    status: 200,
                    headers: BTreeMap::new(),
                    body: "fixed".to_owned(),
                },
            )],
            config:
                r#"{"fallback":{"action":{"type":"fixed_response","status":503,"body":"later"}}}"#
                    .to_owned(),
            ..Draft::to(nobody().await)
        };
        let world = World::with(draft).await;
        let mut sender = connect(world.address).await;
        let mut ask = async |method: &str, uri: &str| {
            let request = Request::builder()
                .method(method)
                .uri(uri)
                .version(Version::HTTP_2)
                .body(empty())
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let ends = hyper::body::Body::is_end_stream(response.body());
            (ends, Answer::of(response).await)
        };
        for (uri, status) in [
            ("http://api.example.net/fixed", 200),
            ("http://api.example.net/", 503),
            ("http://nobody.example/", 404),
        ] {
            let (_, whole) = ask("GET", uri).await;
            let (ends, head) = ask("HEAD", uri).await;
            assert_eq!((whole.status, head.status), (status, status));
            assert!(ends && head.body.is_empty() && !whole.body.is_empty());
            assert_eq!(
                head.header("content-length"),
                whole.header("content-length")
            );
            let length = whole.body.len().to_string();
            assert_eq!(head.header("content-length"), Some(&*length));
        }
    });
}
