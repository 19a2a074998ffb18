//! Changes that are only judged: the answer of the real one, and no trace.

use http::Method;
use serde_json::{Value, json};

use super::support::{Asking, Trouble, World, fixed_rule};

/// Every change, as a path that is given a query and what is sent.
fn changes(route: &str, upstream: &str, rules: [&str; 2]) -> Vec<(Method, String, Value)> {
    let config = json!({"upstreams": [{"upstream_id": upstream, "weight": 1}]});
    let new_route =
        json!({"name": "b", "hostname": "b.example.net", "mode": "balanced", "config": config});
    let new_upstream = json!({"name": "c", "targets": [{"address": "127.0.0.1", "port": 1}]});
    let [live, drafted] = rules;
    vec![
        (Method::POST, "/v2/rules".to_owned(), fixed_rule(route, 7)),
        (
            Method::PATCH,
            format!("/v2/rules/{live}"),
            json!({"priority": 8}),
        ),
        (Method::DELETE, format!("/v2/rules/{drafted}"), Value::Null),
        (Method::POST, "/v2/routes".to_owned(), new_route),
        (
            Method::PATCH,
            format!("/v2/routes/{route}"),
            json!({"name": "d"}),
        ),
        (Method::POST, "/v2/upstreams".to_owned(), new_upstream),
        (
            Method::PATCH,
            format!("/v2/upstreams/{upstream}"),
            json!({"name": "e"}),
        ),
        (
            Method::POST,
            format!("/v2/routes/{route}/publish"),
            Value::Null,
        ),
        (
            Method::POST,
            format!("/v2/routes/{route}/rollback"),
            Value::Null,
        ),
        // Refused, each for a reason in the state.
        (Method::POST, "/v2/rules".to_owned(), fixed_rule(route, 1)),
        (Method::DELETE, format!("/v2/rules/{live}"), Value::Null),
        (Method::DELETE, format!("/v2/routes/{route}"), Value::Null),
        (
            Method::DELETE,
            format!("/v2/upstreams/{upstream}"),
            Value::Null,
        ),
        (
            Method::PATCH,
            "/v2/rules/rule_00000000".to_owned(),
            json!({"name": "f"}),
        ),
        (
            Method::PATCH,
            format!("/v2/routes/{route}"),
            json!({"mode": "cache_first"}),
        ),
        // Refused by their form.
        (Method::POST, "/v2/rules".to_owned(), json!({})),
        (
            Method::PATCH,
            format!("/v2/rules/{live}"),
            json!({"nmae": "g"}),
        ),
    ]
}

fn ask<'a>(world: &'a World, method: &Method, path: &str, body: &Value) -> Asking<'a> {
    let asking = world.request(method.clone(), path);
    if body.is_null() {
        return asking;
    }
    asking.json(body)
}

/// What is shown, without what is drawn anew for each request: identifiers and the request's own.
fn substance(shown: &Value) -> Value {
    let mut shown = shown.clone();
    let is_drawn = |name: &str| ["id", "draft_snapshot_id", "request_id"].contains(&name);
    strip(&mut shown, &is_drawn);
    shown
}

fn strip(value: &mut Value, is_drawn: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !is_drawn(name));
            map.values_mut().for_each(|value| strip(value, is_drawn));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, is_drawn)),
        _ => {}
    }
}

#[tokio::test]
async fn a_dry_run_answers_like_the_real_call_and_leaves_nothing() {
    let fresh = async || {
        let world = World::new();
        let (route, upstream) = world.route("api.example.net").await;
        let live = world.rule(&route, 1).await;
        world.publish(&route).await;
        world
            .patch(&format!("/v2/rules/{live}"), json!({"name": "x"}))
            .ok()
            .await;
        world.publish(&route).await;
        let drafted = world.rule(&route, 2).await;
        let changes = changes(&route, &upstream, [&live, &drafted]);
        (world, changes)
    };
    let count = fresh().await.1.len();
    for number in 0..count {
        let (world, changes) = fresh().await;
        let (method, path, body) = &changes[number];
        let before = world.control.applied();
        let dry = ask(&world, method, &format!("{path}?dry_run=true"), body);
        let dry = dry.send().await;
        assert_eq!(world.control.applied(), before, "{method} {path}");
        assert_eq!(dry.header("etag"), None);
        assert_eq!(dry.revision(), before.0);
        let real = ask(&world, method, path, body).send().await;
        assert_eq!(dry.status, real.status, "{method} {path}: {}", dry.text());
        let (mut told, did) = (dry.json(), real.json());
        if real.status.is_success() {
            let mark = told.as_object_mut().unwrap().shift_remove("dry_run");
            assert_eq!(mark, Some(json!(true)), "{method} {path}");
            assert_eq!(did.get("dry_run"), None);
        }
        assert_eq!(substance(&told), substance(&did), "{method} {path}");
    }
}

#[tokio::test]
async fn a_dry_run_takes_no_idempotency_key_into_use() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let key = "550e8400-e29b-41d4-a716-446655440000";
    let ask = |path: &str, priority| {
        let asking = world.post(path, fixed_rule(&route, priority));
        asking.header("idempotency-key", key)
    };
    ask("/v2/rules?dry_run=true", 1).created().await;
    let real = ask("/v2/rules", 2).send().await;
    assert_eq!(
        (real.status.as_u16(), real.header("idempotent-replayed")),
        (201, None)
    );
    // Nor is it held to what the key was used for.
    let dry = ask("/v2/rules?dry_run=true", 3).send().await;
    assert_eq!(
        (dry.status.as_u16(), dry.header("idempotent-replayed")),
        (201, None)
    );
}

#[tokio::test]
async fn a_dry_run_keeps_preconditions_and_versions() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let path = format!("/v2/rules/{rule}?dry_run=true");
    let ask = || world.patch(&path, json!({"name": "a"}));
    ask()
        .header("if-match", "\"1\"")
        .fails(412, "precondition_failed", Some("If-Match"))
        .await;
    let old = ask().header("vectorgate-version", "2024-09-15").ok().await;
    assert_eq!((old.get("metadata"), &old["dry_run"]), (None, &json!(true)));
}

#[tokio::test]
async fn a_dry_run_is_asked_for_by_a_word_and_only_on_changes() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for bad in ["dry_run", "dry_run=", "dry_run=1", "dry_run=TRUE"] {
        world
            .post(&format!("/v2/rules?{bad}"), fixed_rule(&route, 1))
            .fails(400, "invalid_parameter", Some("dry_run"))
            .await;
    }
    let real = world.post("/v2/rules?dry_run=false", fixed_rule(&route, 1));
    assert_eq!(real.created().await.get("dry_run"), None);
    world
        .get("/v2/rules?dry_run=true")
        .fails(400, "unknown_parameter", Some("dry_run"))
        .await;
}

#[tokio::test]
async fn a_dry_run_without_a_leader_is_unavailable_and_never_unknown() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for trouble in [Trouble::NoLeader, Trouble::AnswersLost] {
        world.trouble(trouble);
        let asking = world.post("/v2/rules?dry_run=true", fixed_rule(&route, 1));
        match trouble {
            Trouble::NoLeader => drop(asking.fails(503, "cluster_unavailable", None).await),
            _ => drop(asking.created().await),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_is_cut_off_is_known_to_have_done_nothing() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.trouble(Trouble::Hangs);
    world
        .post("/v2/rules?dry_run=true", fixed_rule(&route, 1))
        .fails(503, "cluster_unavailable", None)
        .await;
}
