//! Many who ask for the same at once: the origin is asked once, and everybody gets every byte,
//! whoever comes late or leaves early.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use edge::workers::Placement;
use http::Response;
use http_body_util::BodyExt;
use tokio::sync::mpsc::UnboundedSender;

use crate::caching::Shelf;
use crate::client::{ask, connect, get, send, whole};
use crate::origin::{Origin, streaming};
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

/// An origin whose answers are sent by the test, piece by piece.
struct Slow {
    origin: Origin,
    senders: Rc<RefCell<Vec<UnboundedSender<Bytes>>>>,
}

impl Slow {
    async fn start(control: &'static str) -> Self {
        let senders = Rc::<RefCell<Vec<_>>>::default();
        let made = Rc::clone(&senders);
        let origin = Origin::start(move |_| {
            let (sender, body) = streaming();
            made.borrow_mut().push(sender);
            async move {
                Response::builder()
                    .header("cache-control", control)
                    .body(body)
                    .unwrap()
            }
        })
        .await;
        Self { origin, senders }
    }

    fn send(&self, bytes: impl Into<Bytes>) {
        let senders = self.senders.borrow();
        senders.last().unwrap().send(bytes.into()).unwrap();
    }

    fn end(&self) {
        self.senders.borrow_mut().pop();
    }
}

#[test]
fn an_answer_is_read_by_many_while_it_comes() {
    run(async {
        let slow = Slow::start("max-age=60").await;
        let world = World::with(Draft::to(slow.origin.address)).await;
        let mut readers = Vec::new();
        let mut asking = Vec::new();
        for _ in 0..10 {
            asking.push(tokio::task::spawn_local(send(world.address, get("/"))));
        }
        eventually("the origin is asked", || slow.origin.count() == 1).await;
        slow.send("one ");
        for asking in asking {
            let mut body = asking.await.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, "one ");
            readers.push(body);
        }
        let mut late = send(world.address, get("/")).await.into_body();
        assert_eq!(
            late.frame().await.unwrap().unwrap().into_data().unwrap(),
            "one "
        );
        readers.push(late);
        slow.send("two");
        slow.end();
        for reader in readers {
            assert_eq!(reader.collect().await.unwrap().to_bytes(), "two");
        }
        assert_eq!(ask(world.address, get("/")).await.text(), "one two");
        assert_eq!(slow.origin.count(), 1);
    });
}

#[test]
fn the_one_who_had_it_fetched_may_leave() {
    run(async {
        let slow = Slow::start("max-age=60").await;
        let world = World::with(Draft::to(slow.origin.address)).await;
        let mut leader = connect(world.address).await;
        let mut first = leader.send_request(get("/")).await.unwrap().into_body();
        slow.send("one ");
        first.frame().await.unwrap().unwrap();
        let follower = send(world.address, get("/")).await.into_body();
        drop((first, leader));
        eventually("the leader has left", || {
            world.metric("connections_open") < 2
        })
        .await;
        slow.send("two");
        slow.end();
        assert_eq!(follower.collect().await.unwrap().to_bytes(), "one two");
        assert_eq!(slow.origin.count(), 1);
    });
}

#[test]
fn an_answer_that_breaks_off_breaks_for_all_and_is_not_kept() {
    run(async {
        let origin = Origin::raw(|number, mut stream| async move {
            use tokio::io::AsyncWriteExt;
            crate::origin::read_head(&mut stream).await;
            let length = if number == 0 { 99 } else { 5 };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: {length}\r\n\r\nwhole"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let broken = send(world.address, get("/")).await;
        assert!(broken.into_body().collect().await.is_err());
        eventually("it is given up", || world.metric("cache_entries") == 0).await;
        assert_eq!(ask(world.address, get("/")).await.text(), "whole");
        assert_eq!(world.metric("cache_entries"), 1);
    });
}

#[test]
fn what_turns_out_not_to_be_kept_is_asked_for_by_each_and_never_waited_for_again() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                Response::new(whole("mine"))
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let asking: Vec<_> = (0..5)
            .map(|_| tokio::task::spawn_local(ask(world.address, get("/"))))
            .collect();
        eventually("one asks", || origin.count() == 1).await;
        release.send_replace(true);
        for asking in asking {
            assert_eq!(asking.await.unwrap().text(), "mine");
        }
        assert_eq!(origin.count(), 5);
        release.send_replace(false);
        let asking: Vec<_> = (0..5)
            .map(|_| tokio::task::spawn_local(ask(world.address, get("/"))))
            .collect();
        eventually("all ask at once", || origin.count() == 10).await;
        release.send_replace(true);
        for asking in asking {
            assert_eq!(asking.await.unwrap().text(), "mine");
        }
        assert_eq!(world.metric("cache_requests_total{outcome=\"bypass\"}"), 5);
    });
}

#[test]
fn an_answer_that_is_too_large_is_passed_on_and_not_kept() {
    run(async {
        let slow = Slow::start("max-age=60").await;
        let mut world = World::start(Options {
            set: vec![
                ("CACHE__ENTRY_BYTES_MAX", "100000"),
                ("CACHE__MEMORY_BYTES", "1000000"),
            ],
            ..Options::default()
        })
        .await;
        world.publish(&[Draft::to(slow.origin.address)]);
        let first = send(world.address, get("/")).await.into_body();
        let second = send(world.address, get("/")).await.into_body();
        let chunk = Bytes::from(vec![b'x'; 50_000]);
        for _ in 0..40 {
            slow.send(chunk.clone());
        }
        slow.end();
        let first = tokio::task::spawn_local(first.collect());
        assert_eq!(second.collect().await.unwrap().to_bytes().len(), 2_000_000);
        assert_eq!(first.await.unwrap().unwrap().to_bytes().len(), 2_000_000);
        assert_eq!((slow.origin.count(), world.metric("cache_entries")), (1, 0));
    });
}

#[test]
fn serving_threads_share_what_is_kept_and_what_is_on_its_way() {
    run(async {
        let slow = Slow::start("max-age=60").await;
        let mut world = World::start(Options {
            set: vec![("HTTP__WORKERS", "4")],
            placement: Placement::Threads,
            ..Options::default()
        })
        .await;
        world.publish(&[Draft::to(slow.origin.address)]);
        let asking: Vec<_> = (0..32)
            .map(|_| tokio::task::spawn_local(ask(world.address, get("/"))))
            .collect();
        eventually("the origin is asked", || slow.origin.count() == 1).await;
        for number in 0..100 {
            slow.send(number.to_string());
            tokio::task::yield_now().await;
        }
        slow.end();
        let expect: String = (0..100).map(|number| number.to_string()).collect();
        for asking in asking {
            assert_eq!(asking.await.unwrap().text(), expect);
        }
        assert_eq!(slow.origin.count(), 1);
        world.running.shut_down().await;
    });
}

#[test]
fn many_who_find_it_stale_have_it_confirmed_once() {
    run(async {
        let shelf = Shelf::new("old", &[("cache-control", "max-age=10"), ("etag", "\"a\"")]);
        let origin = shelf.origin().await;
        let world = World::with(Draft::to(origin.address)).await;
        ask(world.address, get("/")).await;
        world.clock.advance(11);
        let asking: Vec<_> = (0..10)
            .map(|_| tokio::task::spawn_local(ask(world.address, get("/"))))
            .collect();
        for asking in asking {
            assert_eq!(asking.await.unwrap().text(), "old");
        }
        assert_eq!(origin.count(), 2);
    });
}

#[test]
fn when_the_one_who_leads_leaves_before_the_answer_another_leads() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                let answer = Response::builder().header("cache-control", "max-age=60");
                answer.body(whole("kept")).unwrap()
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let leader = tokio::task::spawn_local(ask(world.address, get("/")));
        eventually("the leader asks", || origin.count() == 1).await;
        let asking: Vec<_> = (0..5)
            .map(|_| tokio::task::spawn_local(ask(world.address, get("/"))))
            .collect();
        eventually("the others are there", || {
            world.metric("connections_open") == 6
        })
        .await;
        leader.abort();
        eventually("another leads", || origin.count() == 2).await;
        release.send_replace(true);
        for asking in asking {
            assert_eq!(asking.await.unwrap().text(), "kept");
        }
        assert_eq!(origin.count(), 2);
    });
}
