//! Keys that secrets are sealed under, on running clusters: given, replaced, and missing.

use domain::model::KekId;
use node::assembly::StartError;
use node::consensus::membership::{ClusterReply, ClusterRequest, SecretsStatus};
use node::control_plane::ControlPlane;
use node::halt::FatalReason;
use node::keys::KeyRing;
use node::sealing::{Census, KekRing};
use tokio::time::Instant;

use crate::commands::{bootstrap, endpoint};
use crate::world::{PATIENCE, World, eventually, fate, pepper};

/// The cluster's pepper, and keys of so many equal bytes.
fn with(keks: &[u8]) -> KeyRing {
    let lines: Vec<_> = keks
        .iter()
        .map(|byte| format!("{byte:02x}").repeat(32))
        .collect();
    pepper(7).with_keks(KekRing::parse(&lines.join("\n")).unwrap())
}

fn id(kek: u8) -> KekId {
    with(&[kek]).keks().wanted().unwrap()
}

impl World {
    async fn start_with_keks(&mut self, node: u64, keks: &[u8]) -> crate::world::Fate {
        self.start_with(node, with(keks)).await.unwrap()
    }

    pub(crate) async fn secrets(&self) -> SecretsStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let node = *self.running().first().unwrap();
            match self.ask(node, ClusterRequest::Secrets).await {
                Ok(ClusterReply::Secrets(status)) => return *status,
                other => assert!(Instant::now() < deadline, "{other:?}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until that node leads.
    pub(crate) async fn led_by(&self, node: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.leader().await != node {
            // It is refused as long as the node has not caught up.
            let asked = self
                .ask(node, ClusterRequest::TransferLeader(Some(node)))
                .await;
            assert!(Instant::now() < deadline, "{asked:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until every running node has all secrets under that key.
    pub(crate) async fn settled(&self, kek: u8) {
        for node in self.running() {
            eventually("all secrets are under the key", || {
                let control: &dyn ControlPlane = &self.consensus(node);
                let (census, _) = control.read_local(|view| Census::of(view)).unwrap();
                (census.needs() == [id(kek)].into() && census.stale() == 0).then_some(())
            })
            .await;
        }
    }

    /// A cluster with secrets under the pepper, whose nodes have keys now.
    async fn sealed(keks: &[u8]) -> Self {
        let mut world = Self::new(3);
        for node in 1..=3 {
            world.start_with_keks(node, keks).await;
        }
        let leader = world.leader().await;
        let made = world.propose(leader, bootstrap()).await.unwrap();
        made.reply.unwrap();
        let made = world.propose(leader, endpoint(1, "https://hooks.example.net/"));
        made.await.unwrap().reply.unwrap();
        // The leader makes one when its time has come.
        eventually("there is a signing key", || {
            let control: &dyn ControlPlane = &world.consensus(leader);
            let read = control.read_local(|view| domain::query::signing(view));
            read.unwrap().0
        })
        .await;
        world
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_once_all_members_have_it_and_replaces_the_one_before() {
    let mut world = World::sealed(&[1]).await;
    let done = world.change(1, ClusterRequest::RewrapSecrets).await;
    assert!(done.message.contains(&id(1).to_string()), "{done:?}");
    world.settled(1).await;
    let status = world.secrets().await;
    assert_eq!(status.active, Some(id(1).to_string()));
    assert_eq!((status.left, status.unopened.len()), (0, 0));
    let counted = &status.secrets[0];
    assert_eq!(
        (counted.signing_keys, counted.webhook_secrets),
        (1, 1),
        "{status:?}"
    );
    let again = world.change(1, ClusterRequest::RewrapSecrets).await;
    assert!(!again.changed, "{again:?}");

    for node in [1, 2] {
        world.stop(node).await;
        world.start_with_keks(node, &[2, 1]).await;
        world.leader().await;
    }
    // Node 3 has only the old one, so nobody uses the new one, whatever the leader wants.
    world.led_by(1).await;
    let code = world.refused(1, ClusterRequest::RewrapSecrets).await;
    assert_eq!(code, "keys_not_ready");
    let status = world.secrets().await;
    assert_eq!(status.active, Some(id(1).to_string()));
    assert_eq!(status.wanted, Some(id(2).to_string()));
    assert!(
        status.waits_for[0].contains("node 3 lacks it"),
        "{status:?}"
    );
    world.stop(3).await;
    world.start_with_keks(3, &[2, 1]).await;
    // By itself: nobody asks for it.
    world.settled(2).await;
    assert!(world.metrics(1).contains("vectorgate_sealed_secrets{key="));
    for node in 1..=3 {
        world.stop(node).await;
        world.start_with_keks(node, &[2]).await;
        world.leader().await;
    }
    world.settled(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_key_that_secrets_need_does_not_start_and_none_joins() {
    let mut world = World::sealed(&[1]).await;
    world.change(1, ClusterRequest::RewrapSecrets).await;
    world.settled(1).await;
    let follower = world.follower().await;
    world.stop(follower).await;
    for keys in [pepper(7), with(&[2])] {
        let refused = world.start_with(follower, keys).await;
        let Err(StartError::Consensus(error)) = refused else {
            panic!("it started")
        };
        assert!(error.to_string().contains(&id(1).to_string()), "{error}");
        assert!(error.to_string().contains("security.kek_file"), "{error}");
        assert_eq!(StartError::Consensus(error).exit_code(), 64);
    }
    world.start_with_keks(follower, &[1, 2]).await;

    let newcomer = world.newcomer();
    let node = newcomer.id;
    world.start_with_keks(node, &[2]).await;
    let refused = world
        .ask(follower, ClusterRequest::Add(newcomer.clone()))
        .await;
    let refused = format!("{refused:?}");
    assert!(refused.contains("kek_file"), "{refused}");
    world.kill(node);
    world.start_with_keks(node, &[1]).await;
    world.change(follower, ClusterRequest::Add(newcomer)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_without_a_key_that_came_meanwhile_ends_and_says_which() {
    let mut world = World::sealed(&[1]).await;
    let away = world.follower().await;
    // It was asked, and is started again with other keys before it hears what came of it.
    world.stop(away).await;
    let end = world.start_with(away, pepper(7)).await.unwrap();
    let leader = world.leader().await;
    let activate = domain::command::ActivateKek {
        key: id(1),
        before: None,
    };
    let command = domain::command::Command::ActivateKek(activate);
    let stamped = domain::command::Stamped {
        command,
        ..bootstrap()
    };
    world.propose(leader, stamped).await.unwrap().reply.unwrap();
    assert_eq!(fate(end).await, FatalReason::Keks(vec![id(1)]));
}
