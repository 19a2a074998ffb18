//! HTTP/2 towards targets, in clear text.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use domain::model::{Protocol, UpstreamSettings};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use platform::Listener;
use socket2::{SockFilter, SockRef};
use tokio::sync::Notify;

use crate::client::{Answer, Body, ask, connect, get, post, whole};
use crate::origin::{Origin, listen};
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// An origin of HTTP/2 that answers by `handler`; `connections` counts what it accepted.
pub(crate) async fn origin<F, A>(connections: &Rc<Cell<usize>>, handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + 'static,
    A: Future<Output = Response<Body>> + 'static,
{
    allowing(None, connections, handler).await
}

/// The same, with so many requests at once on each connection.
async fn allowing<F, A>(
    streams: Option<u32>,
    connections: &Rc<Cell<usize>>,
    handler: F,
) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + 'static,
    A: Future<Output = Response<Body>> + 'static,
{
    let mut listener = listen().await;
    let address = Listener::local_addr(&listener).unwrap();
    let connections = Rc::clone(connections);
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = Listener::accept(&mut listener).await.unwrap();
            connections.set(connections.get() + 1);
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::task::spawn_local(async move {
                let served = http2::Builder::new(Local)
                    .max_concurrent_streams(streams.or(Some(200)))
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(served);
            });
        }
    });
    address
}

pub(crate) fn draft(origin: SocketAddr) -> Draft {
    Draft {
        settings: UpstreamSettings {
            protocol: Protocol::H2c,
            ..UpstreamSettings::default()
        },
        ..Draft::to(origin)
    }
}

#[test]
fn requests_and_trailers_pass_as_grpc_needs_them() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let saw = Rc::clone(&seen);
        let address = origin(&Rc::default(), move |request: Request<Incoming>| {
            let saw = Rc::clone(&saw);
            async move {
                let (parts, body) = request.into_parts();
                saw.replace(Some(parts));
                let body = body.collect().await.unwrap().to_bytes();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let frames = [Ok(Frame::data(body)), Ok(Frame::trailers(trailers))];
                Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
            }
        })
        .await;
        let world = World::with(draft(address)).await;
        let mut request = post("/a.B/C?d", whole("message"));
        let headers = request.headers_mut();
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        let response = connect(world.address)
            .await
            .send_request(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "message");
        let parts = seen.take().unwrap();
        assert_eq!(parts.version, Version::HTTP_2);
        assert_eq!(parts.uri, "http://api.example.net/a.B/C?d");
        assert_eq!(parts.headers["te"], "trailers");
        assert!(parts.headers.contains_key("x-forwarded-for"));
        assert!(!parts.headers.contains_key("connection"));
    });
}

#[test]
fn requests_share_connections_and_more_are_made_under_load() {
    run(async {
        let (connections, waiting) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
        let go = Rc::<Notify>::default();
        let (count, going) = (Rc::clone(&waiting), Rc::clone(&go));
        let address = origin(&connections, move |_| {
            let (waiting, go) = (Rc::clone(&count), Rc::clone(&going));
            async move {
                waiting.set(waiting.get() + 1);
                go.notified().await;
                Response::new(whole("x"))
            }
        })
        .await;
        let world = World::with(draft(address)).await;
        let to = world.address;
        // Each asks for something else: the cache would have one ask for all.
        let asked: Vec<_> = (0..250)
            .map(|number| {
                let path = format!("/{number}");
                tokio::task::spawn_local(async move { ask(to, get(&path)).await.status })
            })
            .collect();
        eventually("all being under way", || waiting.get() == 250).await;
        assert_eq!(connections.get(), 3);
        go.notify_waiters();
        for answer in asked {
            assert_eq!(answer.await.unwrap(), 200);
        }
        go.notify_one();
        assert_eq!(ask(to, get("/")).await.status, 200);
        assert_eq!(connections.get(), 3);
    });
}

#[test]
fn a_target_gets_as_many_requests_at_once_on_a_connection_as_it_allows() {
    run(async {
        let (connections, waiting) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
        let go = Rc::<Notify>::default();
        let (count, going) = (Rc::clone(&waiting), Rc::clone(&go));
        let address = allowing(Some(10), &connections, move |_| {
            let (waiting, go) = (Rc::clone(&count), Rc::clone(&going));
            async move {
                waiting.set(waiting.get() + 1);
                go.notified().await;
                Response::new(whole("x"))
            }
        })
        .await;
        let world = World::with(draft(address)).await;
        let to = world.address;
        let asked: Vec<_> = (0..100)
            .map(|number| {
                let path = format!("/{number}");
                tokio::task::spawn_local(async move { ask(to, get(&path)).await.status })
            })
            .collect();
        // None of them waits for another to end.
        eventually("all being under way", || waiting.get() == 100).await;
        assert_eq!(connections.get(), 10);
        go.notify_waiters();
        for answer in asked {
            assert_eq!(answer.await.unwrap(), 200);
        }
    });
}

#[test]
fn a_connection_on_which_nothing_is_answered_takes_no_more_requests() {
    run(async {
        let connections = Rc::<Cell<usize>>::default();
        let address = origin(&connections, |request: Request<Incoming>| async move {
            if request.uri().path() == "/never" {
                std::future::pending::<()>().await;
            }
            Response::new(whole("x"))
        })
        .await;
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__RESPONSE_HEADER_MS", "100")],
            ..Options::default()
        })
        .await;
        world.publish(&[draft(address)]);
        let answer = ask(world.address, get("/never")).await;
        assert_eq!(answer.code(), "upstream_timeout");
        for _ in 0..2 {
            assert_eq!(ask(world.address, get("/")).await.status, 200);
        }
        assert_eq!(connections.get(), 2);
    });
}

/// The origin's first connection becomes a hole: what is sent there is not even acknowledged.
#[test]
fn requests_on_a_connection_from_which_nothing_comes_back_are_sent_on_another() {
    run(async {
        let mut listener = listen().await;
        let address = Listener::local_addr(&listener).unwrap();
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let known = Rc::clone(&accepted);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = Listener::accept(&mut listener).await.unwrap();
                known
                    .borrow_mut()
                    .push(SockRef::from(&stream).try_clone().unwrap());
                let service = service_fn(|_| async {
                    Ok::<_, Infallible>(Response::<Body>::new(whole("x")))
                });
                tokio::task::spawn_local(async move {
                    let served = http2::Builder::new(Local)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    drop(served);
                });
            }
        });
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__RESPONSE_HEADER_MS", "6000")],
            ..Options::default()
        })
        .await;
        world.publish(&[draft(address)]);
        assert_eq!(ask(world.address, get("/")).await.status, 200);
        // Take nothing: `ret #0`.
        let nothing = [SockFilter::new(0x06, 0, 0, 0)];
        accepted.borrow()[0].attach_filter(&nothing).unwrap();
        let to = world.address;
        let asked: Vec<_> = (0..10)
            .map(|number| {
                let path = format!("/{number}");
                tokio::task::spawn_local(async move { ask(to, get(&path)).await.status })
            })
            .collect();
        for answer in asked {
            assert_eq!(answer.await.unwrap(), 200);
        }
        assert_eq!(accepted.borrow().len(), 2);
        assert_eq!(world.metric("upstream_repeats_total"), 10);
    });
}

#[test]
fn a_target_of_another_protocol_is_refused() {
    run(async {
        let http1 = Origin::saying("x").await;
        let world = World::with(draft(http1.address)).await;
        let answer: Answer = ask(world.address, get("/")).await;
        assert_eq!(answer.status, 502);
    });
}
