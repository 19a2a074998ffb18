//! Entity tags: which state a client has seen, what it need not be sent again, and changes that go
//! on only if nobody came before.

use http::Method;
use serde_json::{Value, json};

use super::support::{Asking, Reply, World, fixed_rule};

fn etag(reply: &Reply) -> String {
    let etag = reply.header("etag").unwrap().to_owned();
    let revision = etag.trim_matches('"');
    assert!(revision.parse::<u64>().is_ok(), "{etag}");
    etag
}

async fn tag_of(asking: Asking<'_>) -> String {
    etag(&asking.send().await)
}

/// The paths of a live rule, its route, its upstream and its snapshot.
async fn furnished(world: &World) -> [String; 4] {
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let snapshot = world.publish(&route).await;
    [
        format!("/v2/rules/{rule}"),
        format!("/v2/routes/{route}"),
        format!("/v2/upstreams/{upstream}"),
        format!("/v2/snapshots/{}", snapshot["id"].as_str().unwrap()),
    ]
}

/// Contract: D-32.
#[tokio::test]
async fn an_object_has_the_same_tag_whoever_shows_it() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let made = world.post("/v2/rules", fixed_rule(&route, 1)).send().await;
    let path = format!("/v2/rules/{}", made.json()["id"].as_str().unwrap());
    let shown = world.get(&path).send().await;
    assert_eq!(etag(&made), etag(&shown));
    assert_eq!(etag(&made), format!("\"{}\"", made.revision()));
    let patched = world.patch(&path, json!({"priority": 2})).send().await;
    assert_ne!(etag(&patched), etag(&made));
    let unchanged = world.patch(&path, json!({"priority": 2})).send().await;
    assert_eq!(etag(&unchanged), etag(&patched));
    let archived = world.delete(&path).send().await;
    assert_eq!(etag(&archived), tag_of(world.get(&path)).await);
    // What is no single object has none.
    for path in ["/v2/rules", "/v2/edges", "/livez", "/nowhere"] {
        assert_eq!(world.get(path).send().await.header("etag"), None, "{path}");
    }
}

#[tokio::test]
async fn publishing_changes_the_tags_of_what_it_changes() {
    let world = World::new();
    let [rule, route, upstream, snapshot] = furnished(&world).await;
    let tags = async || {
        let mut tags = Vec::new();
        for path in [&rule, &route, &snapshot, &upstream] {
            tags.push(tag_of(world.get(path)).await);
        }
        tags
    };
    let before = tags().await;
    let patch = json!({"name": "renamed"});
    world.patch(&rule, patch).ok().await;
    let drafted = tags().await;
    let changed = |from: &[String], to: &[String]| -> Vec<bool> {
        from.iter().zip(to).map(|(from, to)| from != to).collect()
    };
    assert_eq!(changed(&before, &drafted), [true, true, false, false]);
    let published = world
        .request(Method::POST, &format!("{route}/publish"))
        .send()
        .await;
    // The rule, the route, and the snapshot that was superseded; not the upstream.
    let after = tags().await;
    assert_eq!(changed(&drafted, &after), [true, true, true, false]);
    let fresh = format!("/v2/snapshots/{}", published.json()["id"].as_str().unwrap());
    assert_eq!(etag(&published), tag_of(world.get(&fresh)).await);
}

#[tokio::test]
async fn a_client_is_not_sent_what_it_has() {
    let world = World::new();
    for path in furnished(&world).await {
        let shown = world.get(&path).send().await;
        let tag = etag(&shown);
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"1\", {tag}"),
            "*".to_owned(),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let asking = world.request(method, &path).header("if-none-match", &known);
                let reply = asking.send().await;
                assert_eq!(
                    (reply.status.as_u16(), reply.bytes.len()),
                    (304, 0),
                    "{path} {known}"
                );
                assert_eq!(reply.header("etag"), Some(tag.as_str()));
                assert_eq!(reply.header("content-type"), None);
            }
        }
        let reply = world
            .get(&path)
            .header("if-none-match", "\"1\"")
            .send()
            .await;
        assert_eq!((reply.status.as_u16(), &reply.bytes), (200, &shown.bytes));
        // What was found out earlier does not make a stranger's answer.
        world
            .get(&path)
            .header("if-none-match", "*")
            .without("authorization")
            .fails(401, "invalid_api_key", None)
            .await;
    }
}

#[tokio::test]
async fn a_snapshot_with_content_is_another_representation() {
    let world = World::new();
    let [.., snapshot] = furnished(&world).await;
    let plain = tag_of(world.get(&snapshot)).await;
    let path = format!("{snapshot}?include=content");
    let asking = world.get(&path).header("if-none-match", &plain);
    let reply = asking.send().await;
    assert_eq!(reply.status.as_u16(), 200);
    let tag = reply.header("etag").unwrap();
    let again = world.get(&path).header("if-none-match", tag).send().await;
    assert_eq!(again.status.as_u16(), 304);
}

/// Every change of an object, with the path that shows it.
fn changes<'a>(world: &'a World, paths: &[String; 4]) -> Vec<(Asking<'a>, String)> {
    let [rule, route, upstream, _] = paths;
    let post = |path: String| world.request(Method::POST, &path);
    let order = json!({"rule_ids": [rule.trim_start_matches("/v2/rules/")]});
    vec![
        (world.patch(rule, json!({"name": "a"})), rule.clone()),
        (
            world.patch(upstream, json!({"name": "a"})),
            upstream.clone(),
        ),
        (world.patch(route, json!({"name": "a"})), route.clone()),
        (post(format!("{route}/publish")), route.clone()),
        (post(format!("{route}/rollback")), route.clone()),
        (post(format!("{rule}/pause")), rule.clone()),
        (post(format!("{rule}/resume")), rule.clone()),
        (post(format!("{route}/disable")), route.clone()),
        (post(format!("{route}/enable")), route.clone()),
        (
            world.post(&format!("{route}/rules/reorder"), order),
            route.clone(),
        ),
        (world.delete(rule), rule.clone()),
        (world.delete(route), route.clone()),
        (world.delete(upstream), upstream.clone()),
    ]
}

/// Contract: D-32.
#[tokio::test]
async fn a_change_goes_on_only_if_the_object_is_as_the_client_saw_it() {
    let world = World::new();
    let paths = furnished(&world).await;
    let [rule, ..] = &paths;
    // Something to publish, and something to go back to.
    world.patch(rule, json!({"priority": 5})).ok().await;
    let before = world.get("/v2/rules").send().await.bytes;
    for (asking, _) in changes(&world, &paths) {
        for stale in ["\"1\"", "W/\"1\"", "\"other\"", "\"0\", \"1\""] {
            asking
                .clone()
                .header("if-match", stale)
                .fails(412, "precondition_failed", Some("If-Match"))
                .await;
        }
    }
    assert_eq!(world.get("/v2/rules").send().await.bytes, before);
    for (asking, path) in changes(&world, &paths).into_iter().take(10) {
        let tag = tag_of(world.get(&path)).await;
        asking.header("if-match", &tag).ok().await;
    }
}

#[tokio::test]
async fn a_star_asks_for_existence_and_what_does_not_exist_is_not_found() {
    let world = World::new();
    let paths = furnished(&world).await;
    let [rule, ..] = &paths;
    world
        .patch(rule, json!({"name": "b"}))
        .header("if-match", "*")
        .ok()
        .await;
    for tags in ["*", "\"1\""] {
        world
            .patch("/v2/rules/rule_00000000", json!({"name": "b"}))
            .header("if-match", tags)
            .fails(404, "resource_not_found", None)
            .await;
    }
    // Nothing is there before it is made.
    let route = paths[1].trim_start_matches("/v2/routes/");
    world
        .post("/v2/rules", fixed_rule(route, 7))
        .header("if-match", "*")
        .fails(412, "precondition_failed", Some("If-Match"))
        .await;
}

#[tokio::test]
async fn a_target_is_changed_if_its_upstream_is_as_the_client_saw_it() {
    let world = World::new();
    let [_, _, upstream, _] = furnished(&world).await;
    let tag = tag_of(world.get(&upstream)).await;
    let add = || {
        let body = json!({"address": "127.0.0.1", "port": 8203});
        let path = format!("{upstream}/targets");
        world.post(&path, body).header("if-match", &tag)
    };
    add().created().await;
    add()
        .fails(412, "precondition_failed", Some("If-Match"))
        .await;
}

#[tokio::test]
async fn where_no_tag_is_shown_none_can_be_expected() {
    let world = World::new();
    let body = json!({"url": "https://hooks.example.net/"});
    let made = world.post("/v2/webhook_endpoints", body).created().await;
    let endpoint = format!("/v2/webhook_endpoints/{}", made["id"].as_str().unwrap());
    for tags in ["*", "\"1\""] {
        for asking in [
            world.patch(&endpoint, json!({"description": "a"})),
            world.delete(&endpoint),
            world.patch("/v2/workspace", json!({"name": "a"})),
        ] {
            asking
                .header("if-match", tags)
                .fails(400, "invalid_parameter", Some("If-Match"))
                .await;
        }
    }
}

#[tokio::test]
async fn tags_that_are_none_are_refused() {
    let world = World::new();
    let paths = furnished(&world).await;
    for bad in ["", "1", "\"1", "*, \"1\"", "\"1\" \"2\"", "W/1"] {
        for (asking, _) in changes(&world, &paths) {
            asking
                .header("if-match", bad)
                .fails(400, "invalid_parameter", Some("If-Match"))
                .await;
        }
        let [rule, ..] = &paths;
        world
            .get(rule)
            .header("if-none-match", bad)
            .fails(400, "invalid_parameter", Some("If-None-Match"))
            .await;
    }
}

#[tokio::test]
async fn a_retry_is_answered_as_before_although_its_tag_is_old() {
    let world = World::new();
    let [rule, ..] = furnished(&world).await;
    let tag = tag_of(world.get(&rule)).await;
    let ask = |key: &str| {
        let asking = world.patch(&rule, json!({"name": "mine"}));
        asking
            .header("if-match", &tag)
            .header("idempotency-key", key)
    };
    let first = ask("550e8400-e29b-41d4-a716-446655440000").send().await;
    let again = ask("550e8400-e29b-41d4-a716-446655440000").send().await;
    assert_eq!((first.status.as_u16(), &first.bytes), (200, &again.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(etag(&again), etag(&first));
    // A refusal is an answer like any other.
    for replayed in [None, Some("true")] {
        let refused = ask("550e8400-e29b-41d4-a716-446655440001")
            .fails(412, "precondition_failed", Some("If-Match"))
            .await;
        assert_eq!(refused.header("idempotent-replayed"), replayed);
    }
    assert_ne!(world.get(&rule).ok().await["name"], Value::Null);
}

#[tokio::test]
async fn tags_tell_versions_apart_and_mean_the_same_state() {
    let world = World::new();
    let [rule, ..] = furnished(&world).await;
    let old = ("vectorgate-version", "2024-09-15");
    let shown = world.get(&rule).send().await;
    let shown_before = world.get(&rule).header(old.0, old.1).send().await;
    assert_ne!(shown.bytes, shown_before.bytes);
    let tag = shown_before.header("etag").unwrap().to_owned();
    assert_eq!(
        tag,
        format!("{}-2024-09-15\"", etag(&shown).trim_end_matches('"'))
    );
    let again = world.get(&rule).header("if-none-match", &tag);
    assert_eq!(again.clone().send().await.status.as_u16(), 200);
    let known = again.header(old.0, old.1).send().await;
    assert_eq!(known.status.as_u16(), 304);
    assert_eq!(known.header("etag"), Some(tag.as_str()));
    let patch = || {
        world
            .patch(&rule, json!({"name": "renamed"}))
            .header("if-match", &tag)
    };
    patch().ok().await;
    patch()
        .fails(412, "precondition_failed", Some("If-Match"))
        .await;
}
