//! Nobody is waited for forever. The settings here are short; what is checked is what happens, not
//! after how many milliseconds.

use std::io;
use std::net::SocketAddr;

use http_body_util::BodyExt;
use platform::{Network, TokioNetwork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Answer, Raw, ask, get, post, send, talk};
use crate::origin::{Origin, answer, read_head, streaming};
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

async fn world(set: &[(&'static str, &'static str)], origin: SocketAddr) -> World {
    let mut world = World::start(Options {
        set: set.to_vec(),
        ..Options::default()
    })
    .await;
    world.publish(&[Draft::to(origin)]);
    world
}

/// The operating system's network, on which no connection is ever completed.
#[derive(Clone)]
struct Unanswering(TokioNetwork);

impl Network for Unanswering {
    type Stream = <TokioNetwork as Network>::Stream;
    type Listener = <TokioNetwork as Network>::Listener;

    async fn connect(&self, _: &str) -> io::Result<Self::Stream> {
        std::future::pending().await
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        self.0.listen(on).await
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        self.0.quic(on, server)
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        self.0.resolve(name).await
    }
}

#[test]
fn a_target_that_does_not_take_the_connection_is_504() {
    run(async {
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__CONNECT_MS", "50")],
            network: Unanswering(TokioNetwork),
            placement: edge::workers::Placement::Here,
            access_log: None,
            keyring: edge::certificates::Keyring::default(),
            tracer: Default::default(),
        })
        .await;
        world.publish(&[Draft::to(world.address)]);
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (504, "upstream_connect_timeout")
        );
    });
}

#[test]
fn a_target_that_does_not_answer_is_504_and_its_connection_is_not_used_again() {
    run(async {
        let origin = Origin::raw(|number, mut stream| async move {
            read_head(&mut stream).await;
            if number > 0 {
                stream.write_all(answer("late").as_bytes()).await.unwrap();
            }
            read_head(&mut stream).await;
        })
        .await;
        let world = world(&[("TIMEOUTS__RESPONSE_HEADER_MS", "100")], origin.address).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (504, "upstream_timeout")
        );
        assert_eq!(ask(world.address, get("/")).await.text(), "late");
        assert_eq!(origin.connections.get(), 2);
    });
}

#[test]
fn all_targets_that_are_tried_have_one_deadline_together() {
    run(async {
        // Each takes more than half of it, and then does not answer.
        let mut targets = Vec::new();
        for _ in 0..3 {
            let origin = Origin::raw(|_, mut stream| async move {
                read_head(&mut stream).await;
                tokio::time::sleep(std::time::Duration::from_millis(600)).await;
            })
            .await;
            targets.push((origin.address, 1));
        }
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__RESPONSE_HEADER_MS", "1000")],
            ..Options::default()
        })
        .await;
        let first = targets[0].0;
        world.publish(&[Draft {
            upstreams: vec![("main", targets)],
            ..Draft::to(first)
        }]);
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (504, "upstream_timeout")
        );
        assert_eq!(world.metric("upstream_retries_total"), 1);
    });
}

#[test]
fn the_wait_for_an_answer_begins_when_the_body_has_been_sent() {
    run(async {
        let origin = Origin::start(|request| async move {
            request.into_body().collect().await.unwrap();
            http::Response::new(crate::client::whole("done"))
        })
        .await;
        let world = world(&[("TIMEOUTS__RESPONSE_HEADER_MS", "150")], origin.address).await;
        let (sender, body) = streaming();
        let slow = async {
            for _ in 0..6 {
                sender.send("piece".into()).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(75)).await;
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(ask(world.address, post("/", body)), slow);
        assert_eq!((answer.status, answer.text()), (200, "done"));
    });
}

#[test]
fn a_client_that_stops_sending_its_body_is_408() {
    run(async {
        let origin = Origin::start(|request| async move {
            drop(request.into_body().collect().await);
            http::Response::new(crate::client::empty())
        })
        .await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "100")], origin.address).await;
        let text = "POST / HTTP/1.1\r\nhost: api.example.net\r\ncontent-length: 10\r\n\r\nbegun";
        let answer = talk(world.address, text).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.contains("request_timeout") && answer.contains("connection: close"),
            "{answer}"
        );
    });
}

#[test]
fn an_origin_that_stops_sending_its_body_is_given_up() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbegun")
                .await
                .unwrap();
            read_head(&mut stream).await;
        })
        .await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "100")], origin.address).await;
        let answer = send(world.address, get("/")).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err());
        assert_eq!(world.metric("upstream_bodies_broken_total"), 1);
    });
}

#[test]
fn a_client_that_sends_no_whole_head_is_dropped() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = world(&[("TIMEOUTS__REQUEST_HEADER_MS", "100")], origin.address).await;
        for begun in [
            "",
            "G",
            "GET / HTTP/1.1\r\nhost: api.exa",
            "PRI * HTTP/2.0\r\n",
        ] {
            assert_eq!(talk(world.address, begun).await, "", "{begun:?}");
        }
        // Also on a connection that has been of use before.
        let mut raw = Raw::connect(world.address).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
            .await;
        raw.read_until("\r\n\r\nx").await;
        raw.write("GET / HTTP/1.1\r\n").await;
        assert_eq!(raw.read_to_end().await, "");
        assert_eq!(world.metric("connections_overdue_total"), 5);
        eventually("the connections are gone", || {
            world.metric("connections_open") == 0
        })
        .await;
    });
}

#[test]
fn an_idle_connection_is_closed() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "100")], origin.address).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
            .await;
        raw.read_until("\r\n\r\nx").await;
        assert_eq!(raw.read_to_end().await, "");
        assert_eq!(world.metric("connections_overdue_total"), 0);
    });
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    run(async {
        let origin = Origin::start(|_| async {
            http::Response::new(crate::client::whole(vec![b'x'; 32 * 1024 * 1024]))
        })
        .await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "200")], origin.address).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
            .await;
        raw.read_until("\r\n\r\n").await;
        eventually("the connection is dropped", || {
            world.metric("connections_open") == 0
        })
        .await;
        assert_eq!(world.metric("connections_overdue_total"), 1);
    });
}

#[test]
fn an_answer_is_not_cut_short_by_the_idle_limit_while_it_moves() {
    run(async {
        let origin = Origin::start(|_| async {
            let (sender, body) = streaming();
            tokio::task::spawn_local(async move {
                for _ in 0..8 {
                    sender.send("piece".into()).unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                }
            });
            http::Response::new(body)
        })
        .await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "200")], origin.address).await;
        let answer = Answer::of(send(world.address, get("/")).await).await;
        assert_eq!(answer.text(), "piece".repeat(8));
    });
}

/// All of a kept answer is hyper's at once, and a client may take it for as long as it takes it.
#[test]
fn a_kept_answer_is_not_cut_short_by_the_idle_limit_while_it_moves() {
    const SIZE: usize = 48 * 1024 * 1024;
    run(async {
        let origin = Origin::start(|_| async {
            http::Response::builder()
                .header("cache-control", "max-age=600")
                .body(crate::client::whole(vec![b'x'; SIZE]))
                .unwrap()
        })
        .await;
        let set = [
            ("TIMEOUTS__IDLE_MS", "1000"),
            ("CACHE__ENTRY_BYTES_MAX", "67108864"),
            ("CACHE__MEMORY_BYTES", "268435456"),
        ];
        let world = world(&set, origin.address).await;
        assert_eq!(ask(world.address, get("/")).await.body.len(), SIZE);
        let mut raw = Raw::connect(world.address).await;
        raw.write("GET / HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n\r\n")
            .await;
        raw.read_until("\r\n\r\n").await;
        let (mut received, mut piece) = (0, vec![0; 256 * 1024]);
        while received < SIZE {
            let count = raw.0.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "cut off after {received}");
            received += count;
            tokio::time::sleep(std::time::Duration::from_millis(15)).await;
        }
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn a_client_that_sends_its_body_drop_by_drop_is_408() {
    run(async {
        let origin = Origin::start(|request| async move {
            drop(request.into_body().collect().await);
            http::Response::new(crate::client::empty())
        })
        .await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "400")], origin.address).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("POST / HTTP/1.1\r\nhost: api.example.net\r\ncontent-length: 100000\r\n\r\n")
            .await;
        let answer = {
            let (mut from, mut into) = raw.0.split();
            let mut answer = [0; 12];
            let mut reading = std::pin::pin!(from.read_exact(&mut answer));
            loop {
                tokio::select! {
                    read = &mut reading => {
                        read.unwrap();
                        break;
                    }
                    () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {
                        into.write_all(b"x").await.unwrap();
                    }
                }
            }
            answer
        };
        assert_eq!(&answer, b"HTTP/1.1 408");
    });
}

#[test]
fn after_the_origin_has_begun_to_answer_a_client_may_say_little() {
    run(async {
        let origin = Origin::start(|request| async move {
            let (sender, body) = streaming();
            let mut asked = request.into_body();
            tokio::task::spawn_local(async move {
                while let Some(Ok(frame)) = asked.frame().await {
                    sender.send(frame.into_data().unwrap()).unwrap();
                }
            });
            http::Response::new(body)
        })
        .await;
        let world = world(&[("TIMEOUTS__IDLE_MS", "1000")], origin.address).await;
        let (sender, body) = streaming();
        let mut answer = send(world.address, post("/", body)).await.into_body();
        for _ in 0..30 {
            sender.send("x".into()).unwrap();
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "x");
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
    });
}
