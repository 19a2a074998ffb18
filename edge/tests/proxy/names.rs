//! Targets by name: connections go to all addresses that the name has.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use platform::{Lookup, Network, TTL_UNKNOWN, TokioNetwork};
use tokio::io::AsyncWriteExt;

use crate::client::{ask, get};
use crate::origin::{Origin, answer, nobody, read_head};
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

/// The operating system's network with a name of its own.
#[derive(Clone)]
struct Named {
    addresses: Vec<SocketAddr>,
    asked: Arc<AtomicUsize>,
}

impl Network for Named {
    type Stream = <TokioNetwork as Network>::Stream;
    type Listener = <TokioNetwork as Network>::Listener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        // Names are never left to it.
        let to: SocketAddr = to.parse().map_err(io::Error::other)?;
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
            addresses: self.addresses.clone(),
            ttl: TTL_UNKNOWN,
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

#[test]
fn connections_go_to_all_addresses_and_past_those_that_are_dead() {
    run(async {
        let (one, two, dead) = (once().await, once().await, nobody().await);
        let asked = Arc::<AtomicUsize>::default();
        let network = Named {
            addresses: vec![one.address, dead, two.address],
            asked: Arc::clone(&asked),
        };
        let mut world = World::start(Options {
            set: Vec::new(),
            network,
            placement: edge::workers::Placement::Here,
            access_log: None,
            keyring: Default::default(),
        })
        .await;
        world.publish(&[Draft {
            host: Some("origin.test"),
            ..Draft::to(SocketAddr::from(([192, 0, 2, 1], 80)))
        }]);
        eventually("an answer", || asked.load(Ordering::Relaxed) == 1).await;
        for _ in 0..9 {
            assert_eq!(ask(world.address, get("/")).await.text(), "x");
        }
        let (first, second) = (one.connections.get(), two.connections.get());
        assert_eq!((first + second, first.min(second)), (9, 3));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    });
}
