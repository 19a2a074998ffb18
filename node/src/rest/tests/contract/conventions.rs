//! What holds for all operations: paths, keys, the shape of answers and of failures, and what is kept
//! under an idempotency key.

use axum::routing::MethodFilter;
use http::Method;
use serde_json::{Value, json};

use super::super::support::{Trouble, World, fixed_rule};
use crate::settings::LimitSettings;

const KEY: &str = "550e8400-e29b-41d4-a716-446655440000";

/// Contract: R-20, D-08.
#[tokio::test]
async fn paths_begin_with_the_version_once() {
    let world = World::new();
    world.get("/v2/rules").ok().await;
    for path in ["/rules", "/v2/v2/rules", "/v2.4/rules", "/V2/rules"] {
        world.get(path).fails(404, "resource_not_found", None).await;
    }
}

/// Contract: R-10.
#[tokio::test]
async fn every_operation_asks_for_a_key() {
    let world = World::new();
    let methods = [
        (MethodFilter::GET, Method::GET),
        (MethodFilter::POST, Method::POST),
        (MethodFilter::PATCH, Method::PATCH),
        (MethodFilter::DELETE, Method::DELETE),
    ];
    assert!(world.operations.len() > 50, "{}", world.operations.len());
    for (filter, operation) in &world.operations {
        let (_, method) = methods.iter().find(|(known, _)| known == filter).unwrap();
        let segments = operation.path.split('/').map(|segment| {
            let is_parameter = segment.starts_with('{');
            if is_parameter { "x" } else { segment }
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let asking = world.request(method.clone(), &path);
        asking
            .without("authorization")
            .fails(401, "invalid_api_key", None)
            .await;
    }
}

/// Contract: R-60, R-61, D-31.
#[tokio::test]
async fn failures_of_every_status_have_one_shape() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let rule = format!("/v2/rules/{rule}");
    let reader = world.restricted(json!({"methods": ["GET"]})).await;
    let new_rule = |priority| world.post("/v2/rules", fixed_rule(&route, priority));
    let used = new_rule(2).header("idempotency-key", KEY);
    used.created().await;
    let same_host = world.get(&format!("/v2/routes/{route}")).ok().await;
    let same_host = json!({"name": "r", "hostname": same_host["hostname"], "mode": "balanced", "config": same_host["config"]});
    let failures = [
        (
            world.post("/v2/rules", json!([])),
            400,
            "invalid_json",
            None,
        ),
        (
            world.post("/v2/rules", json!({"route_id": route})),
            400,
            "parameter_missing",
            Some("name"),
        ),
        (
            world.get(&rule).key("vg_live_sk_v2_x"),
            401,
            "invalid_api_key",
            None,
        ),
        (new_rule(3).key(&reader), 403, "insufficient_scope", None),
        (
            world.get("/v2/rules/rule_00000000"),
            404,
            "resource_not_found",
            None,
        ),
        (
            world.request(Method::PUT, "/v2/rules"),
            405,
            "method_not_allowed",
            None,
        ),
        (
            new_rule(4).header("idempotency-key", KEY),
            409,
            "idempotency_key_reused",
            None,
        ),
        (world.get("/v1/rules"), 410, "api_version_sunset", None),
        (
            world.delete(&rule).header("if-match", "\"0\""),
            412,
            "precondition_failed",
            Some("If-Match"),
        ),
        (
            world.post("/v2/rules", json!({})).raw("x".repeat(300_000)),
            413,
            "payload_too_large",
            None,
        ),
        (
            world.post("/v2/routes", same_host),
            422,
            "hostname_conflict",
            Some("hostname"),
        ),
    ];
    for (asking, status, code, param) in failures {
        asking.fails(status, code, param).await;
    }
    world.trouble(Trouble::Panics);
    new_rule(5).fails(503, "outcome_unknown", None).await;
    let read = world.get("/v2/rules");
    read.fails(500, "internal_error", None).await;
    world.trouble(Trouble::NoLeader);
    new_rule(5).fails(503, "cluster_unavailable", None).await;
    let busy = World::with_limits(LimitSettings {
        enterprise_requests_per_minute: 1,
        enterprise_route_mutations_per_minute: 1,
        ..LimitSettings::default()
    });
    busy.get("/v2/rules").ok().await;
    let refused = busy.get("/v2/rules");
    refused.fails(429, "rate_limit_exceeded", None).await;
}

/// One of each kind of object that can be changed: where it is, and how it was answered when it was
/// made, without what is shown that once.
async fn made(world: &World) -> Vec<(&'static str, Value)> {
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world.post("/v2/rules", fixed_rule(&route, 1)).created();
    let rule = rule.await;
    let hook = json!({"url": "https://hooks.example.net/in"});
    let mut hook = world.post("/v2/webhook_endpoints", hook).created().await;
    hook.as_object_mut().unwrap().shift_remove("secret");
    let key = json!({"type": "restricted", "name": "tooling"});
    let mut key = world.post("/v2/api_keys", key).created().await;
    key["key"] = Value::Null;
    let get = async |path: String| world.get(&path).ok().await;
    vec![
        ("/v2/rules", rule),
        ("/v2/routes", get(format!("/v2/routes/{route}")).await),
        (
            "/v2/upstreams",
            get(format!("/v2/upstreams/{upstream}")).await,
        ),
        ("/v2/webhook_endpoints", hook),
        ("/v2/api_keys", key),
    ]
}

fn path(list: &str, object: &Value) -> String {
    format!("{list}/{}", object["id"].as_str().unwrap())
}

/// Contract: D-07.
#[tokio::test]
async fn an_object_is_shown_whole_wherever_it_is_shown() {
    let world = World::new();
    for (list, object) in made(&world).await {
        assert_eq!(world.get(&path(list, &object)).ok().await, object);
        let all = world.get(list).ok().await;
        let all = all["data"].as_array().unwrap();
        assert!(all.contains(&object), "{object} is not in {all:?}");
    }
}

/// Checks that each time in a value is a whole number of seconds of these years.
fn check_times(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "at" || name.ends_with("_at") {
                    let seconds = value.as_u64().unwrap_or(1_714_320_000);
                    let known = value.is_null() || value.is_u64();
                    assert!(known && seconds / 1_000_000 == 1_714, "{name}: {value}");
                }
                check_times(value);
            }
        }
        Value::Array(values) => values.iter().for_each(check_times),
        _ => {}
    }
}

/// Contract: R-24, D-05.
#[tokio::test]
async fn times_are_whole_seconds_and_a_change_sets_the_last_one() {
    let world = World::new();
    let objects = made(&world).await;
    world.advance_ms(9_999);
    for (list, object) in objects {
        assert_eq!(object["created_at"], 1_714_320_000, "{object}");
        assert_eq!(object["updated_at"], Value::Null, "{object}");
        check_times(&world.get(list).ok().await);
        let change = match list {
            "/v2/webhook_endpoints" => json!({"description": "changed"}),
            _ => json!({"name": "changed"}),
        };
        let changed = world.patch(&path(list, &object), change).ok().await;
        assert_eq!(changed["created_at"], 1_714_320_000, "{changed}");
        assert_eq!(changed["updated_at"], 1_714_320_010, "{changed}");
        check_times(&changed);
    }
    for list in ["/v2/events", "/v2/audit_log", "/v2/environments"] {
        check_times(&world.get(list).ok().await);
    }
}

/// Contract: D-17.
#[tokio::test]
async fn limits_are_told_by_the_same_headers_under_every_version() {
    let world = World::new();
    for version in ["2020-01-01", "2025-03-05", "2025-08-20", "2026-01-14"] {
        let asking = world.get("/v2/rules");
        let reply = asking.header("vectorgate-version", version).send().await;
        for header in ["limit", "remaining", "reset"] {
            let value = reply.header(&format!("x-ratelimit-{header}"));
            assert!(value.is_some(), "{version}: {header}");
        }
    }
}

/// Contract: D-25.
#[tokio::test]
async fn what_the_state_never_judged_is_not_kept_under_the_key() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let reader = world.restricted(json!({"methods": ["GET"]})).await;
    let create = || {
        let asking = world.post("/v2/rules", fixed_rule(&route, 1));
        asking.header("idempotency-key", KEY)
    };
    let wrong = world.live.replace("live", "test");
    create()
        .key(&wrong)
        .fails(401, "invalid_api_key", None)
        .await;
    create()
        .key(&reader)
        .fails(403, "insufficient_scope", None)
        .await;
    create()
        .header("content-type", "text/plain")
        .fails(400, "invalid_content_type", Some("Content-Type"))
        .await;
    world.trouble(Trouble::NoLeader);
    create().fails(503, "cluster_unavailable", None).await;
    world.trouble(Trouble::None);
    let reply = create().send().await;
    assert_eq!(reply.status.as_u16(), 201, "{}", reply.text());
    assert_eq!(reply.header("idempotent-replayed"), None);
}
