//! Certificates on their way from the state to the edges that show them.

use edge::certificates::Certificates as _;
use edge::store::Directory;
use platform::testing::{Pems, TestAuthority, dns};
use tokio::time::Instant;

use crate::state::{State, certificate_id};
use crate::world::{Edge, Node, PATIENCE};

fn pems(name: &str) -> Pems {
    TestAuthority::default().issue(name, vec![dns("api.example.net")])
}

/// Waits until an edge has this certificate, or none, under the identifier.
async fn has(edge: &Edge, number: u64, pems: Option<&Pems>) {
    let expect = pems.map(|pems| {
        platform::tls::certified_key(pems.cert.as_bytes(), pems.key.as_bytes())
            .unwrap()
            .cert
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = edge.keyring.find(&certificate_id(number));
        if found.map(|found| found.cert.clone()) == expect {
            return;
        }
        assert!(Instant::now() < deadline, "the edge never has {expect:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_edge_gets_what_its_routes_show_now_and_when_it_is_renewed() {
    let state = State::with_rules(1);
    let (first, second, other) = (pems("first"), pems("second"), pems("other"));
    state.certificate(1, &first);
    state.certificate(2, &other);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.show(1, Some(1))).await;
    has(&edge, 1, Some(&first)).await;
    state.renew(1, &second);
    has(&edge, 1, Some(&second)).await;
    assert!(
        edge.keyring.find(&certificate_id(2)).is_none(),
        "what no route shows is not handed out"
    );
    edge.applies(state.show(1, Some(2))).await;
    has(&edge, 2, Some(&other)).await;
    has(&edge, 1, None).await;
    edge.applies(state.show(1, None)).await;
    has(&edge, 2, None).await;
    assert_eq!(edge.maker.vault.list().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_edge_starts_with_its_certificates_when_no_node_is_there() {
    let state = State::with_rules(1);
    let (first, second) = (pems("first"), pems("second"));
    state.certificate(1, &first);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.show(1, Some(1))).await;
    has(&edge, 1, Some(&first)).await;
    let maker = edge.stop().await;
    node.kill();
    maker.vault.crash(7);
    let edge = maker.start();
    assert!(edge.restored.is_some());
    has(&edge, 1, Some(&first)).await;
    // What has changed meanwhile comes with the next node.
    state.renew(1, &second);
    let mut maker = edge.stop().await;
    let node = Node::start(2, &state);
    maker.nodes = vec![node.address.clone()];
    let edge = maker.start();
    has(&edge, 1, Some(&second)).await;
}

#[tokio::test]
async fn keys_are_not_in_what_every_edge_keeps() {
    let state = State::with_rules(1);
    let first = pems("first");
    state.certificate(1, &first);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.show(1, Some(1))).await;
    has(&edge, 1, Some(&first)).await;
    let secret = first.key.lines().nth(1).unwrap().as_bytes();
    let holds = |directory: &dyn Directory| {
        directory.list().unwrap().iter().any(|name| {
            let bytes = directory.read(name, 0, 1 << 20).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret)
        })
    };
    assert!(!holds(&edge.maker.directory));
    assert!(holds(&edge.maker.vault), "the test knows what it looks for");
}
