//! HTTP/3 on several serving threads, which share the port.

use std::sync::Arc;

use edge::certificates::Keyring;
use edge::workers::Placement;
use http::Response;
use platform::tls::certified_key;

use super::LISTEN;
use super::client::{Client, answer, get};
use crate::client::whole;
use crate::origin::Origin;
use crate::publish::HOST;
use crate::secured::{CERTIFICATE, STRICT, issued, put, with};
use crate::world::{Options, World, eventually, run};

/// An edge with this many threads.
async fn threads(count: &'static str, origin: &Origin) -> World {
    let own = issued("own", "own.example.net");
    let own = certified_key(own.cert.as_bytes(), own.key.as_bytes()).unwrap();
    let mut world = World::start(Options {
        set: vec![
            ("HTTPS__LISTEN", "127.0.0.1:0"),
            LISTEN,
            ("HTTP__WORKERS", count),
        ],
        placement: Placement::Threads,
        keyring: Keyring::new(Some(own.into())),
        ..Options::default()
    })
    .await;
    put(&world.serving.keyring, CERTIFICATE, &issued("named", HOST));
    world.publish(&[with(STRICT, origin.address)]);
    world
}

#[test]
fn every_thread_serves_its_share_of_clients_to_the_end() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |request| {
            let mut held = held.clone();
            async move {
                if request.uri().path() == "/held" {
                    held.wait_for(|released| *released).await.unwrap();
                }
                Response::new(whole("x"))
            }
        })
        .await;
        let world = threads("3", &origin).await;
        let address = world.http3.unwrap();
        let mut clients = Vec::new();
        for _ in 0..16 {
            let client = Arc::new(Client::connect(address).await);
            for _ in 0..3 {
                assert_eq!(client.ask(get("/"), b"").await.text(), "x");
            }
            clients.push(client);
        }
        // One with something under way stays, however the threads of the others end meanwhile.
        let kept = clients.pop().unwrap();
        let mut stream = kept.begin(get("/held")).await.unwrap();
        stream.finish().await.unwrap();
        eventually("the origin is asked", || origin.count() == 49).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        for client in clients {
            client.quic.closed().await;
        }
        release.send_replace(true);
        assert_eq!(answer(&mut stream).await.unwrap().text(), "x");
        stopping.await.unwrap();
    });
}
