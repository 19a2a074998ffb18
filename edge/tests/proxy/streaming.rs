//! What is said piece by piece: events, calls of gRPC, uploads to an origin that has heard enough.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Answer, Body, Raw, empty, get, send, whole};
use crate::http2::connect;
use crate::origin::{Origin, read_head, streaming};
use crate::publish::Draft;
use crate::world::{World, run};

fn call(body: Body) -> Request<Body> {
    Request::post("http://api.example.net/pkg.Service/Method")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// An origin whose events are sent by the test, one by one.
async fn announcing() -> (Origin, tokio::sync::broadcast::Sender<&'static str>) {
    let (sender, _) = tokio::sync::broadcast::channel::<&'static str>(8);
    let events = sender.clone();
    let origin = Origin::start(move |_| {
        let mut events = events.subscribe();
        async move {
            let (sender, body) = streaming();
            tokio::task::spawn_local(async move {
                while let Ok(event) = events.recv().await {
                    if sender.send(event.into()).is_err() {
                        return;
                    }
                }
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap()
        }
    })
    .await;
    (origin, sender)
}

#[test]
fn every_event_arrives_before_the_next_is_sent() {
    run(async {
        let (origin, events) = announcing().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut second = connect(world.address).await;
        let request = Request::get("http://api.example.net/")
            .version(Version::HTTP_2)
            .body(empty())
            .unwrap();
        let mut request = Some(request);
        for over_http2 in [false, true] {
            let answer = if over_http2 {
                second.send_request(request.take().unwrap()).await.unwrap()
            } else {
                send(world.address, get("/")).await
            };
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            assert!(!answer.headers().contains_key("content-length"));
            let mut body = answer.into_body();
            for event in ["data: 1\n\n", "data: 2\n\n", ": still here\n\n"] {
                events.send(event).unwrap();
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), event);
            }
        }
    });
}

#[test]
fn trailers_that_come_with_the_head_or_behind_the_body_pass() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            for number in 0.. {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            assert!(head.contains("te: trailers\r\n"), "{head}");
            let text = if number == 0 {
                "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 7\r\ngrpc-message: no\r\ncontent-length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n6\r\n\0\0\0\0\u{1}x\r\n0\r\ngrpc-status: 0\r\n\r\n"
            };
            stream.write_all(text.as_bytes()).await.unwrap();
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        let answer = sender.send_request(call(empty())).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "7");
        assert!(
            answer
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
        let answer = sender.send_request(call(empty())).await.unwrap();
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), &b"\0\0\0\0\x01x"[..]);
    });
}

#[test]
fn both_sides_of_a_call_go_on_at_once() {
    run(async {
        let origin = Origin::start(|request| async move {
            let (sender, body) = streaming();
            let mut incoming = request.into_body();
            tokio::task::spawn_local(async move {
                while let Some(Ok(frame)) = incoming.frame().await {
                    match frame.into_data() {
                        Ok(data) => sender.send(data).unwrap(),
                        Err(frame) => {
                            let trailers = frame.into_trailers().unwrap();
                            let last = trailers["x-last"].as_bytes().to_vec();
                            sender.send(last.into()).unwrap();
                        }
                    }
                }
            });
            Response::new(body)
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Frame<Bytes>>();
        let frames = futures_util::stream::poll_fn(move |cx| {
            receiver.poll_recv(cx).map(|frame| frame.map(Ok))
        });
        let mut request = call(StreamBody::new(frames).boxed_unsync());
        request
            .headers_mut()
            .insert("trailer", "x-last".parse().unwrap());
        sender.send(Frame::data("0".into())).unwrap();
        let mut client = connect(world.address).await;
        let mut answer = client.send_request(request).await.unwrap().into_body();
        for number in 1..20 {
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), (number - 1).to_string());
            sender.send(Frame::data(number.to_string().into())).unwrap();
        }
        let trailers = HeaderMap::from_iter([("x-last".parse().unwrap(), "bye".parse().unwrap())]);
        sender.send(Frame::trailers(trailers)).unwrap();
        drop(sender);
        let rest = answer.collect().await.unwrap().to_bytes();
        assert_eq!(rest, "19bye");
    });
}

#[test]
fn an_origin_that_has_heard_enough_is_heard_over_http2_too() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            let mut some = [0; 1000];
            stream.read_exact(&mut some).await.unwrap();
            let text = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 6\r\nconnection: close\r\n\r\nenough";
            stream.write_all(text.as_bytes()).await.unwrap();
            // It goes on listening for a while, as well-behaved servers do.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let (sender, body) = streaming();
        sender.send(vec![b'x'; 2000].into()).unwrap();
        let mut client = connect(world.address).await;
        let answer = Answer::of(client.send_request(call(body)).await.unwrap()).await;
        assert_eq!((answer.status, answer.text()), (413, "enough"));
        // The rest is of no interest to anybody, and the connection goes on.
        drop(sender);
        let request = Request::get("http://nobody.example/")
            .version(Version::HTTP_2)
            .body(whole(""))
            .unwrap();
        let answer = Answer::of(client.send_request(request).await.unwrap()).await;
        assert_eq!(answer.code(), "unknown_host");
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
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("PUT / HTTP/1.1\r\nhost: api.example.net\r\ncontent-length: 1000000000\r\n\r\n")
            .await;
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        // When nothing more is taken for a while, everything on the way is full.
        let patience = std::time::Duration::from_millis(500);
        while let Ok(Ok(count)) = tokio::time::timeout(patience, raw.0.write(&piece)).await {
            sent += count;
            assert!(sent < 64 * 1024 * 1024, "{sent} bytes are kept somewhere");
        }
        assert!(sent > 0);
    });
}
