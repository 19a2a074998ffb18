//! Kept connections to origins: used again, and no reason for an error when they end.

use std::cell::Cell;
use std::rc::Rc;

use http::{Method, Request};
use tokio::io::AsyncWriteExt;

use crate::client::{Body, ask, connect, empty, get, post, whole};
use crate::origin::{Origin, answer, read_head};
use crate::publish::{Draft, HOST};
use crate::world::{Options, World, eventually, run};

#[test]
fn one_connection_serves_request_after_request() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        for number in 0..20 {
            let request = if number % 2 == 0 {
                get("/")
            } else {
                post("/", whole("body"))
            };
            assert_eq!(ask(world.address, request).await.status, 200);
        }
        assert_eq!((origin.connections.get(), origin.count()), (1, 20));
        assert_eq!(world.metric("upstream_reuses_total"), 19);
    });
}

#[test]
fn a_connection_is_kept_when_the_configuration_changes() {
    run(async {
        let origin = Origin::saying("x").await;
        let mut world = World::with(Draft::to(origin.address)).await;
        for _ in 0..3 {
            assert_eq!(ask(world.address, get("/")).await.status, 200);
            let mut draft = Draft::to(origin.address);
            draft.upstreams.push(("other", vec![(origin.address, 7)]));
            world.publish(&[draft]);
        }
        assert_eq!(origin.connections.get(), 1);
    });
}

/// An origin that closes each connection after one answer, without saying so; `closed` counts
/// the connections that it has closed.
async fn closing(closed: &Rc<Cell<usize>>) -> Origin {
    let closed = Rc::clone(closed);
    Origin::raw(move |_, mut stream| {
        let closed = Rc::clone(&closed);
        async move {
            let head = read_head(&mut stream).await.unwrap_or_default();
            if head.contains("content-length: 4") {
                use tokio::io::AsyncReadExt;
                stream.read_exact(&mut [0; 4]).await.unwrap();
            }
            stream.write_all(answer("once").as_bytes()).await.unwrap();
            drop(stream);
            closed.set(closed.get() + 1);
        }
    })
    .await
}

#[test]
fn an_origin_that_closes_idle_connections_is_no_reason_for_an_error() {
    run(async {
        let closed = Rc::default();
        let origin = closing(&closed).await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        let mut next = async |request: Request<Body>| {
            sender.ready().await.unwrap();
            crate::client::Answer::of(sender.send_request(request).await.unwrap()).await
        };
        // At once: whether the close has been seen is a matter of luck.
        for _ in 0..200 {
            assert_eq!(next(get("/")).await.status, 200);
        }
        // With a body nothing may be sent twice, so the close must be seen before.
        for number in 201..300 {
            eventually("the origin closes", || closed.get() == number - 1).await;
            assert_eq!(next(post("/", whole("body"))).await.status, 200, "{number}");
        }
        assert_eq!(world.metric("upstream_connections_total"), 299);
    });
}

/// An origin whose connections answer one request, and end instead of answering the second.
async fn fickle(asked: &Rc<Cell<usize>>) -> Origin {
    let asked = Rc::clone(asked);
    Origin::raw(move |_, mut stream| {
        let asked = Rc::clone(&asked);
        async move {
            for number in 0..2 {
                if read_head(&mut stream).await.is_none() {
                    return;
                }
                asked.set(asked.get() + 1);
                if number == 0 {
                    stream.write_all(answer("x").as_bytes()).await.unwrap();
                }
            }
        }
    })
    .await
}

#[test]
fn what_may_be_repeated_is_sent_once_more_and_what_may_not_is_not() {
    run(async {
        for (method, repeated) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::DELETE, true),
            (Method::OPTIONS, true),
            (Method::POST, false),
            (Method::PATCH, false),
        ] {
            let asked = Rc::default();
            let origin = fickle(&asked).await;
            let world = World::with(Draft::to(origin.address)).await;
            assert_eq!(ask(world.address, get("/")).await.status, 200);
            let request = Request::builder()
                .method(method.clone())
                .uri("/")
                .header("host", HOST);
            let answer = ask(world.address, request.body(empty()).unwrap()).await;
            if repeated {
                assert_eq!((answer.status, asked.get()), (200, 3), "{method}");
                assert_eq!(world.metric("upstream_repeats_total"), 1);
            } else {
                assert_eq!((answer.status, asked.get()), (502, 2), "{method}");
                assert_eq!(answer.code(), "upstream_closed");
            }
        }
    });
}

#[test]
fn a_body_is_never_sent_twice() {
    run(async {
        let asked = Rc::default();
        let origin = fickle(&asked).await;
        let world = World::with(Draft::to(origin.address)).await;
        assert_eq!(ask(world.address, get("/")).await.status, 200);
        let request = Request::put("/")
            .header("host", HOST)
            .body(whole("body"))
            .unwrap();
        assert_eq!(ask(world.address, request).await.status, 502);
        assert_eq!(asked.get(), 2);
    });
}

#[test]
fn an_idle_connection_is_dropped_in_time() {
    run(async {
        let ended = Rc::new(Cell::new(false));
        let seen = Rc::clone(&ended);
        let origin = Origin::raw(move |_, mut stream| {
            let ended = Rc::clone(&seen);
            async move {
                read_head(&mut stream).await;
                stream.write_all(answer("x").as_bytes()).await.unwrap();
                assert!(read_head(&mut stream).await.is_none());
                ended.set(true);
            }
        })
        .await;
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__IDLE_MS", "100")],
            ..Options::default()
        })
        .await;
        world.publish(&[Draft::to(origin.address)]);
        assert_eq!(ask(world.address, get("/")).await.status, 200);
        eventually("the connection ends", || ended.get()).await;
    });
}
