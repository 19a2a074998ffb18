//! What rules, routes, upstreams and snapshots promise beyond their shapes.

use http::Method;
use serde_json::{Map, Value, json};

use super::super::support::{World, fixed_rule};

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

async fn get(world: &World, path: &str) -> Value {
    world.get(path).ok().await
}

/// The types in a rule's history.
fn events(rule: &Value) -> Vec<&str> {
    let events = rule["events"].as_array().unwrap().iter();
    events
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// Contract: R-01.
#[tokio::test]
async fn routes_rules_and_upstreams_are_made_listed_changed_and_removed() {
    let world = World::new();
    let (route, used) = world.route("api.example.net").await;
    let (rule, unused) = (world.rule(&route, 1).await, world.upstream().await);
    for (list, id, count) in [
        ("/v2/rules", rule, 1),
        ("/v2/upstreams", unused, 2),
        ("/v2/routes", route, 1),
    ] {
        let path = format!("{list}/{id}");
        let before = get(&world, list).await;
        assert_eq!(before["data"].as_array().unwrap().len(), count, "{list}");
        let renamed = world.patch(&path, json!({"name": "renamed"})).ok().await;
        assert_eq!(get(&world, &path).await, renamed);
        assert_eq!(renamed["name"], "renamed");
        world.delete(&path).ok().await;
        let after = get(&world, list).await;
        let left = after["data"].as_array().unwrap();
        assert!(left.iter().all(|object| object["id"] != id), "{after}");
    }
    // The route that used it is gone.
    world.delete(&format!("/v2/upstreams/{used}")).ok().await;
}

/// Contract: R-40.
#[tokio::test]
async fn a_route_s_health_check_fallback_and_tls_are_kept_with_it_and_published() {
    let world = World::new();
    let upstream = world.upstream().await;
    let config = json!({
        "upstreams": [{"upstream_id": upstream, "weight": 1}],
        "health_check": {"path": "/healthz", "interval_s": 10, "unhealthy_threshold": 3},
        "fallback": {"action": {"type": "fixed_response", "status": 503}},
        "tls": {"policy": "flexible", "min_version": "1.2"},
    });
    let body =
        json!({"name": "r", "hostname": "api.example.net", "mode": "balanced", "config": config});
    let route = world.post("/v2/routes", body).created().await;
    assert_eq!(route["config"], config);
    let snapshot = world.publish(id(&route)).await;
    let path = format!("/v2/snapshots/{}?include=content", id(&snapshot));
    let content = get(&world, &path).await["content"].to_string();
    for part in ["/healthz", "unhealthy_threshold", "flexible", "503"] {
        assert!(content.contains(part), "{part} is not in {content}");
    }
}

/// Contract: D-06.
#[tokio::test]
async fn a_rule_was_published_when_its_last_publication_was() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/rules/{}", world.rule(&route, 1).await);
    for name in ["first", "second"] {
        world.advance_ms(5_000);
        world.patch(&path, json!({"name": name})).ok().await;
        world.publish(&route).await;
        let rule = get(&world, &path).await;
        let last = rule["events"].as_array().unwrap().last().unwrap();
        assert_eq!(last["type"], "published");
        assert_eq!(last["at"], rule["published_at"]);
        assert_eq!(rule["updated_at"], rule["published_at"]);
    }
}

/// Contract: D-37.
#[tokio::test]
async fn priorities_go_from_zero_to_a_million() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for priority in [0, 1_000_000] {
        world.rule(&route, priority).await;
    }
    let param = Some("priority");
    for bad in [json!(-1), json!(1_000_001), json!(0.5), json!("1")] {
        let mut body = fixed_rule(&route, 1);
        body["priority"] = bad;
        let asking = world.post("/v2/rules", body);
        asking.fails(400, "invalid_parameter", param).await;
    }
}

/// Contract: D-43.
#[tokio::test]
async fn labels_have_limits_in_number_and_length() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let labels = |count: usize, key: usize, value: usize| -> Value {
        let label = |number: usize| (format!("{number:0>key$}"), json!("x".repeat(value)));
        Value::Object((0..count).map(label).collect::<Map<_, _>>())
    };
    let with = |priority, labels: Value| {
        let mut body = fixed_rule(&route, priority);
        body["metadata"] = labels;
        world.post("/v2/rules", body)
    };
    let largest = labels(50, 40, 500);
    let made = with(1, largest.clone()).created().await;
    assert_eq!(made["metadata"], largest);
    for bad in [
        labels(51, 2, 1),
        labels(1, 41, 1),
        labels(1, 1, 501),
        json!({"": "x"}),
    ] {
        let param = Some("metadata");
        with(2, bad).fails(400, "invalid_parameter", param).await;
    }
    // One more is too many for a patch as well.
    world
        .patch(
            &format!("/v2/rules/{}", id(&made)),
            json!({"metadata": {"more": "x"}}),
        )
        .fails(400, "invalid_parameter", Some("metadata"))
        .await;
}

/// Contract: D-48.
#[tokio::test]
async fn every_change_gives_the_route_another_draft_and_the_one_before_is_over() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    let rule = world.rule(&route, 1).await;
    let mut before = get(&world, &path).await["draft_snapshot_id"].clone();
    let rule = format!("/v2/rules/{rule}");
    let changes = [
        world.post("/v2/rules", fixed_rule(&route, 2)),
        world.patch(&rule, json!({"priority": 3})),
        world.request(Method::POST, &format!("{rule}/pause")),
        world.delete(&rule),
        world.patch(&path, json!({"name": "renamed"})),
        world.patch(
            &format!("/v2/upstreams/{upstream}"),
            json!({"name": "renamed"}),
        ),
    ];
    for change in changes {
        let reply = change.send().await;
        assert!(reply.status.is_success(), "{}", reply.text());
        let after = get(&world, &path).await["draft_snapshot_id"].clone();
        assert_ne!(after, before, "{}", reply.text());
        let publish = format!("{path}/publish");
        world
            .post(&publish, json!({"snapshot_id": before}))
            .fails(412, "precondition_failed", Some("snapshot_id"))
            .await;
        before = after;
    }
}

/// Contract: D-54, R-71.
#[tokio::test]
async fn a_route_too_many_for_the_plan_is_refused_with_plan_and_limit() {
    let world = World::new();
    let body = json!({"name": "o", "targets": [{"address": "192.0.2.1", "port": 80}]});
    let upstream = world.post("/v2/upstreams", body).key(&world.stranger);
    let upstream = upstream.created().await;
    let create = |number: u32| {
        let config = json!({"upstreams": [{"upstream_id": upstream["id"]}]});
        let hostname = format!("r{number}.example.net");
        let body = json!({"name": "r", "hostname": hostname, "mode": "balanced", "config": config});
        world.post("/v2/routes", body).key(&world.stranger)
    };
    for number in 1..=3 {
        create(number).created().await;
    }
    let refused = create(4);
    let refused = refused.fails(422, "route_limit_exceeded", None).await;
    let message = refused.json()["error"]["message"].to_string();
    assert!(
        message.contains("free") && message.contains('3'),
        "{message}"
    );
}

/// Contract: D-39.
#[tokio::test]
async fn a_rule_that_does_not_pass_is_kept_and_says_why() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 1);
    body["action"] = json!({"type": "forward", "upstream_id": "up_01J2A8K6"});
    let made = world.post("/v2/rules", body).created().await;
    let failed = json!({
        "status": "failed",
        "errors": [{
            "code": "unknown_upstream",
            "message": "No such upstream: up_01J2A8K6",
            "param": "action",
        }],
    });
    assert_eq!(made["validation"], failed);
    assert_eq!(events(&made), ["created", "validation_failed"]);
    let path = format!("/v2/rules/{}", id(&made));
    assert_eq!(get(&world, &path).await["validation"], failed);
    let told = get(&world, "/v2/events?limit=2").await;
    assert_eq!(told["data"][0]["type"], "rule.validation_failed");
    assert_eq!(told["data"][1]["type"], "rule.created");
    assert_eq!(told["data"][0]["data"]["rule_id"], made["id"]);
    let publish = world.request(Method::POST, &format!("/v2/routes/{route}/publish"));
    publish.fails(422, "validation_failed", None).await;
    let action = json!({"type": "forward", "upstream_id": upstream});
    let good = world.patch(&path, json!({"action": action})).ok().await;
    assert_eq!(
        good["validation"],
        json!({"status": "passed", "errors": []})
    );
    world.publish(&route).await;
}

/// Contract: R-52, R-92.
#[tokio::test]
async fn making_publishing_and_rolling_back_are_events_with_their_documented_names() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let first = world.publish(&route).await;
    let rule = world.rule(&route, 1).await;
    let second = world.publish(&route).await;
    let back = world.request(Method::POST, &format!("/v2/routes/{route}/rollback"));
    let back = back.ok().await;
    let told = get(&world, "/v2/events?limit=5").await;
    let told: Vec<_> = told["data"].as_array().unwrap().iter().rev().collect();
    let types: Vec<_> = told
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "route.published",
            "rule.created",
            "rule.validated",
            "route.published",
            "route.rollback"
        ]
    );
    assert_eq!(told[1]["data"]["rule_id"], rule.as_str());
    assert_eq!(told[3]["data"]["snapshot_id"], second["id"]);
    let rollback = &told[4]["data"];
    assert_eq!(
        (&rollback["snapshot_id"], &rollback["source_snapshot_id"]),
        (&back["id"], &first["id"])
    );
}

/// Contract: D-46.
#[tokio::test]
async fn a_rollback_brings_archived_rules_back() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = format!("/v2/rules/{}", world.rule(&route, 1).await);
    let first = world.publish(&route).await;
    world.patch(&rule, json!({"status": "paused"})).ok().await;
    world.publish(&route).await;
    world.delete(&rule).ok().await;
    let rollback = format!("/v2/routes/{route}/rollback");
    let back = world.post(&rollback, json!({"version": 1})).ok().await;
    assert_eq!(
        (&back["version"], &back["source_snapshot_id"]),
        (&json!(3), &first["id"])
    );
    let restored = get(&world, &rule).await;
    assert_eq!(
        (&restored["status"], &restored["archived_at"]),
        (&json!("active"), &Value::Null)
    );
    assert!(events(&restored).contains(&"restored"), "{restored}");
}
