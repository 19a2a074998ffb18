//! Draft, diff, publish, roll back.

use http::Method;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

/// Contract: D-45, D-49.
#[tokio::test]
async fn a_published_snapshot_shows_all_of_its_fields() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.rule(&route, 1).await;
    let draft = world.get(&format!("/v2/routes/{route}")).ok().await["draft_snapshot_id"].clone();
    let path = format!("/v2/routes/{route}/publish");
    let snapshot = world
        .post(&path, json!({"snapshot_id": draft, "comment": "first"}))
        .ok()
        .await;
    let mut expected = json!({
        "id": draft,
        "object": "snapshot",
        "environment": "production",
        "route_id": route,
        "version": 1,
        "state": "published",
        "parent_id": null,
        "source_snapshot_id": null,
        "content_hash": snapshot["content_hash"],
        "rule_count": 1,
        "manifest_version": 1,
        "comment": "first",
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "published_at": 1_714_320_000,
        "unchanged": false,
    });
    assert_eq!(snapshot, expected);
    assert_eq!(
        snapshot["content_hash"].as_str().unwrap().len(),
        "sha256:".len() + 64
    );
    expected.as_object_mut().unwrap().remove("unchanged");
    assert_eq!(
        world
            .get(&format!("/v2/snapshots/{}", id(&snapshot)))
            .ok()
            .await,
        expected
    );
    assert_eq!(
        world.get("/v2/snapshots").ok().await["data"],
        json!([expected])
    );
}

#[tokio::test]
async fn publishing_without_a_change_gives_the_active_snapshot_again() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let first = world.publish(&route).await;
    let again = world.publish(&route).await;
    assert_eq!(
        (&again["id"], &again["unchanged"], &again["version"]),
        (&first["id"], &json!(true), &json!(1))
    );
}

/// Contract: D-45.
#[tokio::test]
async fn expectations_that_are_not_met_stop_a_publish_and_a_rollback() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let first = world.publish(&route).await;
    world.rule(&route, 1).await;
    let (publish, rollback) = (
        format!("/v2/routes/{route}/publish"),
        format!("/v2/routes/{route}/rollback"),
    );
    let stale = json!({"expected_active_snapshot_id": "snap_00000000"});
    world
        .post(&publish, stale.clone())
        .fails(
            412,
            "precondition_failed",
            Some("expected_active_snapshot_id"),
        )
        .await;
    world
        .post(&publish, json!({"snapshot_id": "snap_00000000"}))
        .fails(412, "precondition_failed", Some("snapshot_id"))
        .await;
    world
        .post(
            &publish,
            json!({"expected_active_snapshot_id": first["id"]}),
        )
        .ok()
        .await;
    world
        .post(&rollback, stale)
        .fails(
            412,
            "precondition_failed",
            Some("expected_active_snapshot_id"),
        )
        .await;
    world
        .post(&publish, json!({"strategy": "canary"}))
        .fails(400, "unknown_parameter", Some("strategy"))
        .await;
}

/// Contract, D-46.
#[tokio::test]
async fn a_rollback_is_a_new_version_with_the_old_content() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let first = world.publish(&route).await;
    world
        .patch(&format!("/v2/rules/{rule}"), json!({"name": "second"}))
        .ok()
        .await;
    let second = world.publish(&route).await;
    let path = format!("/v2/routes/{route}/rollback");
    let back = world.request(Method::POST, &path).ok().await;
    assert_eq!(
        (&back["version"], &back["source_snapshot_id"]),
        (&json!(3), &first["id"])
    );
    assert_eq!(
        (&back["parent_id"], &back["content_hash"]),
        (&second["id"], &first["content_hash"])
    );
    assert_eq!(
        world
            .get(&format!("/v2/snapshots/{}", id(&second)))
            .ok()
            .await["state"],
        "rolled_back"
    );
    // The draft keeps what was being worked on.
    let rule = world.get(&format!("/v2/rules/{rule}")).ok().await;
    assert_eq!(
        (&rule["name"], &rule["publication"]["pending_changes"]),
        (&json!("second"), &json!(true))
    );
    assert_eq!((&rule["publication"]["snapshot_id"]), (&back["id"]));

    let by_version = world.post(&path, json!({"version": 2})).ok().await;
    assert_eq!(
        (&by_version["version"], &by_version["content_hash"]),
        (&json!(4), &second["content_hash"])
    );
    let by_id = world
        .post(
            &path,
            json!({"snapshot_id": first["id"], "reset_draft": true, "comment": "calm"}),
        )
        .ok()
        .await;
    assert_eq!(
        (&by_id["content_hash"], &by_id["comment"]),
        (&first["content_hash"], &json!("calm"))
    );
    assert_eq!(
        world.get(&format!("/v2/routes/{route}")).ok().await["pending_changes"],
        false
    );
}

#[tokio::test]
async fn a_rollback_needs_one_target_that_exists() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}/rollback");
    let unpublished = world.request(Method::POST, &path).send().await;
    assert_eq!(unpublished.status.as_u16(), 422, "{}", unpublished.text());
    let first = world.publish(&route).await;
    for (body, status, code, param) in [
        (
            json!({"version": 1, "steps": 1}),
            400,
            "invalid_parameter",
            Some("version"),
        ),
        (
            json!({"snapshot_id": first["id"], "version": 1}),
            400,
            "invalid_parameter",
            Some("snapshot_id"),
        ),
        (json!({"steps": 0}), 400, "invalid_parameter", Some("steps")),
        (
            json!({"version": "1"}),
            400,
            "invalid_parameter",
            Some("version"),
        ),
        (
            json!({"snapshot_id": "snap_00000000"}),
            404,
            "resource_not_found",
            Some("snapshot_id"),
        ),
        (
            json!({"version": 9}),
            404,
            "resource_not_found",
            Some("version"),
        ),
        (json!({"to": 1}), 400, "unknown_parameter", Some("to")),
    ] {
        world.post(&path, body).fails(status, code, param).await;
    }
}

/// Contract: R-90.
#[tokio::test]
async fn a_diff_says_what_differs_between_any_two_states() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let (kept, moved) = (world.rule(&route, 1).await, world.rule(&route, 2).await);
    let first = world.publish(&route).await;
    world
        .patch(
            &format!("/v2/rules/{kept}"),
            json!({"action": {"type": "fixed_response", "status": 404}}),
        )
        .ok()
        .await;
    world
        .patch(&format!("/v2/rules/{moved}"), json!({"priority": 9}))
        .ok()
        .await;
    let added = world.rule(&route, 3).await;
    let targets = json!([{"address": "127.0.0.1", "port": 8299}]);
    world
        .patch(
            &format!("/v2/upstreams/{upstream}"),
            json!({"targets": targets}),
        )
        .ok()
        .await;

    let path = format!("/v2/snapshots/{}/diff/draft", id(&first));
    let diff = world.get(&path).ok().await;
    assert_eq!(
        (&diff["object"], &diff["route_id"], &diff["identical"]),
        (&json!("snapshot_diff"), &json!(route), &json!(false))
    );
    assert_eq!(
        diff["from"],
        json!({"snapshot_id": first["id"], "version": 1, "state": "published"})
    );
    assert_eq!(
        (&diff["to"]["state"], &diff["to"]["version"]),
        (&json!("draft"), &json!(2))
    );
    assert_eq!(diff["rules"]["added"][0]["id"], added.as_str());
    assert_eq!(
        (
            &diff["rules"]["moved"][0]["id"],
            &diff["rules"]["moved"][0]["to"]
        ),
        (&json!(moved), &json!(9))
    );
    assert_eq!(diff["rules"]["changed"][0]["id"], kept.as_str());
    assert_eq!(
        diff["rules"]["changed"][0]["fields"][0]["path"],
        "action.status"
    );
    assert_eq!(diff["upstreams"]["changed"][0]["id"], upstream.as_str());

    // Looking at the draft publishes nothing, and publishing it gives what was looked at.
    let same = world
        .get(&format!("/v2/snapshots/active/diff/draft?route_id={route}"))
        .ok()
        .await;
    assert_eq!(
        (&same["rules"], &same["upstreams"]),
        (&diff["rules"], &diff["upstreams"])
    );
    let second = world.publish(&route).await;
    let published = world
        .get(&format!(
            "/v2/snapshots/{}/diff/{}",
            id(&first),
            id(&second)
        ))
        .ok()
        .await;
    assert_eq!(
        (&published["rules"], &published["upstreams"]),
        (&diff["rules"], &diff["upstreams"])
    );
    let text = world
        .get(&format!(
            "/v2/snapshots/{}/diff/active?format=text",
            id(&first)
        ))
        .send()
        .await;
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(
        text.text().contains("action.status: 204 -> 404"),
        "{}",
        text.text()
    );
}

#[tokio::test]
async fn an_empty_diff_says_so() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let unpublished = world
        .get(&format!("/v2/snapshots/active/diff/draft?route_id={route}"))
        .ok()
        .await;
    assert_eq!(
        unpublished["from"],
        json!({"snapshot_id": null, "version": null, "state": "unpublished"})
    );
    assert_eq!(unpublished["identical"], false);
    let snapshot = world.publish(&route).await;
    let path = format!("/v2/snapshots/{}/diff/draft", id(&snapshot));
    assert_eq!(world.get(&path).ok().await["identical"], true);
    assert!(
        world
            .get(&format!("{path}?format=text"))
            .send()
            .await
            .text()
            .contains("No differences.")
    );
}

#[tokio::test]
async fn two_words_need_a_route_and_two_routes_cannot_be_compared() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (other, _) = world.route("assets.example.net").await;
    let (first, second) = (world.publish(&route).await, world.publish(&other).await);
    world
        .get("/v2/snapshots/active/diff/draft")
        .fails(400, "parameter_missing", Some("route_id"))
        .await;
    let mixed = format!("/v2/snapshots/{}/diff/{}", id(&first), id(&second));
    world
        .get(&mixed)
        .fails(400, "invalid_parameter", Some("id"))
        .await;
    let path = format!("/v2/snapshots/{}/diff/draft?format=xml", id(&first));
    world
        .get(&path)
        .fails(400, "invalid_parameter", Some("format"))
        .await;
}

#[tokio::test]
async fn content_is_shown_when_it_is_asked_for() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 7);
    body["action"] = json!({"type": "forward", "upstream_id": upstream});
    world.post("/v2/rules", body).created().await;
    let snapshot = world.publish(&route).await;
    let shown = world
        .get(&format!("/v2/snapshots/{}?include=content", id(&snapshot)))
        .ok()
        .await;
    let content = &shown["content"];
    assert_eq!(
        (
            &content["route"]["hostname"],
            &content["rules"][0]["priority"]
        ),
        (&json!("api.example.net"), &json!(7))
    );
    assert_eq!(content["upstreams"][0]["id"], upstream.as_str());
    assert_eq!(content["rules"][0]["match"], json!({"path": ["/7"]}));
    let path = format!("/v2/snapshots/{}?include=everything", id(&snapshot));
    world
        .get(&path)
        .fails(400, "invalid_parameter", Some("include"))
        .await;
}
