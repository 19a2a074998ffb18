//! Signing keys, as operators see and change them on a running cluster.

use std::time::Duration;

use node::consensus::membership::ClusterRequest;
use node::consensus::membership::command::Operator;
use platform::TokioNetwork;
use tokio::time::Instant;

use crate::commands::bootstrap;
use crate::world::World;

/// By when something that has to happen has happened, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn states(keys: &edge_protocol::signing::TrustDocument) -> Vec<&str> {
    keys.keys.iter().map(|key| key.state.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_list_rotate_and_retire_signing_keys() {
    let world = World::formed().await;
    let leader = world.leader().await;
    world
        .propose(leader, bootstrap())
        .await
        .unwrap()
        .reply
        .unwrap();
    let operator = Operator::new(
        TokioNetwork,
        &world.authority.node(1).identity(),
        &world.settings(1),
        "signing-keys rotate",
    )
    .unwrap();
    // The workspace was made without one; the leader sees to it.
    let deadline = Instant::now() + PATIENCE;
    let before = loop {
        match operator.signing_keys().await {
            Ok(keys) => break keys,
            Err(error) => assert!(Instant::now() < deadline, "no key comes: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(states(&before), ["active"]);
    let old = before.keys[0].key_id.clone();

    let retire = |key: &str| ClusterRequest::RetireSigningKey(key.to_owned());
    let refused = operator.ask(&retire(&old)).await.unwrap_err();
    assert!(refused.to_string().contains("rotate first"), "{refused}");
    let done = operator.change(&ClusterRequest::RotateSigningKey).await;
    assert!(done.unwrap().message.contains(&old));
    let overlap = operator.signing_keys().await.unwrap();
    assert_eq!(states(&overlap), ["trusted", "active"]);
    assert_eq!(overlap.keys[1].vouched_by.as_ref(), Some(&old));
    assert!(operator.change(&retire(&old)).await.unwrap().changed);
    let after = operator.signing_keys().await.unwrap();
    assert_eq!(states(&after), ["retired", "active"]);
    assert_eq!((before.serial, overlap.serial, after.serial), (1, 2, 3));
    for bad in ["", "0", "zz", &"0".repeat(32)] {
        let refused = operator.ask(&retire(bad)).await.unwrap_err();
        let refused = format!("{refused:?}");
        assert!(refused.contains("Refused"), "{bad}: {refused}");
    }

    let changes = operator.changes().await.unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| change.change.as_str())
        .collect();
    let new = &overlap.keys[1].key_id;
    assert_eq!(
        told,
        [
            format!("retire signing key {old}"),
            format!("sign with key {new}"),
            format!("sign with key {old}"),
        ]
    );
    assert_eq!(changes[0].by.path, "signing-keys rotate");
}
