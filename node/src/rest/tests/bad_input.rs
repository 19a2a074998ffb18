//! Everything a client can get wrong, and what it is told.

use http::Method;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().unwrap().remove(field);
    body
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

/// Contract: R-34, D-27.
#[tokio::test]
async fn each_wrong_field_of_a_new_rule_is_named() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let good = || fixed_rule(&route, 1);
    let mut cases = Vec::new();
    for field in ["route_id", "name", "priority", "match", "action"] {
        cases.push((without(good(), field), 400, "parameter_missing", field));
    }
    for field in [
        "id",
        "status",
        "created_at",
        "published_at",
        "environment",
        "nmae",
    ] {
        cases.push((
            with(good(), field, json!("x")),
            400,
            "unknown_parameter",
            field,
        ));
    }
    for (field, value) in [
        ("route_id", json!(7)),
        ("name", json!(["x"])),
        ("name", json!("")),
        ("name", json!("x".repeat(201))),
        ("priority", json!("40")),
        ("priority", json!(-1)),
        ("priority", json!(1_000_001)),
        ("priority", json!(1.5)),
        ("priority", Value::Null),
        ("match", json!("all")),
        ("action", json!([])),
        ("metadata", json!("owner")),
    ] {
        cases.push((with(good(), field, value), 400, "invalid_parameter", field));
    }
    for (criteria, status, code, param) in [
        (
            json!({"regions": []}),
            400,
            "unknown_parameter",
            "match.regions",
        ),
        (
            json!({"region": [1]}),
            400,
            "invalid_parameter",
            "match.region[0]",
        ),
        (
            json!({"path": {"exact": "/a", "prefix": "/b"}}),
            400,
            "invalid_parameter",
            "match.path",
        ),
        (
            json!({"path": {"regex": "("}}),
            422,
            "validation_failed",
            "match.path.regex",
        ),
        (
            json!({"path": {"regex": "(a{1000}){1000}"}}),
            422,
            "validation_failed",
            "match.path.regex",
        ),
        (
            json!({"header": {"X-A": 1}}),
            400,
            "invalid_parameter",
            "match.header.X-A",
        ),
    ] {
        cases.push((with(good(), "match", criteria), status, code, param));
    }
    for (action, code, param) in [
        (json!({}), "parameter_missing", "action.type"),
        (json!({"type": "drop"}), "invalid_parameter", "action.type"),
        (
            json!({"type": "forward"}),
            "parameter_missing",
            "action.upstream_id",
        ),
        (
            json!({"type": "forward", "upstream_id": "rt_01HW2K1M"}),
            "invalid_parameter",
            "action.upstream_id",
        ),
        (
            json!({"type": "redirect", "url": "/a", "status": 200}),
            "invalid_parameter",
            "action.status",
        ),
        (
            json!({"type": "redirect", "url": "/a", "code": 302}),
            "unknown_parameter",
            "action.code",
        ),
        (
            json!({"type": "fixed_response", "status": 99}),
            "invalid_parameter",
            "action.status",
        ),
    ] {
        cases.push((with(good(), "action", action), 400, code, param));
    }
    cases.push((
        with(good(), "route_id", json!("rt_00000000000000000000AA")),
        404,
        "resource_not_found",
        "route_id",
    ));
    cases.push((
        with(good(), "route_id", json!("route-7")),
        404,
        "resource_not_found",
        "route_id",
    ));
    for (body, status, code, param) in cases {
        world
            .post("/v2/rules", body)
            .fails(status, code, Some(param))
            .await;
    }
    assert_eq!(world.get("/v2/rules").ok().await["data"], json!([]));
}

/// Contract: R-23.
#[tokio::test]
async fn bodies_that_are_not_json_objects_are_refused() {
    let world = World::new();
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{} {}",
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"\ud800"}"#,
        "{\"name\":\"\u{0}\"}",
    ] {
        let ask = world
            .request(Method::POST, "/v2/rules")
            .raw(bad.to_owned())
            .header("content-type", "application/json");
        ask.fails(400, "invalid_json", None).await;
    }
    let bomb = format!("{{\"match\":{}}}", "{\"a\":".repeat(10_000));
    let ask = world
        .request(Method::POST, "/v2/rules")
        .raw(bomb)
        .header("content-type", "application/json");
    ask.fails(400, "invalid_json", None).await;
}

/// Contract: R-14, R-23, D-26.
#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = |content_type: Option<&str>, priority: u32| {
        let asking = world
            .post("/v2/rules", fixed_rule(&route, priority))
            .without("content-type");
        match content_type {
            Some(value) => asking.header("content-type", value),
            None => asking,
        }
    };
    for bad in [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
    ] {
        ask(bad, 1)
            .fails(400, "invalid_content_type", Some("Content-Type"))
            .await;
    }
    ask(Some("application/json; charset=utf-8"), 1)
        .created()
        .await;
    ask(Some("Application/JSON"), 2).created().await;
    // Reads may carry the header; actions without a body need none.
    world
        .get("/v2/rules")
        .header("content-type", "application/json")
        .ok()
        .await;
    world.publish(&route).await;
    let odd = world
        .request(Method::POST, &format!("/v2/routes/{route}/publish"))
        .raw("{}");
    odd.fails(400, "invalid_content_type", Some("Content-Type"))
        .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let world = World::new();
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(256 * 1024));
    let ask = world
        .request(Method::POST, "/v2/rules")
        .raw(body)
        .header("content-type", "application/json");
    ask.fails(413, "payload_too_large", None).await;
}

/// Contract: D-01.
#[tokio::test]
async fn identifiers_that_are_unknown_or_impossible_are_not_found() {
    let world = World::new();
    for path in [
        "/v2/rules/rule_00000000000000000000AA",
        "/v2/rules/rt_00000000000000000000AA",
        "/v2/rules/x",
        "/v2/rules/rule_%2e%2e%2f%2e%2e%2f",
        "/v2/rules/rule_%ff%ff%ff%ff%ff%ff%ff%ff",
        "/v2/routes/rt_00000000",
        "/v2/upstreams/up_00000000",
        "/v2/snapshots/snap_00000000",
        "/v2/snapshots/snap_00000000/propagation",
        "/v2/routes/rt_00000000/snapshots",
        "/v2/snapshots/snap_00000000/diff/draft",
        "/v2/snapshots/now/diff/then",
    ] {
        world.get(path).fails(404, "resource_not_found", None).await;
    }
    world
        .get("/v2/rules?route_id=rt_00000000")
        .fails(404, "resource_not_found", Some("route_id"))
        .await;
    world
        .get("/v2/rules?upstream_id=7")
        .fails(404, "resource_not_found", Some("upstream_id"))
        .await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_told_in_the_same_shape() {
    let world = World::new();
    for path in [
        "/",
        "/v2",
        "/v2/",
        "/v2/rules/",
        "//v2/rules",
        "/v2/rule",
        "/v2/rules/x/y",
        "/v3/rules",
        "/v2/../v2/rules",
        "/v2/%2e%2e/rules",
    ] {
        world.get(path).fails(404, "resource_not_found", None).await;
    }
    for (method, path) in [
        (Method::PUT, "/v2/rules"),
        (Method::DELETE, "/v2/rules"),
        (Method::POST, "/v2/rules/rule_00000000"),
        (Method::GET, "/v2/routes/rt_00000000/publish"),
        (Method::OPTIONS, "/v2/rules"),
        (Method::TRACE, "/livez"),
    ] {
        let reply = world
            .request(method.clone(), path)
            .fails(405, "method_not_allowed", None)
            .await;
        assert!(reply.header("allow").is_some(), "{method} {path}");
    }
    // An override header overrides nothing.
    world
        .get("/v2/rules")
        .header("x-http-method-override", "DELETE")
        .ok()
        .await;
}

/// Contract: D-02, D-27, D-28.
#[tokio::test]
async fn query_parameters_are_checked_by_name_and_value() {
    let world = World::new();
    for (query, code, param) in [
        ("limit=0", "invalid_parameter", "limit"),
        ("limit=101", "invalid_parameter", "limit"),
        ("limit=abc", "invalid_parameter", "limit"),
        ("limit=", "invalid_parameter", "limit"),
        ("limit=5&limit=6", "invalid_parameter", "limit"),
        ("status=live", "invalid_parameter", "status"),
        ("status=", "invalid_parameter", "status"),
        (
            "include_archived=yes",
            "invalid_parameter",
            "include_archived",
        ),
        ("staus=draft", "unknown_parameter", "staus"),
        ("metadata=x", "unknown_parameter", "metadata"),
        ("cursor=", "invalid_cursor", "cursor"),
        (
            "cursor=cur_eyJpZCI6Im1zZ18wMUhYOUsifQ",
            "invalid_cursor",
            "cursor",
        ),
        ("cursor=abc", "invalid_cursor", "cursor"),
    ] {
        world
            .get(&format!("/v2/rules?{query}"))
            .fails(400, code, Some(param))
            .await;
    }
    world
        .get("/v2/rules/rule_00000000?expand=route")
        .fails(400, "unknown_parameter", Some("expand"))
        .await;
    let body = json!({});
    world
        .post("/v2/rules?dry=1", body)
        .fails(400, "unknown_parameter", Some("dry"))
        .await;
}

#[tokio::test]
async fn a_delete_with_a_body_that_asks_for_something_is_refused() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let path = format!("/v2/rules/{rule}");
    world
        .delete(&path)
        .json(&json!({"force": true}))
        .fails(400, "unknown_parameter", Some("force"))
        .await;
    world.delete(&path).json(&json!({})).ok().await;
}

#[tokio::test]
async fn a_request_identifier_of_the_client_is_never_taken_over() {
    let world = World::new();
    let reply = world
        .get("/v2/rules")
        .header("vectorgate-request-id", "req_mine")
        .send()
        .await;
    assert_ne!(reply.header("vectorgate-request-id"), Some("req_mine"));
}

#[tokio::test]
async fn head_is_judged_like_get() {
    let world = World::new();
    let reply = world.request(Method::HEAD, "/v2/rules").send().await;
    assert_eq!((reply.status.as_u16(), reply.bytes.len()), (200, 0));
    let stranger = world
        .request(Method::HEAD, "/v2/rules")
        .without("authorization");
    assert_eq!(stranger.send().await.status.as_u16(), 401);
}
