//! Keys of a cluster whose pepper is changed: those that there are work as before and move when they are used, and new ones are
//! under the new one.

use std::sync::atomic::Ordering;

use domain::command::{ActivatePepper, Command, Stamped};
use domain::id::RequestId;
use domain::model::PepperId;
use domain::query;
use platform::{Clock, Entropy};
use serde_json::{Value, json};

use super::support::{Asking, World};
use crate::keys::KeyRing;
use crate::sealing::KekRing;

const RETRY: &str = "550e8400-e29b-41d4-a716-446655440000";

/// Peppers of so many equal bytes.
fn peppers(bytes: &[u8]) -> KeyRing {
    let lines = bytes.iter().map(|byte| format!("{byte:02x}").repeat(32));
    let ring = KeyRing::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    ring.with_keks(KekRing::parse(&"05".repeat(32)).unwrap())
}

fn id(pepper: u8) -> PepperId {
    peppers(&[pepper]).wanted()
}

impl World {
    fn activate_pepper(&self, pepper: u8, before: u8) {
        self.control.seal_under_a_key();
        let at = self.clock.now();
        let activate = ActivatePepper {
            pepper: id(pepper),
            before: id(before),
        };
        let stamped = Stamped {
            at,
            request_id: RequestId::new(self.entropy.seed(at)),
            idempotency: None,
            command: Command::ActivatePepper(activate),
            origin: Default::default(),
            precondition: None,
        };
        self.control.apply(&stamped).reply.unwrap();
    }

    /// How many keys are hashed under a pepper.
    fn under(&self, pepper: u8) -> u64 {
        let uses = query::pepper_uses(&self.control.rows());
        uses.get(&id(pepper)).map_or(0, |uses| uses.api_keys)
    }

    async fn move_keys(&self) {
        let (clock, entropy) = (&*self.clock, &*self.entropy);
        self.key_uses
            .report_moves(&*self.control, clock, entropy)
            .await;
    }

    /// A request with that key.
    fn with_key(&self, key: &str) -> Asking<'_> {
        self.get("/v2/rules").key(key)
    }
}

/// One that began with the pepper 7 and has 8 now, which its node knows.
fn changed() -> World {
    let keys = peppers(&[7, 8]);
    let world = World::with_keys(keys.clone());
    world.activate_pepper(8, 7);
    assert_eq!(keys.follow(&world.control.rows()), Ok(Some(id(8))));
    world
}

/// Contract: D-11.
#[tokio::test]
async fn a_key_works_after_the_pepper_was_changed_moves_when_it_is_used_and_outlives_the_old_one() {
    let world = changed();
    let all = world.under(7);
    assert_eq!(world.under(8), 0);
    let before = query::api_key(&world.control.rows(), &world.live_key_id);
    world.get("/v2/rules").ok().await;
    world.get("/v2/rules").ok().await;
    // Nothing is told on the way of a request.
    assert_eq!((world.under(7), world.under(8)), (all, 0));
    world.move_keys().await;
    assert_eq!((world.under(7), world.under(8)), (all - 1, 1));
    let mut after = query::api_key(&world.control.rows(), &world.live_key_id).unwrap();
    let before = before.unwrap();
    assert_ne!(after.hash, before.hash);
    after.hash = before.hash;
    assert_eq!(after, before);
    // It moves once.
    let applied = world.control.applied();
    world.get("/v2/rules").ok().await;
    world.move_keys().await;
    assert_eq!(world.control.applied(), applied);

    let (live, test) = (world.live.clone(), world.test.clone());
    let keys = peppers(&[8]);
    assert_eq!(keys.follow(&world.control.rows()), Ok(Some(id(8))));
    let world = world.served_with(keys);
    world.with_key(&live).ok().await;
    // One that did not move is refused without the pepper that it is under, and works again with it.
    world
        .with_key(&test)
        .fails(401, "invalid_api_key", None)
        .await;
    let both = peppers(&[8, 7]);
    let world = world.served_with(both);
    world.with_key(&test).ok().await;
}

#[tokio::test]
async fn a_key_that_has_not_moved_is_refused_once_it_is_revoked_and_costs_no_barrier() {
    let world = changed();
    let made = world
        .post("/v2/api_keys", json!({"type": "live", "name": "another"}))
        .created()
        .await;
    let live = world.live_key_id.clone();
    world.get("/v2/rules").ok().await;
    let barriers = world.control.barriers.load(Ordering::Relaxed);
    let stale = || {
        world
            .get("/v2/rules")
            .header("vectorgate-consistency", "stale")
    };
    stale().ok().await;
    assert_eq!(world.control.barriers.load(Ordering::Relaxed), barriers);
    world.revoke(&live);
    stale().fails(401, "invalid_api_key", None).await;
    // What waits to move of a revoked key does no harm.
    world.move_keys().await;
    stale().fails(401, "invalid_api_key", None).await;
    let key = made["key"].as_str().unwrap();
    world.with_key(key).ok().await;
}

#[tokio::test]
async fn a_key_that_moves_while_a_request_with_it_waits_serves_that_request() {
    let world = changed();
    world.get("/v2/rules").ok().await;
    world.move_keys().await;
    // Remembered by the hash that it had.
    world.get("/v2/rules").ok().await;
    assert_eq!(world.under(8), 1);
}

#[tokio::test]
async fn what_is_made_is_hashed_under_the_active_pepper_and_shown_to_a_retry() {
    let world = changed();
    let create = || {
        let body = json!({"type": "restricted", "name": "tooling", "scopes": {}});
        world
            .post("/v2/api_keys", body)
            .header("idempotency-key", RETRY)
    };
    let made = create().created().await;
    assert_eq!(world.under(8), 1);
    assert_eq!(create().created().await, made);
    let key = made["key"].as_str().unwrap().to_owned();
    let roll = format!("/v2/api_keys/{}/roll", made["id"].as_str().unwrap());
    let rolled = world.post(&roll, json!({})).ok().await;
    assert_eq!(world.under(8), 2);
    for key in [&key, rolled["key"].as_str().unwrap()] {
        world.with_key(key).ok().await;
    }
    let token = world
        .post("/v2/edge_tokens", json!({"region": "eu"}))
        .created()
        .await;
    assert!(token["token"].is_string(), "{token}");
    let uses = query::pepper_uses(&world.control.rows());
    assert_eq!(uses[&id(8)].join_tokens, 1);
}

#[tokio::test]
async fn a_retry_after_the_pepper_went_that_a_key_was_made_of_is_answered_without_its_text() {
    let world = World::with_keys(peppers(&[7]));
    let create = async |world: &World| {
        let body = json!({"type": "live", "name": "another"});
        let asking = world.post("/v2/api_keys", body);
        asking.header("idempotency-key", RETRY).created().await
    };
    let made = create(&world).await;
    assert!(made["key"].is_string(), "{made}");
    world.activate_pepper(8, 7);
    let keys = peppers(&[8, 7]);
    keys.follow(&world.control.rows()).unwrap();
    let world = world.served_with(keys);
    let again = create(&world).await;
    assert_eq!(again, made);
    world.move_keys().await;
    let keys = peppers(&[8]);
    keys.follow(&world.control.rows()).unwrap();
    let world = world.served_with(keys);
    let late = create(&world).await;
    assert_eq!((&late["id"], &late["key"]), (&made["id"], &Value::Null));
}
