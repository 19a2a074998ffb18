//! Rules: patches, pausing, history, filters.

use serde_json::{Value, json};

use super::support::{World, fixed_rule};

#[tokio::test]
async fn a_new_rule_shows_all_of_its_fields() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world
        .post("/v2/rules", fixed_rule(&route, 40))
        .created()
        .await;
    let expected = json!({
        "id": rule["id"],
        "object": "rule",
        "environment": "production",
        "route_id": route,
        "name": "rule 40",
        "priority": 40,
        "status": "draft",
        "match": {"path": "/40"},
        "action": {"type": "fixed_response", "status": 204},
        "metadata": {},
        "publication": {"status": "unpublished", "snapshot_id": null, "published_at": null, "pending_changes": true},
        "validation": {"status": "passed", "errors": []},
        "events": [{"type": "created", "at": 1_714_320_000}, {"type": "validated", "at": 1_714_320_000}],
        "versions": [{
            "version": 1,
            "changed_fields": rule["versions"][0]["changed_fields"],
            "actor": world.live_key_id.as_str(),
            "at": 1_714_320_000,
            "snapshot_id": null,
        }],
        "published_at": null,
        "created_at": 1_714_320_000,
        "updated_at": null,
        "archived_at": null,
    });
    assert_eq!(rule, expected);
    assert_eq!(
        world
            .get(&format!("/v2/rules/{}", rule["id"].as_str().unwrap()))
            .ok()
            .await,
        expected
    );
    assert_eq!(world.get("/v2/rules").ok().await["data"], json!([expected]));
}

/// Contract: D-33.
#[tokio::test]
async fn a_patch_changes_the_draft_and_not_what_is_live() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    let snapshot = world.publish(&route).await;
    let path = format!("/v2/rules/{rule}");
    let patched = world
        .patch(&path, json!({"name": "renamed", "priority": 41}))
        .ok()
        .await;
    assert_eq!(
        (&patched["name"], &patched["priority"], &patched["status"]),
        (&json!("renamed"), &json!(41), &json!("active"))
    );
    assert_eq!(patched["publication"]["pending_changes"], true);
    assert_eq!(patched["publication"]["snapshot_id"], snapshot["id"]);
    assert_eq!(
        patched["versions"][1]["changed_fields"],
        json!(["name", "priority"])
    );
    let content = world
        .get(&format!(
            "/v2/snapshots/{}?include=content",
            snapshot["id"].as_str().unwrap()
        ))
        .ok()
        .await;
    assert_eq!(content["content"]["rules"][0]["priority"], 40);
}

/// Contract: D-43.
#[tokio::test]
async fn labels_merge_and_null_removes_them() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 40);
    body["metadata"] = json!({"owner": "platform", "tier": "1"});
    let rule = world.post("/v2/rules", body).created().await;
    let path = format!("/v2/rules/{}", rule["id"].as_str().unwrap());
    let patched = world
        .patch(&path, json!({"metadata": {"tier": null, "team": "edge"}}))
        .ok()
        .await;
    assert_eq!(
        patched["metadata"],
        json!({"owner": "platform", "team": "edge"})
    );
    world
        .patch(&path, json!({"metadata": {"owner": 7}}))
        .fails(400, "invalid_parameter", Some("metadata.owner"))
        .await;
    world
        .patch(&path, json!({"metadata": null}))
        .fails(400, "invalid_parameter", Some("metadata"))
        .await;
    let long = "x".repeat(501);
    world
        .patch(&path, json!({"metadata": {"owner": long}}))
        .fails(400, "invalid_parameter", Some("metadata"))
        .await;
}

/// Contract: D-34.
#[tokio::test]
async fn pausing_takes_effect_at_the_next_publish_and_so_does_resuming() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    world.publish(&route).await;
    let path = format!("/v2/rules/{rule}");
    let paused = world.patch(&path, json!({"status": "paused"})).ok().await;
    assert_eq!(
        (&paused["status"], &paused["publication"]["status"]),
        (&json!("paused"), &json!("published"))
    );
    assert_eq!(world.publish(&route).await["rule_count"], 0);
    assert_eq!(
        world.get(&path).ok().await["publication"]["status"],
        "unpublished"
    );
    world.patch(&path, json!({"status": "active"})).ok().await;
    assert_eq!(world.publish(&route).await["rule_count"], 1);
    for bad in ["draft", "archived", "on"] {
        world
            .patch(&path, json!({"status": bad}))
            .fails(400, "invalid_parameter", Some("status"))
            .await;
    }
}

/// Contract: D-33, D-38.
#[tokio::test]
async fn an_archived_rule_is_gone_from_lists_and_cannot_be_changed() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 40).await;
    world.delete(&format!("/v2/rules/{rule}")).ok().await;
    world
        .patch(&format!("/v2/rules/{rule}"), json!({"name": "x"}))
        .fails(422, "resource_archived", None)
        .await;
    let count = async |path: &str| world.get(path).ok().await["data"].as_array().unwrap().len();
    assert_eq!(count("/v2/rules").await, 0);
    assert_eq!(count("/v2/rules?include_archived=true").await, 1);
    assert_eq!(count("/v2/rules?status=archived").await, 1);
    assert_eq!(
        world.get(&format!("/v2/rules/{rule}")).ok().await["status"],
        "archived"
    );
    // Its priority is free again.
    let rule = world.rule(&route, 40).await;
    // What an archived route holds stays as it is.
    world.delete(&format!("/v2/routes/{route}")).ok().await;
    world
        .delete(&format!("/v2/rules/{rule}"))
        .fails(422, "resource_archived", None)
        .await;
}

/// Contract: R-31, D-43.
#[tokio::test]
async fn filters_find_what_they_name() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let (other, _) = world.route("assets.example.net").await;
    for priority in 0..3 {
        world.rule(&route, priority).await;
        world.rule(&other, priority).await;
    }
    let mut labelled = fixed_rule(&other, 50);
    labelled["metadata"] = json!({"owner": "platform team", "tier": "1"});
    world.post("/v2/rules", labelled).created().await;
    let mut forwarding = fixed_rule(&route, 60);
    forwarding["action"] =
        json!({"type": "forward", "upstreams": [{"upstream_id": upstream, "weight": 1}]});
    world.post("/v2/rules", forwarding).created().await;
    world.publish(&route).await;
    for (query, expected) in [
        (format!("route_id={route}"), vec![0, 1, 2, 60]),
        ("status=draft".to_owned(), vec![0, 1, 2, 50]),
        ("status=active".to_owned(), vec![0, 1, 2, 60]),
        ("status=paused".to_owned(), vec![]),
        ("hostname=Assets.example.net".to_owned(), vec![0, 1, 2, 50]),
        ("hostname=nobody.example.net".to_owned(), vec![]),
        (format!("upstream_id={upstream}"), vec![60]),
        ("metadata[owner]=platform+team".to_owned(), vec![50]),
        (
            "metadata%5Bowner%5D=platform%20team&metadata[tier]=1".to_owned(),
            vec![50],
        ),
        (
            "metadata[owner]=platform+team&metadata[tier]=2".to_owned(),
            vec![],
        ),
        (
            format!("route_id={route}&metadata[owner]=platform+team"),
            vec![],
        ),
    ] {
        let list = world.get(&format!("/v2/rules?{query}")).ok().await;
        let found: Vec<_> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["priority"].as_u64().unwrap())
            .collect();
        assert_eq!(
            (found, &list["has_more"]),
            (expected, &json!(false)),
            "{query}"
        );
    }
}

/// Contract: D-40.
#[tokio::test]
async fn what_was_sent_is_shown_as_it_was_sent() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 1);
    body["match"] = json!({"region": "eu-central-1", "path": ["/b*", {"regex": "/a[0-9]+"}], "header": {"X-Tier": "gold"}, "method": "get"});
    let sent = body["match"].to_string();
    let rule = world.post("/v2/rules", body).created().await;
    assert_eq!(rule["match"].to_string(), sent);
    let content: Value = world.publish(&route).await;
    let path = format!(
        "/v2/snapshots/{}?include=content",
        content["id"].as_str().unwrap()
    );
    let normal = world.get(&path).ok().await["content"]["rules"][0]["match"].clone();
    assert_eq!(
        (&normal["method"], &normal["region"]),
        (&json!(["GET"]), &json!(["eu-central-1"]))
    );
}
