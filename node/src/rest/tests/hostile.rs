//! Requests that are built to be taken for others, or to cost more than they should: whatever
//! spelling is tried, the decision is the canonical one's, or there is none.

use http::Method;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

#[tokio::test]
async fn no_header_or_parameter_changes_the_method() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let path = format!("/v2/rules/{rule}");
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let shown = world.get(&path).header(name, "DELETE").ok().await;
        assert_eq!(shown["status"], "draft");
        let refused = world.request(Method::POST, &path).header(name, "PATCH");
        refused.fails(405, "method_not_allowed", None).await;
    }
    world
        .get(&format!("{path}?_method=DELETE"))
        .fails(400, "unknown_parameter", Some("_method"))
        .await;
    assert_eq!(world.get(&path).ok().await["status"], "draft");
}

#[tokio::test]
async fn a_head_request_has_the_status_and_headers_of_its_get() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for path in [
        format!("/v2/routes/{route}"),
        "/v2/routes".to_owned(),
        "/v2/routes?limit=0".to_owned(),
        "/v2/routes/rt_00000000".to_owned(),
        "/nowhere".to_owned(),
        "/livez".to_owned(),
    ] {
        let shown = world.get(&path).send().await;
        let head = world.request(Method::HEAD, &path).send().await;
        assert_eq!(head.status, shown.status, "{path}");
        assert_eq!(head.bytes.len(), 0, "{path}");
        for name in ["etag", "content-type", "vectorgate-revision"] {
            assert_eq!(head.header(name), shown.header(name), "{path} {name}");
        }
    }
    for path in [
        format!("/v2/routes/{route}/publish"),
        "/v2/rules/x/y".to_owned(),
    ] {
        let head = world.request(Method::HEAD, &path).send().await;
        assert!([404, 405].contains(&head.status.as_u16()), "{path}");
    }
}

#[tokio::test]
async fn other_spellings_of_a_path_are_the_same_object_or_nothing() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let shown = world.get(&format!("/v2/routes/{route}")).send().await;
    // An identifier is decoded once, and then it is that identifier.
    let encoded = route.replacen('_', "%5F", 1);
    let same = world.get(&format!("/v2/routes/{encoded}")).send().await;
    assert_eq!((same.status.as_u16(), same.bytes), (200, shown.bytes));
    let stranger = world
        .get(&format!("/v2/routes/{encoded}"))
        .key(&world.stranger);
    stranger.fails(404, "resource_not_found", None).await;
    let twice = route.replacen('_', "%255F", 1);
    for path in [
        format!("/v2/routes/{twice}"),
        format!("/v2/routes/{route}/"),
        format!("/v2/routes//{route}"),
        format!("//v2/routes/{route}"),
        format!("/v2//routes/{route}"),
        format!("/v2/%72outes/{route}"),
        format!("/%762/routes/{route}"),
        format!("/V2/routes/{route}"),
        format!("/v2/Routes/{route}"),
        format!("/v2/rules/../routes/{route}"),
        format!("/v2/rules/%2e%2e/routes/{route}"),
        format!("/v2/rules/..%2froutes%2f{route}"),
        format!("/v2/routes/{route}%00"),
        format!("/v2/routes/{route}%2Fpublish"),
        format!("/v2/routes/{route};x=1"),
        format!("/v2/routes/{}", route.to_lowercase()),
        format!("/v2/routes%2F{route}"),
    ] {
        world
            .get(&path)
            .fails(404, "resource_not_found", None)
            .await;
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused_before_the_key_is_looked_at() {
    let world = World::new();
    let long = format!("/v2/rules?hostname={}", "a".repeat(33 * 1024));
    for asking in [world.get(&long), world.get(&long).without("authorization")] {
        asking.fails(414, "uri_too_long", None).await;
    }
    let big = "x".repeat(17 * 1024);
    let asking = world.get("/v2/rules").header("x-padding", &big);
    asking.fails(431, "headers_too_large", None).await;
    let mut asking = world.get("/v2/rules");
    for number in 0..101 {
        let name: &'static str = format!("x-{number}").leak();
        asking = asking.header(name, "1");
    }
    asking.fails(431, "headers_too_large", None).await;
    let fits = "x".repeat(15 * 1024);
    world.get("/v2/rules").header("x-padding", &fits).ok().await;
}

#[tokio::test]
async fn json_that_readers_disagree_about_is_refused() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let good = fixed_rule(&route, 1).to_string();
    let with = |field: &str| good.replacen('{', &format!("{{{field},"), 1);
    let arrays = format!("\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("\"x\":{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for body in [
        with(&arrays),
        with(&objects),
        with("\"name\":\"twice\""),
        with("\"metadata\":{\"a\":\"1\",\"a\":\"2\"}"),
        with("\"metadata\":{\"a\":\"1\",\"\\u0061\":\"2\"}"),
        with("\"metadata\":{\"a\":\"\\ud800\"}"),
        with("\"metadata\":{\"a\":\"\\udc00\\ud800\"}"),
        with("\"metadata\":{\"a\":\"\\u0000\"}"),
        with("\"metadata\":{\"\\u0000\":\"a\"}"),
        with("\"x\":1e400"),
        with("\"x\":-1e400"),
        with("\"x\":NaN"),
        with("\"x\":01"),
        with("/* a */\"x\":1"),
        format!("\u{feff}{good}"),
        format!("{good}{good}"),
        good.replace('"', "'"),
    ] {
        let asking = world
            .request(Method::POST, "/v2/rules")
            .raw(body)
            .header("content-type", "application/json");
        asking.fails(400, "invalid_json", None).await;
    }
    // Many keys are as many unknown fields, and told as one.
    let many: String = (0..20_000)
        .map(|number| format!("\"k{number}\":1,"))
        .collect();
    let body = good.replacen('{', &format!("{{{many}"), 1);
    let asking = world
        .request(Method::POST, "/v2/rules")
        .raw(body)
        .header("content-type", "application/json");
    asking.fails(400, "unknown_parameter", Some("k0")).await;
    assert_eq!(world.get("/v2/rules").ok().await["data"], json!([]));
}

#[tokio::test]
async fn compressed_bodies_are_not_unpacked() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    // The magic number of gzip, and the header that announces it.
    let asking = world
        .request(Method::POST, "/v2/rules")
        .raw(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0])
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    asking.fails(400, "invalid_json", None).await;
    assert_ne!(route, "");
}

#[tokio::test]
async fn what_the_server_owns_cannot_be_written() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    for path in [
        format!("/v2/rules/{rule}"),
        format!("/v2/routes/{route}"),
        format!("/v2/upstreams/{upstream}"),
    ] {
        let before = world.get(&path).send().await.bytes;
        for field in [
            "id",
            "object",
            "environment",
            "workspace_id",
            "created_at",
            "updated_at",
            "published_at",
            "created_by",
            "revision",
            "dry_run",
        ] {
            let mut body = json!({"name": "renamed"});
            body[field] = json!("x");
            world
                .patch(&path, body)
                .fails(400, "unknown_parameter", Some(field))
                .await;
        }
        assert_eq!(world.get(&path).send().await.bytes, before);
    }
}

#[tokio::test]
async fn a_request_identifier_is_always_the_server_s() {
    let world = World::new();
    for name in [
        "vectorgate-request-id",
        "x-request-id",
        "request-id",
        "traceparent",
    ] {
        let reply = world
            .get("/v2/rules?limit=0")
            .header(name, "req_mine")
            .send()
            .await;
        assert!(!reply.text().contains("req_mine"));
        for (_, value) in &reply.headers {
            assert_ne!(value, "req_mine", "{name}");
        }
    }
}

#[tokio::test]
async fn browsers_of_other_origins_are_given_nothing() {
    let world = World::new();
    let preflight = world
        .request(Method::OPTIONS, "/v2/rules")
        .header("origin", "https://example.org")
        .header("access-control-request-method", "POST");
    let refused = preflight.fails(405, "method_not_allowed", None).await;
    let read = world
        .get("/v2/rules")
        .header("origin", "https://example.org")
        .send()
        .await;
    for reply in [refused, read] {
        let names = reply.headers.keys();
        assert!(
            names
                .into_iter()
                .all(|name| !name.as_str().starts_with("access-control"))
        );
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_it_takes() {
    let world = World::new();
    for (method, path, allow) in [
        (Method::PUT, "/v2/rules", "GET,HEAD,POST"),
        (
            Method::PUT,
            "/v2/rules/rule_00000000",
            "GET,HEAD,PATCH,DELETE",
        ),
        (Method::GET, "/v2/routes/rt_00000000/publish", "POST"),
        (Method::POST, "/livez", "GET,HEAD"),
    ] {
        for key in [true, false] {
            let asking = world.request(method.clone(), path);
            let asking = if key {
                asking
            } else {
                asking.without("authorization")
            };
            let reply = asking.fails(405, "method_not_allowed", None).await;
            assert_eq!(reply.header("allow"), Some(allow), "{path}");
            assert_eq!(reply.json()["error"]["param"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_diff_of_very_much_is_refused_and_one_of_little_in_much_is_not() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 0);
    body["action"]["status"] = 200.into();
    body["action"]["body"] = "x".repeat(64 * 1024).into();
    for priority in 0..260 {
        body["priority"] = priority.into();
        world.post("/v2/rules", body.clone()).created().await;
    }
    let diff = format!("/v2/snapshots/active/diff/draft?route_id={route}");
    for format in ["json", "text"] {
        world
            .get(&format!("{diff}&format={format}"))
            .fails(422, "response_too_large", None)
            .await;
    }
    world.publish(&route).await;
    let path = format!("/v2/routes/{route}");
    world.patch(&path, json!({"name": "renamed"})).ok().await;
    assert_eq!(world.get(&diff).ok().await["identical"], false);
}
