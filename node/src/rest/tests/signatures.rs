//! What the cluster states of snapshots, signed.

use domain::command::Stamped;
use domain::id::RequestId;
use domain::model::SigningKeyId;
use domain::query;
use domain::time::Timestamp;
use edge_protocol::signing::{SignatureDocument, TrustSet};
use serde_json::Value;

use super::support::{START_MS, World, keys};
use crate::control_plane::ControlPlane;
use crate::signing::{founding, next_key, retirement};

impl World {
    fn change_keys(&self, command: domain::command::Command) {
        let stamped = Stamped {
            at: Timestamp(START_MS),
            request_id: RequestId::new(platform::Entropy::seed(
                &*self.entropy,
                Timestamp(START_MS),
            )),
            idempotency: None,
            command,
            origin: Default::default(),
            precondition: None,
        };
        self.control.apply(&stamped).reply.unwrap();
    }

    fn signs(&self) {
        let founding = founding((&keys(), None), Timestamp(START_MS), &*self.entropy).unwrap();
        self.change_keys(founding);
    }

    /// Another key signs; the one before.
    fn rotates(&self) -> SigningKeyId {
        let control: &dyn ControlPlane = &*self.control;
        let (signing, _) = control.read_local(|view| query::signing(view)).unwrap();
        let signing = signing.unwrap();
        let (_, command) = next_key((&keys(), None), &signing, &*self.entropy).unwrap();
        self.change_keys(command);
        signing.active
    }

    fn trust(&self) -> TrustSet {
        let control: &dyn ControlPlane = &*self.control;
        let read = |view: &dyn domain::rows::View| {
            TrustSet::of(&query::signing(view).unwrap(), &query::signing_keys(view))
        };
        control.read_local(read).unwrap().0
    }
}

fn document(object: &Value) -> SignatureDocument {
    serde_json::from_value(object.clone()).unwrap()
}

#[tokio::test]
async fn a_snapshot_can_be_verified_without_any_node() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let first = world.publish(&route).await;
    world.rule(&route, 1).await;
    let second = world.publish(&route).await;
    let path = |snapshot: &Value| {
        format!(
            "/v2/snapshots/{}/signature",
            snapshot["id"].as_str().unwrap()
        )
    };
    world
        .get(&path(&first))
        .fails(503, "cluster_unavailable", None)
        .await;
    world.signs();
    let of_first = world.get(&path(&first)).ok().await;
    let of_second = world.get(&path(&second)).ok().await;
    assert_eq!(of_first["object"], "snapshot_signature");
    let said = &of_second["statement"];
    assert_eq!(said["snapshot_id"], second["id"]);
    assert_eq!(said["route_id"], Value::from(route));
    assert_eq!(said["version"], second["version"]);
    assert_eq!(said["content_hash"], second["content_hash"]);
    assert_eq!(said["previous_hash"], first["content_hash"]);
    let zeros = format!("sha256:{}", "0".repeat(64));
    assert_eq!(of_first["statement"]["previous_hash"], zeros);
    let trust = world.trust();
    for object in [&of_first, &of_second] {
        let statement = document(object).verify(Some(&trust)).unwrap();
        assert_eq!(hex::encode(statement.bytes()), object["canonical"]);
    }
    // Both are of the same cluster, and neither is the other.
    let mut swapped = of_first.clone();
    swapped["signature"] = of_second["signature"].clone();
    assert!(document(&swapped).verify(Some(&trust)).is_err());
    world
        .get("/v2/snapshots/snap_00000000/signature")
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn the_key_that_signs_now_signs_also_what_was_published_before() {
    let world = World::new();
    world.signs();
    let (route, _) = world.route("api.example.net").await;
    let snapshot = world.publish(&route).await;
    let path = format!(
        "/v2/snapshots/{}/signature",
        snapshot["id"].as_str().unwrap()
    );
    let before = world.get(&path).ok().await;
    let old = world.rotates();
    let after = world.get(&path).ok().await;
    assert_eq!(after["statement"], before["statement"]);
    assert_eq!(before["key_id"], old.to_string());
    assert_ne!(after["key_id"], before["key_id"]);
    let verify = |object: &Value| document(object).verify(Some(&world.trust()));
    assert!(verify(&before).is_ok() && verify(&after).is_ok());
    world.change_keys(retirement(old));
    assert!(verify(&before).is_err() && verify(&after).is_ok());
}
