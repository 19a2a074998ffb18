//! The workspace, its environments, and when its keys were last used.

use http::Method;
use platform::SystemEntropy;
use serde_json::{Value, json};

use super::support::{Trouble, World};

/// Contract: D-14.
#[tokio::test]
async fn an_environment_is_made_with_a_name_of_its_own_and_is_empty() {
    let world = World::new();
    let (_, _) = world.route("api.example.net").await;
    let body = json!({"name": "staging", "kind": "test"});
    let made = world.post("/v2/environments", body.clone()).created().await;
    let expected = json!({
        "id": made["id"],
        "object": "environment",
        "name": "staging",
        "kind": "test",
        "created_at": 1_714_320_000,
    });
    assert_eq!(made, expected);
    let path = format!("/v2/environments/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&path).ok().await, expected);
    let again = world.post("/v2/environments", body);
    again
        .fails(422, "environment_name_taken", Some("name"))
        .await;
    let body = json!({"type": "test", "name": "first", "scopes": {"environments": ["staging"]}});
    let key = world.post("/v2/api_keys", body).created().await;
    let key = key["key"].as_str().unwrap();
    assert_eq!(
        world.get("/v2/routes").key(key).ok().await["data"],
        json!([])
    );
    for (body, code, param) in [
        (json!({"name": "x"}), "parameter_missing", "kind"),
        (json!({"kind": "live"}), "parameter_missing", "name"),
        (
            json!({"name": "x", "kind": "prod"}),
            "invalid_parameter",
            "kind",
        ),
        (
            json!({"name": "X", "kind": "live"}),
            "invalid_parameter",
            "name",
        ),
        (
            json!({"name": "x", "kind": "live", "id": "env_1"}),
            "unknown_parameter",
            "id",
        ),
    ] {
        let asking = world.post("/v2/environments", body);
        asking.fails(400, code, Some(param)).await;
    }
    let rename = world
        .request(Method::PATCH, &path)
        .json(&json!({"name": "other"}));
    rename.fails(405, "method_not_allowed", None).await;
    let live = world.post("/v2/environments", json!({"name": "x", "kind": "live"}));
    live.key(&world.test)
        .fails(403, "insufficient_scope", None)
        .await;
}

/// Contract: D-14.
#[tokio::test]
async fn environments_are_listed_by_creation_to_keys_that_reach_them() {
    let world = World::new();
    for (name, kind) in [("b", "test"), ("a", "live")] {
        world.advance_ms(1_000);
        let body = json!({"name": name, "kind": kind});
        world.post("/v2/environments", body).created().await;
    }
    let names = async |key: &str| {
        let (mut names, mut path) = (Vec::new(), "/v2/environments?limit=1".to_owned());
        loop {
            let list = world.get(&path).key(key).ok().await;
            let data = list["data"].as_array().unwrap();
            assert!(data.len() <= 1);
            names.extend(
                data.iter()
                    .map(|one| one["name"].as_str().unwrap().to_owned()),
            );
            let Some(cursor) = list["next_cursor"].as_str() else {
                return names;
            };
            path = format!("/v2/environments?limit=1&cursor={cursor}");
        }
    };
    let live = names(&world.live).await;
    assert_eq!(live.len(), 4);
    assert_eq!(live[2..], ["b", "a"]);
    assert_eq!(names(&world.test).await, ["sandbox", "b"]);
    let restricted = world.restricted(json!({"environments": ["a"]})).await;
    assert_eq!(names(&restricted).await, ["a"]);
}

#[tokio::test]
async fn a_workspace_is_renamed_by_live_keys_and_shows_its_limits() {
    let world = World::new();
    let before = world.get("/v2/workspace").ok().await;
    let expected = json!({
        "id": before["id"],
        "object": "workspace",
        "name": "main",
        "plan": "enterprise",
        "api_version": "2026-01-14",
        "created_at": 1_714_320_000,
        "updated_at": null,
    });
    assert_eq!(before, expected);
    let after = world
        .patch("/v2/workspace", json!({"name": "ours"}))
        .ok()
        .await;
    assert_eq!(
        (&after["name"], &after["updated_at"]),
        (&json!("ours"), &json!(1_714_320_000))
    );
    assert_eq!(
        world.get("/v2/workspace").key(&world.test).ok().await,
        after
    );
    let plan = world.patch("/v2/workspace", json!({"plan": "enterprise"}));
    plan.fails(400, "unknown_parameter", Some("plan")).await;
    let limits = json!({
        "object": "workspace_limits",
        "plan": "free",
        "environments": 2,
        "routes_per_environment": 3,
        "rules_per_route": 200_000,
        "targets_per_upstream": 256,
        "request_body_bytes": 262_144,
    });
    let theirs = world.get("/v2/workspace/limits").key(&world.stranger);
    assert_eq!(theirs.ok().await, limits);
}

#[tokio::test]
async fn usage_counts_what_is_there() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    world.rule(&route, 2).await;
    world.upstream().await;
    world.delete(&format!("/v2/rules/{rule}")).ok().await;
    world.publish(&route).await;
    let usage = world.get("/v2/workspace/usage").ok().await;
    let of = |name: &str, routes: u64, rules: u64, upstreams: u64, snapshots: u64| {
        json!({"environment": name, "routes": routes, "routes_limit": null, "rules": rules, "upstreams": upstreams,
            "snapshots": snapshots})
    };
    let environments = json!([of("production", 1, 1, 2, 1), of("sandbox", 0, 0, 0, 0)]);
    let expected =
        json!({"object": "workspace_usage", "plan": "enterprise", "environments": environments});
    assert_eq!(usage, expected);
    let test = world.get("/v2/workspace/usage").key(&world.test).ok().await;
    assert_eq!(test["environments"], json!([of("sandbox", 0, 0, 0, 0)]));
}

#[tokio::test]
async fn the_use_of_keys_is_reported_in_one_entry_and_shown() {
    let world = World::new();
    let report = || {
        world
            .key_uses
            .report(&*world.control, &*world.clock, &SystemEntropy)
    };
    let last_used = async || {
        let list = world.get("/v2/api_keys").ok().await;
        let keys = list["data"].as_array().unwrap().clone();
        keys.into_iter()
            .map(|key| key["last_used_at"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(last_used().await, [Value::Null, Value::Null]);
    world.get("/v2/rules").key(&world.test).ok().await;
    world.trouble(Trouble::NoLeader);
    report().await;
    world.trouble(Trouble::None);
    let before = world.control.applied().0;
    report().await;
    report().await;
    assert_eq!(world.control.applied().0, before + 1);
    assert_eq!(
        last_used().await,
        [json!(1_714_320_000), json!(1_714_320_000)]
    );
    world.advance_ms(5 * 60 * 1000);
    world.get("/v2/rules").key(&world.test).ok().await;
    report().await;
    let mut after = last_used().await;
    after.sort_by_key(Value::to_string);
    assert_eq!(after, [json!(1_714_320_000), json!(1_714_320_300)]);
}
