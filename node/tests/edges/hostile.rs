//! Peers that have a certificate and do not behave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::tree::Hash;
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::limits::WANT_HASHES_MAX;
use edge_protocol::{Hello, PROTOCOL, Refusal, ToEdge, ToNode};
use platform::testing::TestAuthority;
use platform::tls::{ALPN_EDGE, ALPN_H2, NODE_SERVER_NAME};
use platform::{Network, TokioNetwork};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, RecvStream, SendStream};
use tokio::time::{Instant, timeout};

use crate::state::State;
use crate::world::{Edge, Node, PATIENCE, identity};

/// A connection that says what a test wants.
struct Peer {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    decoder: Decoder,
}

async fn connect(node: &Node, alpn: &[u8]) -> Result<Connection, String> {
    let tls = identity(&TestAuthority::default().edge("edge-x"))
        .client(alpn)
        .unwrap();
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = TokioNetwork
        .quic("127.0.0.1:0".parse().unwrap(), None)
        .unwrap();
    let address: SocketAddr = node.address.parse().unwrap();
    let connecting = endpoint
        .connect_with(config, address, NODE_SERVER_NAME)
        .unwrap();
    connecting.await.map_err(|error| error.to_string())
}

impl Peer {
    async fn connect(node: &Node) -> Self {
        let connection = connect(node, ALPN_EDGE).await.unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        Self {
            connection,
            send,
            receive,
            decoder: Decoder::default(),
        }
    }

    async fn say(&mut self, frame: &ToNode) {
        self.send.write_all(&encode(frame).unwrap()).await.unwrap();
    }

    /// The next frame; `None` once the node has closed.
    async fn hear(&mut self) -> Option<ToEdge> {
        loop {
            if let Some(frame) = self.decoder.next_message().unwrap() {
                return Some(frame);
            }
            let read = timeout(PATIENCE, self.receive.read_chunk(65536, true))
                .await
                .expect("the node says something");
            self.decoder.push(&read.ok()??.bytes);
        }
    }

    /// Asserts that the node says why, and closes.
    async fn expect_refusal(mut self) {
        loop {
            match self.hear().await {
                Some(ToEdge::Refused(Refusal::Violation(_))) => break,
                Some(_) => {}
                None => panic!("it closed without a word"),
            }
        }
        timeout(PATIENCE, self.connection.closed())
            .await
            .expect("the node closes");
    }
}

fn hello() -> ToNode {
    ToNode::Hello(Hello {
        protocol: PROTOCOL,
        edge_id: "edge-x".to_owned(),
        environment: "production".to_owned(),
        region: "eu".to_owned(),
        labels: Default::default(),
        software: "hostile".to_owned(),
        have: None,
    })
}

#[tokio::test]
async fn what_is_no_conversation_expect_refusal_and_the_node_serves_on() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut speechless = Peer::connect(&node).await;
    speechless
        .send
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    speechless.expect_refusal().await;
    let mut huge = Peer::connect(&node).await;
    huge.send.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    huge.expect_refusal().await;
    let mut hasty = Peer::connect(&node).await;
    hasty.say(&ToNode::Want(vec![Hash([1; 32])])).await;
    hasty.expect_refusal().await;
    let mut twice = Peer::connect(&node).await;
    twice.say(&hello()).await;
    twice.say(&hello()).await;
    twice.expect_refusal().await;
    let mut greedy = Peer::connect(&node).await;
    greedy.say(&hello()).await;
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.manifest()).await;
    edge.stop().await;
}

#[tokio::test]
async fn another_protocol_is_not_spoken() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let error = connect(&node, ALPN_H2).await.unwrap_err();
    assert!(
        error.contains("application protocol") || error.contains("120"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_kept_is_said_to_be_gone() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut peer = Peer::connect(&node).await;
    peer.say(&hello()).await;
    assert!(matches!(peer.hear().await, Some(ToEdge::Welcome(_))));
    assert!(matches!(peer.hear().await, Some(ToEdge::Trust(_))));
    let offered = peer.hear().await;
    assert!(
        matches!(&offered, Some(ToEdge::Manifest(signed)) if signed.manifest == state.manifest())
    );
    peer.say(&ToNode::Want(vec![Hash([1; 32]), state.manifest().root]))
        .await;
    assert_eq!(peer.hear().await, Some(ToEdge::Gone(vec![Hash([1; 32])])));
    assert_eq!(peer.hear().await, offered);
    assert!(
        matches!(peer.hear().await, Some(ToEdge::Chunks(chunks)) if Hash::of(&chunks[0]) == state.manifest().root)
    );
}

/// It asks for the whole configuration again and again and reads nothing.
#[tokio::test]
async fn an_edge_that_does_not_read_delays_no_other() {
    let state = State::with_rules(3000);
    let node = Node::start(1, &state);
    let mut stuck = Peer::connect(&node).await;
    stuck.say(&hello()).await;
    stuck
        .say(&ToNode::Want(vec![state.manifest().root; WANT_HASHES_MAX]))
        .await;
    stuck
        .say(&ToNode::Want(vec![state.manifest().root; WANT_HASHES_MAX]))
        .await;
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.manifest()).await;
    for priority in 5000..5005 {
        let published = Instant::now();
        edge.applies(state.change(1, priority)).await;
        assert!(
            published.elapsed() < Duration::from_secs(5),
            "{:?}",
            published.elapsed()
        );
    }
    edge.stop().await;
    drop(stuck);
}
