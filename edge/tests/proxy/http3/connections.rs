//! Who is let in: clients that show that their address is theirs when many handshakes are under way.

use std::net::SocketAddr;

use platform::{Network, TokioNetwork};

use super::client::{Client, config, endpoint, get};
use super::open_to;
use crate::origin::Origin;
use crate::publish::HOST;
use crate::world::{eventually, run};

/// A way to the edge on which nothing comes back.
async fn one_way(to: SocketAddr) -> SocketAddr {
    let (near, far) = (socket(), socket());
    let address = near.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let mut datagram = [0; 2048];
        while let Ok((length, _)) = near.recv_from(&mut datagram).await {
            far.send_to(&datagram[..length], to).await.unwrap();
        }
    });
    address
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test between real sockets has to lose datagrams by itself"
)]
fn socket() -> tokio::net::UdpSocket {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    tokio::net::UdpSocket::from_std(socket).unwrap()
}

#[test]
fn in_busy_times_clients_prove_their_address_and_are_served_all_the_same() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        assert_eq!(world.metric("quic_retries_total"), 0);
        // Clients that never hear of the edge stay in the middle of their handshakes.
        let deaf = endpoint();
        let way = one_way(address).await;
        let begun: Vec<_> = (0..64)
            .map(|_| deaf.connect_with(config(&["h3"]), way, HOST).unwrap())
            .collect();
        eventually("their handshakes are under way", || {
            world.metric("connections_open") == 65
        })
        .await;
        let proven = Client::connect(address).await;
        assert!(world.metric("quic_retries_total") >= 1);
        for client in [client, proven] {
            assert_eq!(client.ask(get("/"), b"").await.text(), "x");
        }
        drop(begun);
    });
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    run(async {
        let origin = Origin::saying("x").await;
        let set = [("TIMEOUTS__TLS_HANDSHAKE_MS", "200")];
        let (world, address) = open_to(&set, origin.address).await;
        let way = one_way(address).await;
        let deaf = endpoint();
        let begun = deaf.connect_with(config(&["h3"]), way, HOST).unwrap();
        eventually("it is overdue", || {
            world.metric("connections_overdue_total") == 1
        })
        .await;
        assert_eq!(world.metric("tls_handshakes_failed_total"), 1);
        eventually("it is gone", || world.metric("connections_open") == 0).await;
        drop(begun);
    });
}

#[test]
fn what_is_no_quic_is_not_answered_or_kept() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, address) = open_to(&[], origin.address).await;
        let socket = socket();
        for length in [0, 1, 20, 1200] {
            socket.send_to(&vec![0xff; length], address).await.unwrap();
        }
        let client = Client::connect(address).await;
        assert_eq!(client.ask(get("/"), b"").await.text(), "x");
        assert_eq!(world.metric("connections_total"), 1);
        assert!(TokioNetwork.connect(&address.to_string()).await.is_err());
    });
}
