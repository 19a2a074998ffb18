//! Targets by name: connections go to all addresses that the name has.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::model::{Protocol, UpstreamSettings};
use platform::{Lookup, Network, TTL_UNKNOWN, TokioNetwork};
use tokio::io::AsyncWriteExt;

use crate::client::{ask, get, whole};
use crate::origin::{Origin, answer, nobody, read_head};
use crate::publish::{Draft, HOST};
use crate::secured;
use crate::upstream_http2;
use crate::world::{Options, PATIENCE, World, eventually, run};

/// The operating system's network with a name of its own.
#[derive(Clone)]
struct Named {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    asked: Arc<AtomicUsize>,
    /// From where nothing ever comes back.
    hole: Option<SocketAddr>,
    ttl: Duration,
}

impl Named {
    fn new(addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: Arc::new(Mutex::new(addresses.to_vec())),
            asked: Arc::default(),
            hole: None,
            ttl: TTL_UNKNOWN,
        }
    }

    /// An edge with a target of that name, whose addresses it knows.
    async fn world(&self, set: Vec<(&'static str, &'static str)>) -> World {
        self.world_of(Protocol::Http1, set).await
    }

    async fn world_of(&self, protocol: Protocol, set: Vec<(&'static str, &'static str)>) -> World {
        let mut world = World::start(Options {
            set,
            network: self.clone(),
            placement: edge::workers::Placement::Here,
            access_log: None,
            keyring: Default::default(),
            tracer: Default::default(),
        })
        .await;
        world.publish(&[Draft {
            host: Some("origin.test"),
            settings: UpstreamSettings {
                protocol,
                ..UpstreamSettings::default()
            },
            ..Draft::to(SocketAddr::from(([192, 0, 2, 1], 80)))
        }]);
        eventually("an answer", || self.asked.load(Ordering::Relaxed) == 1).await;
        world
    }
}

impl Network for Named {
    type Stream = <TokioNetwork as Network>::Stream;
    type Listener = <TokioNetwork as Network>::Listener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        // Names are never left to it.
        let to: SocketAddr = to.parse().map_err(io::Error::other)?;
        if self.hole == Some(to) {
            return std::future::pending().await;
        }
        TokioNetwork.connect(&to.to_string()).await
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        TokioNetwork.listen(on).await
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        TokioNetwork.quic(on, server)
    }

    async fn resolve(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn lookup(&self, name: &str) -> io::Result<Lookup> {
        assert_eq!(name, "origin.test:80");
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(Lookup {
            addresses: self.addresses.lock().unwrap().clone(),
            ttl: self.ttl,
        })
    }
}

/// An origin that answers once on each connection.
async fn once() -> Origin {
    Origin::raw(|_, mut stream| async move {
        read_head(&mut stream).await;
        let text = answer("x").replace("content-length", "connection: close\r\ncontent-length");
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await
}

/// An origin that says this on connections that it keeps.
async fn kept(protocol: Protocol, text: &'static str) -> SocketAddr {
    if protocol == Protocol::Http1 {
        return Origin::saying(text).await.address;
    }
    let answer = move |_| async move { http::Response::new(whole(text)) };
    upstream_http2::origin(&Default::default(), answer).await
}

#[test]
fn connections_go_to_all_addresses_and_past_those_that_are_dead() {
    run(async {
        let (one, two, dead) = (once().await, once().await, nobody().await);
        let network = Named::new(&[one.address, dead, two.address]);
        let world = network.world(Vec::new()).await;
        for _ in 0..9 {
            assert_eq!(ask(world.address, get("/")).await.text(), "x");
        }
        let (first, second) = (one.connections.get(), two.connections.get());
        assert_eq!((first + second, first.min(second)), (9, 3));
        assert_eq!(network.asked.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_address_from_which_nothing_comes_back_leaves_time_for_the_next() {
    run(async {
        let one = once().await;
        let hole = nobody().await;
        let network = Named {
            hole: Some(hole),
            ..Named::new(&[hole, one.address])
        };
        let world = network.world(vec![("TIMEOUTS__CONNECT_MS", "1000")]).await;
        // Each address is the first in turn.
        for _ in 0..2 {
            assert_eq!(ask(world.address, get("/")).await.text(), "x");
        }
        assert_eq!(one.connections.get(), 2);
    });
}

#[test]
fn requests_go_where_the_name_points_now_however_busy_a_connection_is() {
    run(async {
        for protocol in [Protocol::Http1, Protocol::H2c] {
            let (old, new) = (kept(protocol, "old").await, kept(protocol, "new").await);
            let network = Named {
                ttl: Duration::ZERO,
                ..Named::new(&[old])
            };
            let world = network.world_of(protocol, Vec::new()).await;
            assert_eq!(ask(world.address, get("/")).await.text(), "old");
            *network.addresses.lock().unwrap() = vec![new];
            // It is asked for again after some seconds; until then no connection is ever idle.
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while ask(world.address, get("/")).await.text() != "new" {
                assert!(tokio::time::Instant::now() < deadline, "{protocol:?}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
}

#[test]
fn what_is_passed_through_goes_to_the_addresses_that_are_known() {
    run(async {
        let upstream = secured::ending_tls(&secured::issued("theirs", HOST)).await;
        let network = Named::new(&[nobody().await, upstream]);
        let mut world = network.world(vec![("HTTPS__LISTEN", "127.0.0.1:0")]).await;
        world.publish(&[Draft {
            host: Some("origin.test"),
            config: secured::PASSTHROUGH.to_owned(),
            ..Draft::to(SocketAddr::from(([192, 0, 2, 1], 80)))
        }]);
        let config = Arc::new(secured::modern(&[]));
        for _ in 0..2 {
            secured::handshake(world.https.unwrap(), HOST, &config)
                .await
                .unwrap();
        }
    });
}
