//! Who gets through a handshake, and as whom.

use std::sync::Arc;

use platform::testing::{Pems, TestAuthority, dns, uri};
use platform::tls::{ALPN_H2, Admits, Identity, NODE_SERVER_NAME, Peer, TlsError};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connects a client to a server in memory. Both sides say whom they met, or nothing.
async fn meet(client: &Pems, server: &Pems) -> (Option<Peer>, Option<Peer>) {
    meet_as(client, server, |_| true).await
}

/// The same where the server lets in whom `admits` lets in.
async fn meet_as(client: &Pems, server: &Pems, admits: Admits) -> (Option<Peer>, Option<Peer>) {
    let server = server.identity().server_for(ALPN_H2, admits).unwrap();
    let client = client.identity().client(ALPN_H2).unwrap();
    let (client, server) = connect(&Arc::new(client), &Arc::new(server)).await;
    (
        client.and_then(|shown| Peer::of(&shown)),
        server.and_then(|shown| Peer::of(&shown)),
    )
}

type Met = Option<CertificateDer<'static>>;

/// What both sides were shown, if they agreed.
async fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> (Met, Met) {
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let connector = TlsConnector::from(Arc::clone(client));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accepting = async {
        let mut stream = acceptor.accept(far).await.ok()?;
        let shown = stream.get_ref().1.peer_certificates();
        let peer = shown.and_then(|chain| chain.first().cloned());
        stream.write_all(b"!").await.ok()?;
        stream.flush().await.ok()?;
        peer
    };
    let connecting = async {
        let name = ServerName::try_from(NODE_SERVER_NAME).unwrap();
        let mut stream = connector.connect(name, near).await.ok()?;
        // In TLS 1.3 a client learns only when it reads that its own certificate was refused.
        stream.read_u8().await.ok()?;
        stream.get_ref().1.peer_certificates()?.first().cloned()
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
    assert_eq!(meet(&stranger, &authority.node(1)).await, (None, None));
    assert_eq!(meet(&authority.node(1), &stranger).await, (None, None));
}

#[tokio::test]
async fn a_certificate_that_names_two_of_ours_is_nobody() {
    let authority = TestAuthority::default();
    let names = vec![
        uri("vg://edge/edge-1"),
        uri("vg://node/2"),
        dns(NODE_SERVER_NAME),
    ];
    let both = authority.issue("both", names);
    assert_eq!(meet(&both, &authority.node(1)).await, (None, None));
    assert_eq!(meet(&authority.node(1), &both).await, (None, None));
}

/// Authorities of edges sign for names, too, and an edge that could call itself a node would be told join tokens.
#[tokio::test]
async fn who_has_no_certificate_yet_believes_nodes_alone() {
    let authority = TestAuthority::default();
    let names = vec![uri("vg://edge/edge-1"), dns(NODE_SERVER_NAME)];
    let pretender = authority.issue("pretender", names);
    let nobody = authority.issue("nobody", vec![dns(NODE_SERVER_NAME)]);
    let trusted = authority.node(1).identity().authorities();
    let trusted: Vec<_> = trusted.iter().map(|der| der.to_vec()).collect();
    let stranger = Arc::new(Identity::stranger(&trusted, ALPN_H2).unwrap());
    for (server, is_believed) in [
        (authority.node(1), true),
        (pretender, false),
        (nobody, false),
        (TestAuthority::new("another").node(1), false),
    ] {
        let config = server.identity();
        let config = config.server_for_strangers(&[ALPN_H2], Peer::is_edge);
        let (met, _) = connect(&stranger, &Arc::new(config.unwrap())).await;
        assert_eq!(met.is_some(), is_believed);
    }
}

#[tokio::test]
async fn a_port_for_one_role_is_closed_to_the_other() {
    let authority = TestAuthority::default();
    let (node, edge) = (authority.node(1), authority.edge("edge-1"));
    let server = authority.node(2);
    for (client, admits, is_let_in) in [
        (&node, Peer::is_node as Admits, true),
        (&edge, Peer::is_node, false),
        (&node, Peer::is_edge, false),
        (&edge, Peer::is_edge, true),
    ] {
        let (met, by) = meet_as(client, &server, admits).await;
        assert_eq!((met.is_some(), by.is_some()), (is_let_in, is_let_in));
    }
}

#[tokio::test]
async fn an_edge_that_has_the_name_of_nodes_is_no_server_either() {
    let authority = TestAuthority::default();
    let names = vec![uri("vg://edge/edge-1"), dns(NODE_SERVER_NAME)];
    let pretender = authority.issue("pretender", names);
    assert_eq!(meet(&authority.node(1), &pretender).await, (None, None));
}

#[tokio::test]
async fn what_does_not_hold_now_is_refused_on_both_sides() {
    let authority = TestAuthority::default();
    let node = authority.node(1);
    let (expired, early) = (
        authority.node_between(2, (2001, 2002)),
        authority.node_between(2, (4001, 4002)),
    );
    for other in [&expired, &early] {
        assert_eq!(meet(other, &node).await, (None, None));
        assert_eq!(meet(&node, other).await, (None, None));
    }
    let now = authority.node_between(2, (2001, 4002));
    assert_eq!(
        meet(&now, &node).await,
        (Some(Peer::Node(1)), Some(Peer::Node(2)))
    );
}

fn identity(pems: &Pems, bundle: &[&str]) -> Identity {
    let ca = bundle.concat();
    Identity::from_pem(ca.as_bytes(), pems.cert.as_bytes(), pems.key.as_bytes()).unwrap()
}

fn shown(pems: &Pems) -> Met {
    Some(CertificateDer::from_pem_slice(pems.cert.as_bytes()).unwrap())
}

#[tokio::test]
async fn renewed_certificates_and_another_authority_are_in_use_from_the_next_handshake_on() {
    let (old, new) = (TestAuthority::new("old"), TestAuthority::new("new"));
    let (one, two) = (old.node(1), old.node(2));
    let (renewed, renewed_two) = (new.node(1), new.node(2));
    let bundle = [old.node(1).ca, new.node(1).ca];
    let both = [bundle[0].as_str(), &bundle[1]];

    let server = identity(&one, &both[..1]);
    let client = identity(&two, &both[..1]);
    let accepting = Arc::new(server.server(ALPN_H2).unwrap());
    let connecting = Arc::new(client.client(ALPN_H2).unwrap());
    let met = connect(&connecting, &accepting).await;
    assert_eq!(met, (shown(&one), shown(&two)));

    // First everybody trusts both, then one after the other shows what the new one signed.
    server.replace(&identity(&one, &both)).unwrap();
    client.replace(&identity(&two, &both)).unwrap();
    assert_eq!(
        connect(&connecting, &accepting).await,
        (shown(&one), shown(&two))
    );
    server.replace(&identity(&renewed, &both)).unwrap();
    let met = connect(&connecting, &accepting).await;
    assert_eq!(met, (shown(&renewed), shown(&two)));
    client.replace(&identity(&renewed_two, &both)).unwrap();
    server.replace(&identity(&renewed, &both[1..])).unwrap();
    let met = connect(&connecting, &accepting).await;
    assert_eq!(met, (shown(&renewed), shown(&renewed_two)));

    // What the old one signed is worth nothing any more.
    client.replace(&identity(&two, &both)).unwrap();
    assert_eq!(connect(&connecting, &accepting).await, (None, None));
}

#[test]
fn an_identity_stays_who_it_is() {
    let authority = TestAuthority::default();
    let identity = authority.node(1).identity();
    for other in [authority.node(2), authority.edge("1")] {
        let outcome = identity.replace(&other.identity());
        assert!(
            matches!(outcome, Err(TlsError::SomebodyElse)),
            "{outcome:?}"
        );
    }
    assert_eq!(identity.peer(), Some(Peer::Node(1)));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = TestAuthority::default();
    let (one, two) = (authority.node(1), authority.node(2));
    let (ca, cert, key) = (one.ca.as_bytes(), one.cert.as_bytes(), two.key.as_bytes());
    assert!(matches!(
        Identity::from_pem(ca, cert, key),
        Err(TlsError::Rustls(_))
    ));
}

#[test]
fn the_same_names_give_the_same_bytes() {
    let (one, two) = (
        TestAuthority::default().node(7),
        TestAuthority::default().node(7),
    );
    assert_eq!((one.ca, one.cert, one.key), (two.ca, two.cert, two.key));
}
