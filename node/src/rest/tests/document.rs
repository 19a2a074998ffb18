//! What the API document shows, request by request: its two curl examples and each of its samples.

use http::Method;
use serde_json::{Value, json};

use super::support::World;

/// Checks that `shown` has at least these fields, which is what a superset means to a client.
fn has(shown: &Value, fields: &[&str]) {
    for field in fields {
        assert!(shown.get(field).is_some(), "{field} is missing in {shown}");
    }
}

/// Contract: R-34, R-35, R-36.
#[tokio::test]
async fn the_example_that_creates_a_rule_works_as_printed() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let body = format!(
        r#"{{
    "route_id": "{route}",
    "name": "EU read traffic",
    "priority": 40,
    "match": {{ "region": ["eu-central-1"], "method": "GET" }},
    "action": {{ "type": "forward", "upstream_id": "{upstream}" }},
    "metadata": {{ "owner": "platform" }}
  }}"#
    );
    let created = world
        .request(Method::POST, "/v2/rules")
        .raw(body)
        .header("content-type", "application/json")
        .header("idempotency-key", "550e8400-e29b-41d4-a716-446655440000")
        .created()
        .await;
    assert!(created["id"].as_str().unwrap().starts_with("rule_"));
    assert_eq!(
        created["id"].as_str().unwrap().len(),
        "rule_01HY3K8M9PQ7RSUV3X5N9B".len()
    );
    assert_eq!(created["object"], "rule");
    assert_eq!(created["route_id"], route.as_str());
    assert_eq!(created["name"], "EU read traffic");
    assert_eq!(created["priority"], 40);
    assert_eq!(created["status"], "draft");
    assert_eq!(created["metadata"], json!({"owner": "platform"}));
    assert_eq!(created["created_at"], 1_714_320_000);
    assert_eq!(created["updated_at"], Value::Null);
    assert_eq!(
        created["match"].to_string(),
        r#"{"region":["eu-central-1"],"method":"GET"}"#
    );
    assert_eq!(
        created["action"].to_string(),
        format!(r#"{{"type":"forward","upstream_id":"{upstream}"}}"#)
    );
}

/// Contract: R-43, R-92, D-29.
#[tokio::test]
async fn the_example_that_patches_a_route_works_as_printed_and_gives_a_new_draft() {
    let world = World::new();
    let (balanced, upstream) = world.route("api.example.net").await;
    let printed = json!({ "mode": "cache_first" });
    // The config has to fit the mode, so a balanced route needs the fields of the new one too.
    let path = format!("/v2/routes/{balanced}");
    world
        .patch(&path, printed.clone())
        .fails(422, "invalid_config", Some("config.upstreams"))
        .await;
    let cached = json!({"origin_upstream_id": upstream, "cache": {"ttl_s": 60}});
    let mut config = cached.clone();
    config["upstreams"] = Value::Null;
    let whole = json!({"mode": "cache_first", "config": config});
    assert_eq!(world.patch(&path, whole).ok().await["config"], cached);
    // One that asks the origin first may have them already.
    let mut config = cached;
    config["fallback"] = json!({"upstream_id": upstream});
    let body = json!({"name": "Shop", "hostname": "shop.example.net", "mode": "origin_first", "config": config});
    let before = world.post("/v2/routes", body).created().await;
    let path = format!("/v2/routes/{}", before["id"].as_str().unwrap());
    let after = world.patch(&path, printed).ok().await;
    assert_eq!(
        (&after["mode"], &after["name"]),
        (&json!("cache_first"), &before["name"])
    );
    assert_ne!(after["draft_snapshot_id"], before["draft_snapshot_id"]);
    assert_eq!(after["pending_changes"], true);
    assert_eq!(after["updated_at"], 1_714_320_000);
}

/// Contract: R-31, R-32, R-33.
#[tokio::test]
async fn the_list_of_rules_has_the_sample_s_envelope_and_order() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for priority in [50, 40, 60] {
        world.rule(&route, priority).await;
    }
    world.publish(&route).await;
    let list = world.get("/v2/rules?limit=2&status=active").ok().await;
    assert_eq!(
        (&list["object"], &list["has_more"]),
        (&json!("list"), &json!(true))
    );
    assert!(list["next_cursor"].as_str().unwrap().starts_with("cur_"));
    let priorities: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["priority"].as_u64().unwrap())
        .collect();
    assert_eq!(priorities, [40, 50]);
    has(
        &list["data"][0],
        &[
            "id",
            "object",
            "route_id",
            "name",
            "priority",
            "status",
            "created_at",
            "updated_at",
        ],
    );
}

/// Contract: R-37, D-05, D-06, D-44.
#[tokio::test]
async fn a_retrieved_rule_has_history_and_publication_status() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    world.advance_ms(47_000);
    let snapshot = world.publish(&route).await;
    let shown = world.get(&format!("/v2/rules/{rule}")).ok().await;
    assert_eq!(shown["status"], "active");
    assert_eq!(
        shown["events"],
        json!([
            {"type": "created", "at": 1_714_320_000},
            {"type": "validated", "at": 1_714_320_000},
            {"type": "published", "at": 1_714_320_047},
        ])
    );
    assert_eq!(
        (&shown["published_at"], &shown["updated_at"]),
        (&json!(1_714_320_047), &json!(1_714_320_047))
    );
    assert_eq!(
        shown["publication"],
        json!({
            "status": "published",
            "snapshot_id": snapshot["id"],
            "published_at": 1_714_320_047,
            "pending_changes": false,
        })
    );
    let version = &shown["versions"][0];
    assert_eq!(
        (&version["version"], &version["snapshot_id"]),
        (&json!(1), &snapshot["id"])
    );
    assert_eq!(version["actor"], world.live_key_id.as_str());
    assert_eq!(shown["environment"], "production");
}

/// Contract: R-38, D-35.
#[tokio::test]
async fn archiving_a_rule_answers_as_the_sample_and_repeats_itself() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    world.advance_ms(5_000_000);
    let path = format!("/v2/rules/{rule}");
    let first = world.delete(&path).send().await;
    assert_eq!(first.status.as_u16(), 200);
    let archived = first.json();
    assert_eq!(
        (&archived["id"], &archived["object"]),
        (&json!(rule), &json!("rule"))
    );
    assert_eq!(
        (&archived["status"], &archived["archived_at"]),
        (&json!("archived"), &json!(1_714_325_000))
    );
    world.advance_ms(1_000);
    assert_eq!(world.delete(&path).send().await.bytes, first.bytes);
}

/// Contract: R-38, D-35.
#[tokio::test]
async fn a_rule_of_the_active_snapshot_cannot_be_archived() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    world.publish(&route).await;
    let path = format!("/v2/rules/{rule}");
    world.delete(&path).fails(422, "rule_published", None).await;
    world.patch(&path, json!({"status": "paused"})).ok().await;
    world.delete(&path).fails(422, "rule_published", None).await;
    world.publish(&route).await;
    assert_eq!(world.delete(&path).ok().await["status"], "archived");
}

/// Contract: R-41, D-04.
#[tokio::test]
async fn the_list_of_routes_has_the_sample_s_fields_and_all_routes() {
    let world = World::new();
    world.route("api.example.net").await;
    world.advance_ms(1000);
    world.route("assets.example.net").await;
    let list = world.get("/v2/routes").ok().await;
    assert_eq!(
        (&list["object"], &list["has_more"], &list["next_cursor"]),
        (&json!("list"), &json!(false), &Value::Null)
    );
    let hostnames: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["hostname"].clone())
        .collect();
    assert_eq!(hostnames, ["api.example.net", "assets.example.net"]);
    has(
        &list["data"][0],
        &[
            "id",
            "object",
            "name",
            "hostname",
            "mode",
            "enabled",
            "created_at",
            "updated_at",
        ],
    );
    assert_eq!(
        (&list["data"][0]["object"], &list["data"][0]["enabled"]),
        (&json!("route"), &json!(true))
    );
}

/// Contract: D-42.
#[tokio::test]
async fn the_quick_starts_that_leave_out_the_action_are_told_so() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let body = json!({
        "route_id": route,
        "name": "EU read traffic",
        "priority": 40,
        "match": {"region": ["eu-central-1"], "method": "GET"},
    });
    world
        .post("/v2/rules", body)
        .fails(400, "parameter_missing", Some("action"))
        .await;
}

/// Contract: R-60, R-62, D-50.
#[tokio::test]
async fn the_error_sample_is_what_a_disabled_route_answers() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    world.patch(&path, json!({"enabled": false})).ok().await;
    world.publish(&route).await;
    let body = super::support::fixed_rule(&route, 1);
    let reply = world
        .post("/v2/rules", body)
        .fails(422, "route_disabled", Some("route_id"))
        .await;
    assert_eq!(
        reply.json()["error"]["message"],
        "The specified route is currently disabled."
    );
}

/// Contract: R-62, D-36.
#[tokio::test]
async fn the_same_priority_twice_on_a_route_is_a_conflict_and_on_two_routes_is_not() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (other, _) = world.route("assets.example.net").await;
    world.rule(&route, 40).await;
    world.rule(&other, 40).await;
    world
        .post("/v2/rules", super::support::fixed_rule(&route, 40))
        .fails(400, "priority_conflict", Some("priority"))
        .await;
}
