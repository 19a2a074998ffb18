//! Releases by date: what an older pin changes in requests and responses, and what is left of v1.

use http::Method;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

const HEADER: &str = "vectorgate-version";

/// Whether a date names a release, as the header of every response does.
pub(super) fn is_release(date: &str) -> bool {
    ["2024-09-15", "2025-03-05", "2025-08-20", "2026-01-14"].contains(&date)
}

/// Contract, D-16.
#[tokio::test]
async fn the_release_that_a_date_means_is_told_on_every_response() {
    let world = World::new();
    for (date, release) in [
        ("2024-09-15", "2024-09-15"),
        ("2020-02-29", "2024-09-15"),
        ("2025-03-05", "2025-03-05"),
        ("2025-08-19", "2025-03-05"),
        ("2026-01-13", "2025-08-20"),
        ("2026-01-14", "2026-01-14"),
    ] {
        let asked = [
            world.get("/v2/rules"),
            world.get("/v2/rules").without("authorization"),
            world.get("/v2/rules?limit=0"),
            world.get("/v2/rules/rule_00000000"),
            world.get("/nowhere"),
            world.get("/livez"),
            world.request(Method::PUT, "/v2/rules"),
            world.post("/v2/rules", json!({})),
            world.get("/v1/rules"),
        ];
        for asking in asked {
            let reply = asking.header(HEADER, date).send().await;
            assert_eq!(reply.header(HEADER), Some(release), "{date}");
        }
    }
    let plain = world.get("/v2/rules").send().await;
    assert_eq!(plain.header(HEADER), Some("2026-01-14"));
}

/// Contract: D-16.
#[tokio::test]
async fn a_version_that_cannot_be_is_refused_before_anything_else() {
    let world = World::new();
    // The world's clock stands in April 2024.
    for bad in ["", "2.4", "v2", "2026-1-14", "2025-02-29", "2026-01-15"] {
        let asking = world.get("/v2/rules").header(HEADER, bad);
        let reply = asking
            .fails(400, "invalid_api_version", Some("VectorGate-Version"))
            .await;
        assert_eq!(reply.header(HEADER), Some("2026-01-14"), "{bad}");
    }
    // 2026-01-16.
    world.advance_ms(1_768_521_600_000 - super::support::START_MS);
    world
        .get("/v2/rules")
        .header(HEADER, "2026-01-15")
        .ok()
        .await;
}

/// Contract.
#[tokio::test]
async fn rules_have_no_labels_for_pins_before_they_came() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 1);
    body["metadata"] = json!({"owner": "platform"});
    world
        .post("/v2/rules", body.clone())
        .header(HEADER, "2025-03-04")
        .fails(400, "unknown_parameter", Some("metadata"))
        .await;
    let made = world
        .post("/v2/rules", body)
        .header(HEADER, "2025-03-05")
        .created()
        .await;
    assert_eq!(made["metadata"], json!({"owner": "platform"}));
    let path = format!("/v2/rules/{}", made["id"].as_str().unwrap());
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().shift_remove("metadata");
    expected["versions"][0]["changed_fields"] = json!(["name", "priority", "match", "action"]);
    let old = world.get(&path).header(HEADER, "2024-09-15").ok().await;
    assert_eq!(old, expected);
    let list = world
        .get("/v2/rules")
        .header(HEADER, "2024-09-15")
        .ok()
        .await;
    assert_eq!(list["data"], json!([expected]));
    let versions = format!("{path}/versions/1");
    let version = world.get(&versions).header(HEADER, "2024-09-15").ok().await;
    let fields = json!(["name", "priority", "match", "action"]);
    assert_eq!(version["changed_fields"], fields);
    assert_eq!(version["changes"].as_array().unwrap().len(), 4);
    let operations = json!([{"op": "update", "id": made["id"], "metadata": {}}]);
    world
        .post("/v2/rules/batch", json!({"operations": operations}))
        .header(HEADER, "2025-03-04")
        .fails(400, "unknown_parameter", Some("operations[0].metadata"))
        .await;
    // A change by an older client keeps what it does not see.
    let patched = world
        .patch(&path, json!({"name": "renamed"}))
        .header(HEADER, "2024-09-15")
        .ok()
        .await;
    assert_eq!(patched.get("metadata"), None);
    assert_eq!(world.get(&path).ok().await["metadata"], made["metadata"]);
}

/// Contract.
#[tokio::test]
async fn the_mode_cache_first_can_be_asked_for_since_it_came() {
    let world = World::new();
    let upstream = world.upstream().await;
    let config = json!({"origin_upstream_id": upstream, "cache": {"ttl_s": 60}});
    let body =
        json!({"name": "a", "hostname": "a.example.net", "mode": "cache_first", "config": config});
    world
        .post("/v2/routes", body.clone())
        .header(HEADER, "2025-03-04")
        .fails(400, "invalid_parameter", Some("mode"))
        .await;
    world
        .post("/v2/routes", body)
        .header(HEADER, "2025-03-05")
        .created()
        .await;
}

/// Contract.
#[tokio::test]
async fn weighted_upstreams_of_an_action_can_be_named_since_they_came() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 1);
    body["action"] =
        json!({"type": "forward", "upstreams": [{"upstream_id": upstream, "weight": 5}]});
    world
        .post("/v2/rules", body.clone())
        .header(HEADER, "2025-08-19")
        .fails(400, "unknown_parameter", Some("action.upstreams"))
        .await;
    let made = world
        .post("/v2/rules", body.clone())
        .header(HEADER, "2025-08-20")
        .created()
        .await;
    assert_eq!(made["action"], body["action"]);
    let path = format!("/v2/rules/{}", made["id"].as_str().unwrap());
    let old = world.get(&path).header(HEADER, "2025-08-19").ok().await;
    assert_eq!(
        old["action"],
        json!({"type": "forward", "upstream_id": upstream})
    );
}

#[tokio::test]
async fn a_replay_is_shown_by_the_version_of_the_present_request() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = || {
        world
            .post("/v2/rules", fixed_rule(&route, 1))
            .header("idempotency-key", "550e8400-e29b-41d4-a716-446655440000")
    };
    let first = ask().send().await;
    let old = ask().header(HEADER, "2024-09-15").send().await;
    let again = ask().send().await;
    assert_eq!(old.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        (old.json().get("metadata"), first.json().get("metadata")),
        (None, Some(&json!({})))
    );
    assert_eq!(again.bytes, first.bytes);
}

/// Contract, D-18.
#[tokio::test]
async fn v1_is_gone_for_every_path_and_method_and_needs_no_key() {
    let world = World::new();
    for path in ["/v1", "/v1/", "/v1/rules", "/v1/routes/rt_1/publish"] {
        for method in [
            Method::GET,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let asking = world.request(method, path).without("authorization");
            let reply = asking.fails(410, "api_version_sunset", None).await;
            for (name, value) in [
                ("sunset", "Tue, 15 Sep 2026 00:00:00 GMT"),
                ("deprecation", "@1768348800"),
                ("link", "</v2>; rel=\"successor-version\""),
            ] {
                assert_eq!(reply.header(name), Some(value), "{path}");
            }
        }
        let head = world.request(Method::HEAD, path).send().await;
        assert_eq!((head.status.as_u16(), head.bytes.len()), (410, 0));
    }
    let long = format!("/v1/rules?api_key={}", "k".repeat(40 * 1024));
    for asking in [
        world.get("/v1/rules?api_key=v1_secret&limit=5&limit=6"),
        world.get(&long),
        world
            .get("/v1")
            .header("vectorgate-consistency", "eventual"),
        world.get("/v1").header("if-none-match", "1"),
    ] {
        asking.fails(410, "api_version_sunset", None).await;
    }
    let other = world.get("/v10/rules").send().await;
    assert_eq!((other.status.as_u16(), other.header("sunset")), (404, None));
    assert_eq!(other.json()["error"]["param"], Value::Null);
}

/// Contract: D-16.
#[tokio::test]
async fn requests_without_a_date_get_the_release_that_the_workspace_is_pinned_to() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.rule(&route, 1).await;
    // Any date means the newest release up to it, which is what is shown.
    let pinned = world
        .patch("/v2/workspace", json!({"api_version": "2025-02-28"}))
        .send()
        .await;
    assert_eq!(pinned.json()["api_version"], "2024-09-15");
    assert_eq!(
        world.get("/v2/workspace").ok().await["api_version"],
        "2024-09-15"
    );
    let list = || world.get("/v2/rules");
    let plain = list().send().await;
    assert_eq!(plain.header(HEADER), Some("2024-09-15"));
    assert_eq!(plain.json()["data"][0].get("metadata"), None);
    let mut body = fixed_rule(&route, 2);
    body["metadata"] = json!({"owner": "platform"});
    let refused = world.post("/v2/rules", body).send().await;
    assert_eq!(refused.header(HEADER), Some("2024-09-15"));
    assert_eq!(refused.json()["error"]["code"], "unknown_parameter");
    // Every key of the workspace, and nobody else.
    let test = list().key(&world.test).send().await;
    assert_eq!(test.header(HEADER), Some("2024-09-15"));
    let stranger = list().key(&world.stranger).send().await;
    assert_eq!(stranger.header(HEADER), Some("2026-01-14"));
    let nobody = list().without("authorization").send().await;
    assert_eq!(nobody.header(HEADER), Some("2026-01-14"));
    // A request's own date goes before the workspace's.
    let newest = list().header(HEADER, "2026-01-14").send().await;
    assert_eq!(newest.header(HEADER), Some("2026-01-14"));
    assert_eq!(newest.json()["data"][0]["metadata"], json!({}));
    let param = Some("api_version");
    for bad in ["", "v2", "2026-01-15"] {
        world
            .patch("/v2/workspace", json!({ "api_version": bad }))
            .fails(400, "invalid_api_version", param)
            .await;
    }
    world
        .patch("/v2/workspace", json!({"api_version": null}))
        .fails(400, "invalid_parameter", param)
        .await;
    let log = world
        .get("/v2/audit_log?operation=update_workspace")
        .ok()
        .await;
    assert_eq!(
        log["data"][0]["changes"][0],
        json!({
            "object": "workspace",
            "id": pinned.json()["id"],
            "route_id": null,
            "before": {"api_version": "2026-01-14"},
            "after": {"api_version": "2024-09-15"},
        })
    );
}
