//! Who gets through a handshake, and as whom.

use std::sync::Arc;

use platform::testing::{Pems, TestAuthority, dns, uri};
use platform::tls::{ALPN_H2, NODE_SERVER_NAME, Peer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connects a client to a server in memory. Both sides say whom they met, or nothing.
async fn meet(client: &Pems, server: &Pems) -> (Option<Peer>, Option<Peer>) {
    let acceptor = TlsAcceptor::from(Arc::new(server.identity().server(ALPN_H2).unwrap()));
    let connector = TlsConnector::from(Arc::new(client.identity().client(ALPN_H2).unwrap()));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accepting = async {
        let mut stream = acceptor.accept(far).await.ok()?;
        let peer = stream
            .get_ref()
            .1
            .peer_certificates()?
            .first()
            .and_then(Peer::of);
        stream.write_all(b"!").await.ok()?;
        stream.flush().await.ok()?;
        peer
    };
    let connecting = async {
        let name = ServerName::try_from(NODE_SERVER_NAME).unwrap();
        let mut stream = connector.connect(name, near).await.ok()?;
        // In TLS 1.3 a client learns only when it reads that its own certificate was refused.
        stream.read_u8().await.ok()?;
        stream
            .get_ref()
            .1
            .peer_certificates()?
            .first()
            .and_then(Peer::of)
    };
    tokio::join!(connecting, accepting)
}

#[tokio::test]
async fn nodes_and_edges_of_one_authority_meet_and_know_each_other() {
    let authority = TestAuthority::default();
    let met = meet(&authority.node(1), &authority.node(2)).await;
    assert_eq!(met, (Some(Peer::Node(2)), Some(Peer::Node(1))));
    let met = meet(&authority.edge("edge-1"), &authority.node(3)).await;
    assert_eq!(
        met,
        (Some(Peer::Node(3)), Some(Peer::Edge("edge-1".to_owned())))
    );
}

#[tokio::test]
async fn nobody_meets_an_edge_as_a_server() {
    let authority = TestAuthority::default();
    let met = meet(&authority.node(1), &authority.edge("edge-1")).await;
    assert_eq!(met, (None, None));
}

#[tokio::test]
async fn material_of_another_authority_is_refused_on_both_sides() {
    let ours = TestAuthority::default();
    let theirs = TestAuthority::new("another authority");
    assert_eq!(meet(&theirs.node(1), &ours.node(2)).await, (None, None));
    let mut mixed = theirs.node(1);
    mixed.ca = ours.node(1).ca;
    let (client, server) = meet(&mixed, &ours.node(2)).await;
    assert_eq!((client, server), (None, None));
}

#[tokio::test]
async fn a_certificate_without_our_uri_is_nobody() {
    let authority = TestAuthority::default();
    let stranger = authority.issue(
        "stranger",
        vec![dns(NODE_SERVER_NAME), uri("https://node/1")],
    );
    let (client, server) = meet(&stranger, &authority.node(1)).await;
    assert_eq!(client, Some(Peer::Node(1)));
    assert_eq!(server, None);
}

#[test]
fn the_same_names_give_the_same_bytes() {
    let (one, two) = (
        TestAuthority::default().node(7),
        TestAuthority::default().node(7),
    );
    assert_eq!((one.ca, one.cert, one.key), (two.ca, two.cert, two.key));
}
