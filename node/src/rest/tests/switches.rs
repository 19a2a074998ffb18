//! Pausing, resuming, enabling and disabling, with and without making it live.

use http::Method;
use serde_json::{Value, json};

use super::support::World;

async fn content(world: &World, snapshot: &Value) -> Value {
    let path = format!(
        "/v2/snapshots/{}?include=content",
        snapshot.as_str().unwrap()
    );
    world.get(&path).ok().await["content"].clone()
}

#[tokio::test]
async fn pausing_without_a_body_is_a_change_of_the_draft() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    world.publish(&route).await;
    let path = format!("/v2/rules/{rule}");
    let paused = world
        .request(Method::POST, &format!("{path}/pause"))
        .ok()
        .await;
    assert_eq!(
        (
            &paused["object"],
            &paused["status"],
            &paused["snapshot_id"],
            &paused["publication"]["pending_changes"]
        ),
        (&json!("rule"), &json!("paused"), &json!(null), &json!(true))
    );
    let mut shown = paused;
    shown.as_object_mut().unwrap().remove("snapshot_id");
    assert_eq!(world.get(&path).ok().await, shown);
    let resumed = world
        .post(&format!("{path}/resume"), json!({"publish": false}))
        .ok()
        .await;
    assert_eq!(
        (
            &resumed["status"],
            &resumed["publication"]["pending_changes"]
        ),
        (&json!("active"), &json!(false))
    );
}

/// Contract: D-34.
#[tokio::test]
async fn an_emergency_pause_publishes_that_rule_and_nothing_else() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (burning, edited) = (world.rule(&route, 1).await, world.rule(&route, 2).await);
    let first = world.publish(&route).await;
    world
        .patch(&format!("/v2/rules/{edited}"), json!({"name": "half done"}))
        .ok()
        .await;
    let pause = format!("/v2/rules/{burning}/pause");
    let paused = world
        .post(&pause, json!({"publish": true, "comment": "it burns"}))
        .ok()
        .await;
    assert_eq!(
        (&paused["status"], &paused["publication"]["status"]),
        (&json!("paused"), &json!("unpublished"))
    );
    let snapshot = world
        .get(&format!(
            "/v2/snapshots/{}",
            paused["snapshot_id"].as_str().unwrap()
        ))
        .ok()
        .await;
    assert_eq!(
        (
            &snapshot["state"],
            &snapshot["version"],
            &snapshot["comment"],
            &snapshot["parent_id"]
        ),
        (
            &json!("published"),
            &json!(2),
            &json!("it burns"),
            &first["id"]
        )
    );
    let rules = &content(&world, &paused["snapshot_id"]).await["rules"];
    assert_eq!(rules.as_array().unwrap().len(), 1);
    assert_eq!(rules[0]["name"], "rule 2");
    assert_eq!(
        world.get(&format!("/v2/routes/{route}")).ok().await["pending_changes"],
        true
    );
    // Again, there is nothing to publish: the active snapshot is named.
    let again = world.post(&pause, json!({"publish": true})).ok().await;
    assert_eq!(again["snapshot_id"], paused["snapshot_id"]);
    let resumed = world
        .post(
            &format!("/v2/rules/{burning}/resume"),
            json!({"publish": true}),
        )
        .ok()
        .await;
    let back = world
        .get(&format!(
            "/v2/snapshots/{}",
            resumed["snapshot_id"].as_str().unwrap()
        ))
        .ok()
        .await;
    assert_eq!(back["content_hash"], first["content_hash"]);
}

#[tokio::test]
async fn a_retried_emergency_pause_answers_with_the_same_bytes() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    world.publish(&route).await;
    let asking = world
        .post(&format!("/v2/rules/{rule}/pause"), json!({"publish": true}))
        .header("idempotency-key", "550e8400-e29b-41d4-a716-446655440000");
    let (first, again) = (asking.clone().send().await, asking.send().await);
    assert_eq!((first.status.as_u16(), &first.bytes), (200, &again.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        world.get("/v2/snapshots").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_route_is_disabled_and_enabled_alone() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    world.publish(&route).await;
    world.patch(&path, json!({"name": "half done"})).ok().await;
    let disabled = world
        .post(&format!("{path}/disable"), json!({"publish": true}))
        .ok()
        .await;
    assert_eq!(
        (
            &disabled["object"],
            &disabled["enabled"],
            &disabled["pending_changes"],
            &disabled["active_version"]
        ),
        (&json!("route"), &json!(false), &json!(true), &json!(2))
    );
    assert_eq!(disabled["snapshot_id"], disabled["active_snapshot_id"]);
    let live = content(&world, &disabled["snapshot_id"]).await["route"].clone();
    assert_eq!(
        (&live["enabled"], &live["name"]),
        (&json!(false), &json!("Public API"))
    );
    let enabled = world
        .request(Method::POST, &format!("{path}/enable"))
        .ok()
        .await;
    assert_eq!(
        (&enabled["enabled"], &enabled["snapshot_id"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let pause = format!("/v2/rules/{rule}/pause");
    for (body, code, param) in [
        (json!({"comment": "x"}), "invalid_parameter", "comment"),
        (json!({"publish": "yes"}), "invalid_parameter", "publish"),
        (
            json!({"publish": true, "comment": "x".repeat(1001)}),
            "invalid_parameter",
            "comment",
        ),
        (json!({"force": true}), "unknown_parameter", "force"),
    ] {
        if body.get("comment").is_some_and(|text| text != "x") {
            world.publish(&route).await;
        }
        world.post(&pause, body).fails(400, code, Some(param)).await;
    }
    let (fresh, _) = world.route("fresh.example.net").await;
    let unpublished = world.rule(&fresh, 1).await;
    let path = format!("/v2/rules/{unpublished}/pause");
    world
        .post(&path, json!({"publish": true}))
        .fails(422, "snapshot_not_publishable", None)
        .await;
    world
        .request(Method::POST, &format!("{pause}?publish=true"))
        .fails(400, "unknown_parameter", Some("publish"))
        .await;
}
