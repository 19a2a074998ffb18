//! gRPC through an edge, HTTP/2 on both sides: every kind of call, the status behind or instead of messages,
//! and calls that the client gives up.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Body, empty, whole};
use crate::http2::connect;
use crate::upstream_http2::{draft, origin};
use crate::world::{Options, World, eventually, run};

const METHOD: &str = "http://api.example.net/chat.Chat/Say";

/// A message as it stands in a body: not compressed, its length, itself.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

/// A call with this body.
fn call(body: Body) -> Request<Body> {
    Request::post(METHOD)
        .version(Version::HTTP_2)
        .header("te", "trailers")
        .header("content-type", "application/grpc+proto")
        .header("grpc-timeout", "20S")
        .body(body)
        .unwrap()
}

/// A body whose frames are sent one by one.
fn stream() -> (UnboundedSender<Frame<Bytes>>, Body) {
    let (sender, mut receiver): (_, UnboundedReceiver<Frame<Bytes>>) = unbounded_channel();
    let frames =
        futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|next| next.map(Ok)));
    (sender, StreamBody::new(frames).boxed_unsync())
}

fn status(code: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers.insert("grpc-message", HeaderValue::from_static("said"));
    Frame::trailers(trailers)
}

fn answer(body: Body) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/grpc+proto")
        .body(body)
        .unwrap()
}

/// The next message; it comes in one piece, as it was sent.
async fn next(body: &mut Incoming) -> Bytes {
    let frame = body.frame().await.expect("the stream goes on").unwrap();
    frame.into_data().expect("a message")
}

/// The status behind the last message.
async fn end(mut body: Incoming) -> String {
    let frame = body.frame().await.expect("there is a status").unwrap();
    let trailers = frame.into_trailers().expect("no more messages");
    assert_eq!(trailers["grpc-message"], "said");
    assert!(body.frame().await.is_none());
    trailers["grpc-status"].to_str().unwrap().to_owned()
}

/// An edge before an origin that answers by `handler`, and how many connections that has taken.
async fn world<F, A>(handler: F) -> (World, SocketAddr, Rc<Cell<usize>>)
where
    F: Fn(Request<Incoming>) -> A + Clone + 'static,
    A: Future<Output = Response<Body>> + 'static,
{
    let connections = Rc::<Cell<usize>>::default();
    let address = origin(&connections, handler).await;
    let world = World::with(draft(address)).await;
    let at = world.address;
    (world, at, connections)
}

#[test]
fn a_single_answer_comes_with_its_status_behind_it() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let saw = Rc::clone(&seen);
        let (_world, at, _) = world(move |request: Request<Incoming>| {
            let saw = Rc::clone(&saw);
            async move {
                let (parts, body) = request.into_parts();
                saw.replace(Some(parts));
                let asked = body.collect().await.unwrap().to_bytes();
                let (sender, body) = stream();
                sender.send(Frame::data(asked)).unwrap();
                sender.send(status("0")).unwrap();
                answer(body)
            }
        })
        .await;
        let asking = call(whole(message("hello")));
        let response = connect(at).await.send_request(asking).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc+proto");
        let mut body = response.into_body();
        assert_eq!(next(&mut body).await, message("hello"));
        assert_eq!(end(body).await, "0");
        let parts = seen.take().unwrap();
        assert_eq!(parts.headers["te"], "trailers");
        assert_eq!(parts.headers["grpc-timeout"], "20S");
        assert_eq!(parts.uri.path(), "/chat.Chat/Say");
    });
}

#[test]
fn a_status_without_messages_comes_with_the_head() {
    run(async {
        let (_world, at, _) = world(|_| async {
            let mut response = answer(empty());
            let status = HeaderValue::from_static("5");
            response.headers_mut().insert("grpc-status", status);
            response
        })
        .await;
        let asking = call(whole(message("who?")));
        let response = connect(at).await.send_request(asking).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "5");
        assert!(hyper::body::Body::is_end_stream(response.body()));
    });
}

#[test]
fn messages_come_one_by_one_as_the_origin_sends_them() {
    run(async {
        let sending = Rc::new(RefCell::new(None));
        let begun = Rc::clone(&sending);
        let (_world, at, _) = world(move |_| {
            let begun = Rc::clone(&begun);
            async move {
                let (sender, body) = stream();
                begun.replace(Some(sender));
                answer(body)
            }
        })
        .await;
        let asking = call(whole(message("all of them")));
        let response = connect(at).await.send_request(asking).await.unwrap();
        let sender = sending.take().expect("the origin has answered");
        let mut body = response.into_body();
        for number in 0..100 {
            let one = message(&number.to_string());
            sender.send(Frame::data(one.clone())).unwrap();
            assert_eq!(next(&mut body).await, one);
        }
        sender.send(status("0")).unwrap();
        assert_eq!(end(body).await, "0");
    });
}

#[test]
fn both_sides_talk_in_turns() {
    run(async {
        let (_world, at, _) = world(|request| async {
            let (sender, body) = stream();
            let mut asked = request.into_body();
            tokio::task::spawn_local(async move {
                while let Some(Ok(frame)) = asked.frame().await {
                    let Ok(one) = frame.into_data() else { break };
                    sender.send(Frame::data(one)).unwrap();
                }
                sender.send(status("0")).unwrap();
            });
            answer(body)
        })
        .await;
        let (sender, body) = stream();
        let response = connect(at).await.send_request(call(body)).await.unwrap();
        let mut body = response.into_body();
        for number in 0..100 {
            let one = message(&number.to_string());
            sender.send(Frame::data(one.clone())).unwrap();
            assert_eq!(next(&mut body).await, one);
        }
        drop(sender);
        assert_eq!(end(body).await, "0");
    });
}

#[test]
fn a_client_that_only_listens_is_no_idle_one() {
    run(async {
        let connections = Rc::<Cell<usize>>::default();
        let address = origin(&connections, |_| async {
            let (sender, body) = stream();
            tokio::task::spawn_local(async move {
                for number in 0..30 {
                    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                    sender
                        .send(Frame::data(message(&number.to_string())))
                        .unwrap();
                }
                sender.send(status("0")).unwrap();
            });
            answer(body)
        })
        .await;
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__IDLE_MS", "1000")],
            ..Options::default()
        })
        .await;
        world.publish(&[draft(address)]);
        let (_asking, body) = stream();
        let mut client = connect(world.address).await;
        let response = client.send_request(call(body)).await.unwrap();
        let mut body = response.into_body();
        for number in 0..30 {
            assert_eq!(next(&mut body).await, message(&number.to_string()));
        }
        assert_eq!(end(body).await, "0");
    });
}

/// Tells when a call is over at the origin, however that comes about.
struct Over(Rc<Cell<usize>>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A client whose deadline has passed resets its stream, and so does the edge towards the origin; the
/// connections on both sides go on.
#[test]
fn a_call_that_the_client_gives_up_is_given_up_at_the_origin() {
    run(async {
        let (begun, over) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
        let resets = Rc::<RefCell<Vec<String>>>::default();
        let (counted, ended, reset) = (Rc::clone(&begun), Rc::clone(&over), Rc::clone(&resets));
        let (_world, at, connections) = world(move |request: Request<Incoming>| {
            let (begun, reset) = (Rc::clone(&counted), Rc::clone(&reset));
            let over = Over(Rc::clone(&ended));
            async move {
                begun.set(begun.get() + 1);
                let silent = request.headers().contains_key("x-silent");
                let mut asked = request.into_body();
                let (sender, body) = stream();
                tokio::task::spawn_local(async move {
                    while let Some(frame) = asked.frame().await {
                        match frame {
                            Ok(frame) => sender.send(frame).unwrap_or_default(),
                            Err(error) => return reset.borrow_mut().push(format!("{error:?}")),
                        }
                    }
                });
                if silent {
                    std::future::pending::<()>().await;
                }
                drop(over);
                answer(body)
            }
        })
        .await;
        let mut client = connect(at).await;
        // Before there is any answer.
        let (sender, body) = stream();
        let mut silent = call(body);
        silent
            .headers_mut()
            .insert("x-silent", HeaderValue::from_static("1"));
        sender.send(Frame::data(message("a"))).unwrap();
        let mut asking = Box::pin(client.send_request(silent));
        let reached = async {
            eventually("the origin is asked", || begun.get() == 1).await;
        };
        tokio::select! {
            _ = &mut asking => panic!("it is answered"),
            () = reached => {}
        }
        drop(asking);
        eventually("it is over", || over.get() == 1).await;
        eventually("the body too", || resets.borrow().len() == 1).await;
        // In the middle of both streams.
        let (sender, body) = stream();
        let response = client.send_request(call(body)).await.unwrap();
        let mut body = response.into_body();
        sender.send(Frame::data(message("b"))).unwrap();
        assert_eq!(next(&mut body).await, message("b"));
        drop((body, sender));
        eventually("it is reset", || resets.borrow().len() == 2).await;
        for reset in &*resets.borrow() {
            assert!(reset.contains("CANCEL"), "{reset}");
        }
        // Others share both connections all the while.
        let (sender, body) = stream();
        let response = client.send_request(call(body)).await.unwrap();
        sender.send(Frame::data(message("c"))).unwrap();
        assert_eq!(next(&mut response.into_body()).await, message("c"));
        assert_eq!(connections.get(), 1);
    });
}
