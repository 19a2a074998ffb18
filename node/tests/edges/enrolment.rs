//! Edges that come by a join token, over real QUIC: who gets in, who does not, and what becomes of them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::model::EdgePublicKey;
use domain::time::Timestamp;
use edge::enrolment::{EnrolError, Enrolled, Folder, enrol, keep_renewed};
use edge::nodes::KnownNodes;
use edge::store::{Directory, MemoryDirectory};
use edge_protocol::enrolment::JoinToken;
use platform::renewal::OwnCertificate;
use platform::testing::{Pems, TestAuthority};
use platform::tls::{ALPN_EDGE, ALPN_ENROL, EdgeCertificate, Identity, NODE_SERVER_NAME, Peer};
use platform::{Clock, Entropy, Network, SystemClock, SystemEntropy, TokioNetwork};
use quinn::crypto::rustls::QuicClientConfig;
use tokio::time::{Instant, timeout};

use crate::state::{State, production};
use crate::world::{Edge, Letting, Maker, Node, PATIENCE};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> Timestamp {
    SystemClock.now()
}

/// A token as an edge gets it.
fn token(secret: [u8; 32], nodes: &[&Node]) -> JoinToken {
    let authorities = TestAuthority::default().node(1).identity().authorities();
    JoinToken {
        secret,
        nodes: nodes.iter().map(|node| node.address.clone()).collect(),
        authorities: authorities.iter().map(|der| der.to_vec()).collect(),
        environment_id: production(),
    }
}

/// Comes by a certificate; the disk that it is on, too.
async fn come(token: &JoinToken, edge_id: &str) -> (Result<Enrolled, EnrolError>, MemoryDirectory) {
    let directory = MemoryDirectory::default();
    let folder = Folder(Arc::new(directory.clone()));
    let outside = (
        &SystemClock as &dyn Clock,
        Arc::new(SystemEntropy) as Arc<dyn Entropy>,
    );
    let coming = enrol(&TokioNetwork, outside, &folder, (token, edge_id));
    (timeout(PATIENCE, coming).await.unwrap(), directory)
}

/// Nodes as an edge knows them.
fn known(nodes: &[&Node]) -> KnownNodes {
    let addresses = nodes.iter().map(|node| node.address.clone());
    KnownNodes::new(addresses.collect(), Vec::new())
}

fn pems(enrolled: &Enrolled) -> Pems {
    Pems {
        ca: enrolled.papers.authorities.clone(),
        cert: enrolled.papers.certificate.clone(),
        key: enrolled.key.as_str().to_owned(),
    }
}

/// An edge with what it came by.
fn edge(enrolled: &Enrolled, nodes: &[&Node]) -> Edge {
    let mut maker = Maker::new(&enrolled.edge_id, nodes);
    maker.pems = pems(enrolled);
    maker.start()
}

#[track_caller]
fn refusal(outcome: Result<Enrolled, EnrolError>) -> String {
    match outcome {
        Err(EnrolError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_edge_comes_by_a_token_and_follows_by_what_it_got() {
    let state = State::with_rules(3);
    let node = Node::lets_in(1, &state, Letting::for_(7 * DAY));
    let secret = state.token(1, None, now());
    let (came, disk) = come(&token(secret, &[&node]), "edge-1").await;
    let came = came.unwrap();
    assert_eq!(came.papers.environment, "production");
    assert_eq!(came.papers.region, "eu-central-1");
    assert_eq!(came.papers.nodes, [node.address.as_str()]);
    let identity = came.identity().unwrap();
    assert_eq!(identity.peer(), Some(Peer::Edge("edge-1".to_owned())));
    let shown = EdgeCertificate::of(&identity.certificate().unwrap()).unwrap();
    assert_eq!(shown.environment.as_deref(), Some("production"));
    let lasts_s = shown.not_after_s - now().0 / 1000;
    assert!(lasts_s <= 7 * DAY.as_secs(), "{lasts_s}");
    assert_eq!(Folder(Arc::new(disk)).find().unwrap(), Some(came.clone()));

    let mut edge = edge(&came, &[&node]);
    edge.applies(state.manifest()).await;
    let known = node.knows("the edge", |edges| !edges.is_empty()).await;
    // It says `eu` of itself, and is where the token has put it.
    assert_eq!(known[0].region, "eu-central-1");
    assert_eq!(known[0].labels["rack"], "7");
    edge.stop().await;
}

#[tokio::test]
async fn a_token_is_good_once_also_for_two_at_the_same_moment_at_two_nodes() {
    let state = State::with_rules(1);
    let letting = Letting::for_(DAY);
    let nodes = [
        Node::lets_in(1, &state, letting.clone()),
        Node::lets_in(2, &state, letting),
    ];
    for round in 0..4 {
        let secret = state.token(round, None, now());
        let tokens = [token(secret, &[&nodes[0]]), token(secret, &[&nodes[1]])];
        let names = [format!("a-{round}"), format!("b-{round}")];
        let ((one, _), (other, _)) =
            tokio::join!(come(&tokens[0], &names[0]), come(&tokens[1], &names[1]));
        assert_eq!(
            usize::from(one.is_ok()) + usize::from(other.is_ok()),
            1,
            "{one:?} {other:?}"
        );
        let lost = if one.is_ok() { other } else { one };
        assert_eq!(refusal(lost), "The token was used already.");
        let again = come(&tokens[0], "c").await.0;
        assert_eq!(refusal(again), "The token was used already.");
    }
}

#[tokio::test]
async fn a_token_that_is_old_unknown_or_for_another_edge_lets_nobody_in() {
    let state = State::with_rules(1);
    let node = Node::lets_in(1, &state, Letting::for_(DAY));
    let old = state.token(1, None, Timestamp(now().0 - 15 * 60 * 1000));
    let named = state.token(2, Some("edge-1"), now());
    for (secret, name, why) in [
        (old, "edge-1", "The token has expired."),
        ([9; 32], "edge-1", "The token is not known."),
        (named, "edge-2", "The token is for another edge."),
        (
            named,
            "no name",
            "It has 1 to 64 letters, digits, `-`, `_` and `.`.",
        ),
    ] {
        let came = come(&token(secret, &[&node]), name).await.0;
        assert_eq!(refusal(came), why);
    }
    come(&token(named, &[&node]), "edge-1").await.0.unwrap();
}

#[tokio::test]
async fn a_good_token_is_taken_from_an_address_that_many_bad_ones_came_from() {
    let state = State::with_rules(1);
    let node = Node::lets_in(1, &state, Letting::for_(DAY));
    let secret = state.token(1, None, now());
    for _ in 0..20 {
        let came = come(&token([9; 32], &[&node]), "edge-1").await.0;
        assert_eq!(refusal(came), "The token is not known.");
    }
    come(&token(secret, &[&node]), "edge-1").await.0.unwrap();
}

#[tokio::test]
async fn the_name_of_an_edge_that_its_operator_gave_a_certificate_is_taken_by_a_token_that_names_it_alone()
 {
    let state = State::with_rules(1);
    let node = Node::lets_in(1, &state, Letting::for_(DAY));
    let mut operators = Edge::start("edge-1", &[&node]);
    operators.applies(state.manifest()).await;
    let any = token(state.token(1, None, now()), &[&node]);
    let why = refusal(come(&any, "edge-1").await.0);
    assert!(why.starts_with("An edge edge-1 is there"), "{why}");
    assert!(operators.status().trouble.is_none());
    // The token is as good as before, for another name.
    come(&any, "edge-2").await.0.unwrap();
    operators.stop().await;
    let named = token(state.token(2, Some("edge-1"), now()), &[&node]);
    come(&named, "edge-1").await.0.unwrap();
}

/// Contract: D-64.
#[tokio::test]
async fn an_edge_that_is_revoked_is_dropped_and_does_not_come_back() {
    let state = State::with_rules(3);
    let node = Node::lets_in(1, &state, Letting::for_(Duration::from_secs(3)));
    let secret = state.token(1, None, now());
    let came = come(&token(secret, &[&node]), "edge-1").await.0.unwrap();
    let mut edge = edge(&came, &[&node]);
    edge.applies(state.manifest()).await;
    state.revoke("edge-1");
    let since = Instant::now();
    let status = edge
        .until("is dropped", |status| status.trouble.is_some())
        .await;
    assert!(since.elapsed() < Duration::from_secs(10));
    assert!(status.trouble.unwrap().contains("was revoked"));
    let welcomes = status.welcomes;
    state.change(1, 50);
    let status = edge
        .until("is refused again", |status| {
            status.node.is_none() && status.trouble.is_some()
        })
        .await;
    assert_eq!(status.welcomes, welcomes);
    edge.stop().await;
    let named = come(&token(state.token(2, None, now()), &[&node]), "edge-1").await;
    assert!(refusal(named.0).contains("not used again"));
    // Nor is its certificate renewed.
    let own = Arc::new(OwnCertificate::new("enrolled", came.term()));
    let folder = Folder(Arc::new(MemoryDirectory::default()));
    let identity = came.identity().unwrap();
    let renewing = keep_renewed(
        TokioNetwork,
        (Arc::new(SystemClock), Arc::new(SystemEntropy)),
        folder,
        (came, identity),
        (Arc::clone(&own), known(&[&node])),
    );
    let mut standing = own.subscribe();
    tokio::select! {
        () = renewing => {}
        refused = timeout(PATIENCE, standing.wait_for(|standing| standing.refused > 1)) => {
            assert_eq!(refused.unwrap().unwrap().taken, 0);
        }
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_by_the_edge_itself() {
    let state = State::with_rules(3);
    let node = Node::lets_in(1, &state, Letting::for_(Duration::from_secs(6)));
    let secret = state.token(1, None, now());
    let (came, disk) = come(&token(secret, &[&node]), "edge-1").await;
    let came = came.unwrap();
    let identity = came.identity().unwrap();
    let own = Arc::new(OwnCertificate::new("enrolled", came.term()));
    // The nodes that came with the certificate are gone; the edge knows of another one.
    let gone = vec!["127.0.0.1:9".to_owned()];
    let nodes = KnownNodes::new(vec![node.address.clone()], gone.clone());
    let mut stale = came.clone();
    stale.papers.nodes = gone;
    let renewing = tokio::spawn(keep_renewed(
        TokioNetwork,
        (Arc::new(SystemClock), Arc::new(SystemEntropy)),
        Folder(Arc::new(disk.clone())),
        (stale, identity.clone()),
        (Arc::clone(&own), nodes.clone()),
    ));
    let mut standing = own.subscribe();
    let renewed = timeout(PATIENCE, standing.wait_for(|standing| standing.taken >= 2)).await;
    let until_s = renewed.unwrap().unwrap().term.until_s;
    renewing.abort();
    assert!(until_s > came.papers.until_s);
    let kept = Folder(Arc::new(disk)).find().unwrap().unwrap();
    assert_eq!(kept.key, came.key);
    assert_eq!(kept.papers.until_s, until_s);
    assert_eq!(identity.term().unwrap().until_s, until_s);
    // And what the node told of takes the place of what was told before.
    assert_eq!(nodes.all(), [node.address.as_str()]);
}

#[tokio::test]
async fn a_renewal_that_no_node_answers_is_counted() {
    let state = State::with_rules(1);
    let node = Node::lets_in(1, &state, Letting::for_(Duration::from_secs(3)));
    let secret = state.token(1, None, now());
    let came = come(&token(secret, &[&node]), "edge-1").await.0.unwrap();
    let own = Arc::new(OwnCertificate::new("enrolled", came.term()));
    let identity = came.identity().unwrap();
    let renewing = tokio::spawn(keep_renewed(
        TokioNetwork,
        (Arc::new(SystemClock), Arc::new(SystemEntropy)),
        Folder(Arc::new(MemoryDirectory::default())),
        (came, identity),
        (Arc::clone(&own), KnownNodes::default()),
    ));
    let mut standing = own.subscribe();
    let counted = timeout(
        PATIENCE,
        standing.wait_for(|standing| standing.unavailable >= 1),
    );
    let counted = *counted.await.unwrap().unwrap();
    assert_eq!((counted.taken, counted.refused), (0, 0));
    renewing.abort();
}

/// A disk on which no certificate can be kept.
struct Failing(MemoryDirectory);

impl Directory for Failing {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read(name, offset, length)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if name == "identity.new" {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// Contract: D-64.
#[tokio::test]
async fn an_edge_that_dies_before_it_has_kept_its_certificate_asks_again_by_the_same_token() {
    let state = State::with_rules(1);
    let node = Node::lets_in(1, &state, Letting::for_(DAY));
    let token = token(state.token(1, None, now()), &[&node]);
    let disk = MemoryDirectory::default();
    let come_on = async |directory: Arc<dyn Directory>| {
        let folder = Folder(directory);
        let outside = (
            &SystemClock as &dyn Clock,
            Arc::new(SystemEntropy) as Arc<dyn Entropy>,
        );
        let coming = enrol(&TokioNetwork, outside, &folder, (&token, "edge-1"));
        timeout(PATIENCE, coming).await.unwrap()
    };
    let first = come_on(Arc::new(Failing(disk.clone()))).await;
    assert!(matches!(first, Err(EnrolError::Keep(_))), "{first:?}");
    let known = state.edge("edge-1").unwrap();
    // Another key does not get in by it.
    let other = come(&token, "edge-1").await.0;
    assert_eq!(refusal(other), "The token was used already.");
    let again = come_on(Arc::new(disk.clone())).await.unwrap();
    assert_eq!(state.edge("edge-1").unwrap(), known);
    let identity = again.identity().unwrap();
    let shown = EdgeCertificate::of(&identity.certificate().unwrap()).unwrap();
    assert!(known.admits(shown.key.map(|key| EdgePublicKey(key.0)).as_ref()));
    let mut edge = edge(&again, &[&node]);
    edge.applies(state.manifest()).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_certificate_that_ends_ends_its_connection() {
    let state = State::with_rules(3);
    let node = Node::lets_in(1, &state, Letting::for_(Duration::from_secs(4)));
    let secret = state.token(1, None, now());
    let came = come(&token(secret, &[&node]), "edge-1").await.0.unwrap();
    let mut edge = edge(&came, &[&node]);
    edge.applies(state.manifest()).await;
    let status = edge
        .until("loses its node", |status| status.trouble.is_some())
        .await;
    assert_eq!(status.welcomes, 1);
    assert!(now().0 / 1000 >= came.papers.until_s);
    edge.stop().await;
}

/// Connects as somebody else would.
async fn connect(node: &Node, tls: rustls::ClientConfig) -> Result<quinn::Connection, String> {
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let any = "127.0.0.1:0".parse().unwrap();
    let endpoint = TokioNetwork.quic(any, None).unwrap();
    let connecting = endpoint
        .connect_with(config, node.address.parse().unwrap(), NODE_SERVER_NAME)
        .unwrap();
    let connection = connecting.await.map_err(|error| error.to_string())?;
    // Whether it was taken shows when it is used.
    let (mut send, mut receive) = connection
        .open_bi()
        .await
        .map_err(|error| error.to_string())?;
    send.write_all(b"")
        .await
        .map_err(|error| error.to_string())?;
    let closed = timeout(Duration::from_secs(1), receive.read_chunk(1, true)).await;
    match closed {
        Ok(Err(error)) => Err(error.to_string()),
        _ => Ok(connection),
    }
}

#[tokio::test]
async fn who_shows_no_certificate_gets_to_the_desk_alone_and_only_where_there_is_one() {
    let state = State::with_rules(1);
    let open = Node::lets_in(1, &state, Letting::for_(DAY));
    let closed = Node::start(2, &state);
    let authorities = token([0; 32], &[]).authorities;
    let stranger = |alpn| Identity::stranger(&authorities, alpn).unwrap();
    assert!(connect(&closed, stranger(ALPN_ENROL)).await.is_err());
    assert!(connect(&closed, stranger(ALPN_EDGE)).await.is_err());
    assert!(connect(&open, stranger(ALPN_ENROL)).await.is_ok());
    assert!(connect(&open, stranger(ALPN_EDGE)).await.is_err());
    // What somebody shows is verified there, too.
    let other = TestAuthority::new("another");
    let mut pems = other.edge("edge-1");
    pems.ca = TestAuthority::default().node(1).ca;
    let shown = pems.identity().client(ALPN_ENROL).unwrap();
    assert!(connect(&open, shown).await.is_err());
    let node = TestAuthority::default().node(1).identity();
    assert!(
        connect(&open, node.client(ALPN_ENROL).unwrap())
            .await
            .is_err()
    );
}

/// Connects, and says nothing.
async fn silent(node: &Node, tls: rustls::ClientConfig) -> quinn::Connection {
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let any = "127.0.0.1:0".parse().unwrap();
    let endpoint = TokioNetwork.quic(any, None).unwrap();
    let address = node.address.parse().unwrap();
    let connecting = endpoint.connect_with(config, address, NODE_SERVER_NAME);
    connecting.unwrap().await.unwrap()
}

/// Why the node has closed a connection, in its words.
async fn why(connection: quinn::Connection) -> String {
    match timeout(PATIENCE, connection.closed()).await.unwrap() {
        quinn::ConnectionError::ApplicationClosed(closed) => {
            String::from_utf8_lossy(&closed.reason).into_owned()
        }
        other => other.to_string(),
    }
}

#[tokio::test]
async fn strangers_who_say_nothing_keep_no_edge_from_renewing_and_are_sent_away() {
    let state = State::with_rules(1);
    let node = Node::lets_in(1, &state, Letting::for_(DAY));
    let secret = state.token(1, None, now());
    let came = come(&token(secret, &[&node]), "edge-1").await.0.unwrap();
    let authorities = token([0; 32], &[]).authorities;
    let mut strangers = Vec::new();
    for _ in 0..70 {
        let tls = Identity::stranger(&authorities, ALPN_ENROL).unwrap();
        strangers.push(silent(&node, tls).await);
    }
    let identity = came.identity().unwrap();
    let renewing = identity.client(ALPN_ENROL).unwrap();
    connect(&node, renewing).await.unwrap();
    // One address has a part of the places alone, and those that have one do not keep it.
    let mut told = std::collections::BTreeMap::new();
    for stranger in strangers {
        *told.entry(why(stranger).await).or_insert(0) += 1;
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told["nothing was asked"] >= 16, "{told:?}");
    assert!(told["too many edges ask at once"] >= 1, "{told:?}");
    // There is room again.
    let secret = state.token(2, None, now());
    come(&token(secret, &[&node]), "edge-2").await.0.unwrap();
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let state = State::with_rules(1);
    let node = Node::crowded(1, &state, 2);
    let edges = || TestAuthority::default().edge("edge-1").identity();
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(silent(&node, edges().client(ALPN_EDGE).unwrap()).await);
    }
    let third = silent(&node, edges().client(ALPN_EDGE).unwrap()).await;
    assert_eq!(why(third).await, "too many connections from this address");
    for connection in open {
        connection.close(0_u32.into(), b"");
    }
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.manifest()).await;
    edge.stop().await;
}

/// Contract: D-64.
#[tokio::test]
async fn an_edge_gets_what_its_certificate_names_whatever_it_asks() {
    let state = State::with_rules(1);
    let node = Node::start(1, &state);
    for environment in ["sandbox", ""] {
        let mut maker = Maker::new("edge-1", &[&node]);
        maker.pems = TestAuthority::default().edge_of("edge-1", environment);
        let mut edge = maker.start();
        let status = edge
            .until("is refused", |status| status.trouble.is_some())
            .await;
        let trouble = status.trouble.unwrap();
        assert!(trouble.contains("no environment production"), "{trouble}");
        assert_eq!(status.welcomes, 0);
        edge.stop().await;
    }
}
