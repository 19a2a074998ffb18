//! Several rules at once, and the versions that rules leave behind.

use http::Method;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

fn places(list: &Value) -> Vec<(String, u64)> {
    let rules = list["data"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            let id = rule["id"].as_str().unwrap().to_owned();
            (id, rule["priority"].as_u64().unwrap())
        })
        .collect()
}

/// Contract: D-36.
#[tokio::test]
async fn a_route_s_rules_are_reordered_whole_or_by_moves() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (a, b, c) = (
        world.rule(&route, 10).await,
        world.rule(&route, 20).await,
        world.rule(&route, 30).await,
    );
    let path = format!("/v2/routes/{route}/rules/reorder");
    let whole = world.post(&path, json!({"rule_ids": [c, a, b]})).ok().await;
    let expected = [(c.clone(), 10), (a.clone(), 20), (b.clone(), 30)];
    assert_eq!(places(&whole), expected);
    assert_eq!(
        (&whole["object"], &whole["has_more"], &whole["next_cursor"]),
        (&json!("list"), &json!(false), &json!(null))
    );
    let list = world.get(&format!("/v2/rules?route_id={route}")).ok().await;
    assert_eq!(list["data"], whole["data"]);
    let moves = json!([{"rule_id": a, "priority": 30}, {"rule_id": b, "priority": 20}]);
    let moved = world.post(&path, json!({"moves": moves})).ok().await;
    assert_eq!(places(&moved), [(b, 20), (a, 30)]);
}

#[tokio::test]
async fn an_order_that_does_not_add_up_names_what_is_wrong() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (a, b) = (world.rule(&route, 10).await, world.rule(&route, 20).await);
    let path = format!("/v2/routes/{route}/rules/reorder");
    let to = |id: &str, priority: u64| json!({"rule_id": id, "priority": priority});
    for (body, status, code, param) in [
        (json!({}), 400, "parameter_missing", "rule_ids"),
        (
            json!({"rule_ids": [], "moves": []}),
            400,
            "invalid_parameter",
            "moves",
        ),
        (
            json!({"rule_ids": [a]}),
            400,
            "invalid_parameter",
            "rule_ids",
        ),
        (
            json!({"rule_ids": [a, a]}),
            400,
            "invalid_parameter",
            "rule_ids[1]",
        ),
        (
            json!({"rule_ids": [a, 7]}),
            400,
            "invalid_parameter",
            "rule_ids[1]",
        ),
        (
            json!({"rule_ids": [a, "rule_00000000"]}),
            404,
            "resource_not_found",
            "rule_ids[1]",
        ),
        (json!({"order": []}), 400, "unknown_parameter", "order"),
        (
            json!({"moves": [to(&a, 20)]}),
            400,
            "priority_conflict",
            "moves[0].priority",
        ),
        (
            json!({"moves": [to(&a, 30), to(&b, 30)]}),
            400,
            "priority_conflict",
            "moves[1].priority",
        ),
        (
            json!({"moves": [{"rule_id": a}]}),
            400,
            "parameter_missing",
            "moves[0].priority",
        ),
        (
            json!({"moves": [to("rule_00000000", 30)]}),
            404,
            "resource_not_found",
            "moves[0].rule_id",
        ),
    ] {
        let reply = world.post(&path, body).fails(status, code, Some(param));
        reply.await;
    }
}

#[tokio::test]
async fn a_batch_creates_updates_and_archives_in_order() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (old, kept) = (world.rule(&route, 10).await, world.rule(&route, 20).await);
    let mut create = fixed_rule(&route, 10);
    create["op"] = json!("create");
    let before = world.control.applied();
    let body = json!({"operations": [
        {"op": "archive", "id": old},
        create,
        {"op": "update", "id": kept, "status": "paused", "metadata": {"owner": "edge"}},
    ]});
    let list = world.post("/v2/rules/batch", body).ok().await;
    assert_eq!(world.control.applied().0, before.0 + 1, "one log entry");
    let seen: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["priority"].clone(), rule["status"].clone()))
        .collect();
    let expected = [(10, "archived"), (10, "draft"), (20, "paused")];
    assert_eq!(
        seen,
        expected.map(|(priority, status)| (json!(priority), json!(status)))
    );
    assert_eq!(list["data"][2]["metadata"], json!({"owner": "edge"}));
}

/// Contract: D-31.
#[tokio::test]
async fn a_batch_fails_whole_and_tells_of_each_operation_what_is_wrong() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 10).await;
    let create = |priority: u32| {
        let mut create = fixed_rule(&route, priority);
        create["op"] = json!("create");
        create
    };
    let details = async |operations: Value, status, code, param| {
        let body = json!({"operations": operations});
        let reply = world
            .post("/v2/rules/batch", body)
            .fails(status, code, Some(param))
            .await;
        let details = reply.json()["error"]["details"].clone();
        details
            .as_array()
            .cloned()
            .unwrap_or_default()
            .iter()
            .map(|detail| {
                let text = |name: &str| detail[name].as_str().unwrap().to_owned();
                (text("code"), text("param"))
            })
            .collect::<Vec<_>>()
    };
    let pair = |code: &str, param: &str| (code.to_owned(), param.to_owned());
    let gone = json!({"op": "archive", "id": "rule_00000000"});
    let refused = json!([create(20), create(10), gone, create(20)]);
    assert_eq!(
        details(refused, 400, "priority_conflict", "operations[1].priority").await,
        [
            pair("priority_conflict", "operations[1].priority"),
            pair("resource_not_found", "operations[2].id"),
            pair("priority_conflict", "operations[3].priority"),
        ]
    );
    let mut misspelt = create(30);
    misspelt["nmae"] = json!("x");
    let malformed = json!([
        {"op": "update", "id": rule, "metadata": {"owner": 7}},
        misspelt,
        {"op": "replace", "id": rule},
        {"id": rule},
        7,
    ]);
    assert_eq!(
        details(
            malformed,
            400,
            "invalid_parameter",
            "operations[0].metadata.owner"
        )
        .await,
        [
            pair("invalid_parameter", "operations[0].metadata.owner"),
            pair("unknown_parameter", "operations[1].nmae"),
            pair("invalid_parameter", "operations[2].op"),
            pair("parameter_missing", "operations[3].op"),
            pair("invalid_parameter", "operations[4]"),
        ]
    );
    assert_eq!(
        details(json!([]), 400, "invalid_parameter", "operations").await,
        []
    );
    world
        .post("/v2/rules/batch", json!({}))
        .fails(400, "parameter_missing", Some("operations"))
        .await;
    let rules = world.get("/v2/rules").ok().await;
    assert_eq!(places(&rules), [(rule, 10)]);
}

/// Contract: D-44.
#[tokio::test]
async fn a_rule_s_versions_tell_what_each_changed() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 10).await;
    let snapshot = world.publish(&route).await;
    let path = format!("/v2/rules/{rule}");
    for number in 1..=60 {
        world
            .patch(&path, json!({"priority": 10 + number}))
            .ok()
            .await;
    }
    let versions = format!("{path}/versions");
    let first = world.get(&format!("{versions}/1")).ok().await;
    assert_eq!(
        first,
        json!({
            "object": "rule_version",
            "environment": "production",
            "rule_id": rule,
            "version": 1,
            "changed_fields": ["name", "priority", "match", "action"],
            "changes": [
                {"field": "name", "before": null, "after": "rule 10"},
                {"field": "priority", "before": null, "after": 10},
                {"field": "match", "before": null, "after": {"path": "/10"}},
                {"field": "action", "before": null, "after": {"type": "fixed_response", "status": 204}},
            ],
            "actor": world.live_key_id.as_str(),
            "at": 1_714_320_000,
            "snapshot_id": snapshot["id"],
        })
    );
    let newest = world.get(&format!("{versions}/61")).ok().await;
    assert_eq!(
        newest["changes"],
        json!([{"field": "priority", "before": 69, "after": 70}])
    );
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .get(&format!("{versions}?limit=25{cursor}"))
            .ok()
            .await;
        let items = page["data"].as_array().unwrap().iter();
        found.extend(items.map(|version| version["version"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, (1..=61).rev().collect::<Vec<_>>());
    for absent in ["0", "62", "x", "-1"] {
        world
            .get(&format!("{versions}/{absent}"))
            .fails(404, "resource_not_found", None)
            .await;
    }
}

#[tokio::test]
async fn a_draft_is_validated_without_being_published() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    let validate = format!("{path}/validate");
    let rule = world.rule(&route, 10).await;
    let before = world.control.applied();
    let fine = world.request(Method::POST, &validate).ok().await;
    let draft = world.get(&path).ok().await["draft_snapshot_id"].clone();
    assert_eq!(
        fine,
        json!({
            "object": "validation",
            "environment": "production",
            "route_id": route,
            "draft_snapshot_id": draft,
            "valid": true,
            "errors": [],
            "warnings": [],
        })
    );
    assert_eq!(world.control.applied(), before, "nothing was written");
    let mut bad = fixed_rule(&route, 20);
    bad["match"] = json!({"path": "/10"});
    bad["action"] = json!({"type": "forward", "upstream_id": "up_00000000"});
    let second = world.post("/v2/rules", bad).created().await;
    let told = world.request(Method::POST, &validate).ok().await;
    assert_eq!(told["valid"], false);
    assert_eq!(
        (&told["errors"][0]["code"], &told["warnings"][0]["code"]),
        (&json!("unknown_upstream"), &json!("unreachable_rule"))
    );
    let param = format!("{}.match", second["id"].as_str().unwrap());
    assert_eq!(told["warnings"][0]["param"], json!(param));
    assert!(
        told["warnings"][0]["message"]
            .as_str()
            .unwrap()
            .contains(&rule)
    );
    world
        .post(&validate, json!({"strict": true}))
        .fails(400, "unknown_parameter", Some("strict"))
        .await;
    world.delete(&path).ok().await;
    world
        .request(Method::POST, &validate)
        .fails(422, "resource_archived", None)
        .await;
}

#[tokio::test]
async fn a_batch_that_is_too_long_is_refused_before_it_is_looked_at() {
    let world = World::new();
    let operations = vec![json!({"op": "explode"}); 101];
    let body = json!({"operations": operations});
    let reply = world
        .post("/v2/rules/batch", body)
        .fails(400, "invalid_parameter", Some("operations"))
        .await;
    assert!(reply.bytes.len() < 1_000, "{}", reply.text());
}
