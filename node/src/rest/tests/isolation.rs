//! What one key can learn of what belongs to another: nothing. Objects of another environment or
//! workspace are answered exactly like objects that never were.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

/// An error without what differs from request to request.
fn nameless(mut error: Value) -> Value {
    error["error"]["request_id"] = Value::Null;
    error
}

/// Every operation on one object, by the path with and without it.
fn operations(
    route: &str,
    rule: &str,
    upstream: &str,
    snapshot: &str,
) -> Vec<(Method, String, Value)> {
    let none = Value::Null;
    vec![
        (Method::GET, format!("/v2/rules/{rule}"), none.clone()),
        (
            Method::PATCH,
            format!("/v2/rules/{rule}"),
            json!({"name": "mine now"}),
        ),
        (Method::DELETE, format!("/v2/rules/{rule}"), none.clone()),
        (
            Method::GET,
            format!("/v2/rules?route_id={route}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/rules?upstream_id={upstream}"),
            none.clone(),
        ),
        (Method::POST, "/v2/rules".to_owned(), fixed_rule(route, 7)),
        (Method::GET, format!("/v2/routes/{route}"), none.clone()),
        (
            Method::PATCH,
            format!("/v2/routes/{route}"),
            json!({"name": "mine now"}),
        ),
        (Method::DELETE, format!("/v2/routes/{route}"), none.clone()),
        (
            Method::POST,
            format!("/v2/routes/{route}/publish"),
            none.clone(),
        ),
        (
            Method::POST,
            format!("/v2/routes/{route}/rollback"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/routes/{route}/snapshots"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/upstreams/{upstream}"),
            none.clone(),
        ),
        (
            Method::PATCH,
            format!("/v2/upstreams/{upstream}"),
            json!({"name": "mine now"}),
        ),
        (
            Method::DELETE,
            format!("/v2/upstreams/{upstream}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/snapshots?route_id={route}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/snapshots/{snapshot}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/snapshots/{snapshot}?include=content"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/snapshots/{snapshot}/diff/active"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/snapshots/draft/diff/active?route_id={route}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/v2/snapshots/{snapshot}/propagation"),
            none,
        ),
    ]
    .into_iter()
    .chain(changes_alone_and_of_several(
        route, rule, upstream, snapshot,
    ))
    .collect()
}

fn changes_alone_and_of_several(
    route: &str,
    rule: &str,
    upstream: &str,
    snapshot: &str,
) -> Vec<(Method, String, Value)> {
    let archive = json!({"operations": [{"op": "archive", "id": rule}]});
    let target = json!({"address": "127.0.0.1", "port": 8201});
    let asked = |method: Method, path: String| (method, path, Value::Null);
    vec![
        (
            Method::POST,
            format!("/v2/rules/{rule}/pause"),
            json!({"publish": true}),
        ),
        asked(Method::POST, format!("/v2/rules/{rule}/resume")),
        asked(Method::GET, format!("/v2/rules/{rule}/versions")),
        asked(Method::GET, format!("/v2/rules/{rule}/versions/1")),
        (Method::POST, "/v2/rules/batch".to_owned(), archive),
        (
            Method::POST,
            format!("/v2/routes/{route}/disable"),
            json!({"publish": true}),
        ),
        asked(Method::POST, format!("/v2/routes/{route}/enable")),
        asked(Method::POST, format!("/v2/routes/{route}/validate")),
        asked(Method::POST, format!("/v2/routes/{route}/purge")),
        (
            Method::POST,
            format!("/v2/routes/{route}/rules/reorder"),
            json!({"rule_ids": [rule]}),
        ),
        asked(Method::GET, format!("/v2/upstreams/{upstream}/targets")),
        (
            Method::POST,
            format!("/v2/upstreams/{upstream}/targets"),
            target,
        ),
        (
            Method::POST,
            format!("/v2/upstreams/{upstream}/shift"),
            json!({"from": "tgt_00000000", "to": "tgt_00000001", "steps": 1, "interval_s": 60}),
        ),
        asked(Method::DELETE, format!("/v2/upstreams/{upstream}/shift")),
        asked(Method::GET, format!("/v2/snapshots/{snapshot}/acks")),
        asked(Method::GET, format!("/v2/snapshots/{snapshot}/signature")),
    ]
}

/// Contract: D-09, D-13.
#[tokio::test(start_paused = true)]
async fn what_belongs_to_others_is_answered_like_what_never_was() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    let snapshot = world.publish(&route).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = world.control.applied();
    let theirs = operations(&route, &rule, &upstream, &snapshot);
    let absent = operations(
        "rt_00000000000000000000AA",
        "rule_00000000000000000000AA",
        "up_00000000000000000000AA",
        "snap_00000000000000000000AA",
    );
    for ((method, path, body), (_, no_path, no_body)) in theirs.into_iter().zip(absent) {
        // The strangers' plan does not allow many requests a minute.
        tokio::time::advance(Duration::from_secs(5)).await;
        for key in [&world.test, &world.stranger] {
            let ask = |path: &str, body: &Value| {
                let asking = world.request(method.clone(), path).key(key);
                if body.is_null() {
                    asking
                } else {
                    asking.json(body)
                }
            };
            let reply = ask(&path, &body).send().await;
            assert_eq!(
                reply.status.as_u16(),
                404,
                "{method} {path}: {}",
                reply.text()
            );
            assert_eq!(
                reply.json()["error"]["code"],
                "resource_not_found",
                "{method} {path}"
            );
            let absent = ask(&no_path, &no_body).send().await;
            assert_eq!(
                nameless(reply.json()),
                nameless(absent.json()),
                "{method} {path}"
            );
        }
    }
    // Refusals are log entries, but they change no object.
    assert!(world.control.applied() > before);
    assert_eq!(
        world.get(&format!("/v2/rules/{rule}")).ok().await["name"],
        "rule 40"
    );
}

#[tokio::test]
async fn lists_show_one_environment_alone() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.rule(&route, 40).await;
    world.publish(&route).await;
    for key in [&world.test, &world.stranger] {
        for path in [
            "/v2/rules",
            "/v2/routes",
            "/v2/upstreams",
            "/v2/snapshots",
            "/v2/edges",
        ] {
            assert_eq!(
                world.get(path).key(key).ok().await["data"],
                json!([]),
                "{path}"
            );
        }
    }
    // The same hostname and names may be had again in another environment.
    let upstream = json!({"name": "origin", "targets": [{"address": "127.0.0.1", "port": 8201}]});
    let upstream = world
        .post("/v2/upstreams", upstream)
        .key(&world.test)
        .created()
        .await;
    assert_eq!(upstream["environment"], "sandbox");
    let config = json!({"upstreams": [{"upstream_id": upstream["id"]}]});
    let route = json!({"name": "Public API", "hostname": "api.example.net", "mode": "balanced", "config": config});
    world
        .post("/v2/routes", route)
        .key(&world.test)
        .created()
        .await;
}

#[tokio::test]
async fn a_cursor_of_another_environment_is_refused() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for priority in 0..3 {
        world.rule(&route, priority).await;
    }
    let list = world.get("/v2/rules?limit=1").ok().await;
    let path = format!(
        "/v2/rules?limit=1&cursor={}",
        list["next_cursor"].as_str().unwrap()
    );
    world.get(&path).ok().await;
    for key in [&world.test, &world.stranger] {
        world
            .get(&path)
            .key(key)
            .fails(400, "invalid_cursor", Some("cursor"))
            .await;
    }
}

#[tokio::test]
async fn naming_another_environment_in_a_filter_finds_nothing() {
    let world = World::new();
    world.get("/v2/rules?environment=production").ok().await;
    world
        .get("/v2/rules?environment=sandbox")
        .fails(404, "resource_not_found", Some("environment"))
        .await;
}
