//! What happened: events, the stream of them, and the audit log.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use domain::model::JOURNAL_KEPT_MS;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::{World, fixed_rule};

/// By when a frame that has to come has come.
const PATIENCE: Duration = Duration::from_secs(10);

async fn events(world: &World, query: &str) -> Vec<Value> {
    let list = world.get(&format!("/v2/events{query}")).ok().await;
    list["data"].as_array().unwrap().clone()
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

/// Contract, D-56.
#[tokio::test]
async fn events_tell_what_happened_the_newest_first() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.advance_ms(2_000);
    let rule = world.rule(&route, 1).await;
    world.advance_ms(2_000);
    let publish = format!("/v2/routes/{route}/publish");
    let snapshot = world.post(&publish, json!({})).ok().await;
    let all = events(&world, "").await;
    assert_eq!(
        types(&all),
        [
            "route.published",
            "rule.validated",
            "rule.created",
            "route.created"
        ]
    );
    let expected = json!({
        "id": id(&all[0]),
        "object": "event",
        "type": "route.published",
        "created_at": 1_714_320_004,
        "environment": "production",
        "data": {
            "route_id": route,
            "snapshot_id": id(&snapshot),
            "region": "global",
            "published_at": 1_714_320_004,
        },
    });
    assert_eq!(all[0], expected);
    assert!(id(&all[0]).starts_with("evt_"));
    assert_eq!(
        world.get(&format!("/v2/events/{}", id(&all[0]))).ok().await,
        expected
    );
    assert_eq!(all[2]["data"], json!({"rule_id": rule, "route_id": route}));
}

#[tokio::test]
async fn events_are_filtered_paged_and_of_one_environment() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for priority in 1..=15 {
        world.rule(&route, priority).await;
    }
    let created = events(&world, "?type=rule.created&limit=100").await;
    assert_eq!(types(&created), vec!["rule.created"; 15]);
    let both = events(&world, "?type=rule.created,route.created&limit=100").await;
    assert_eq!(both.len(), 16);
    let elsewhere = events(&world, "?route_id=rt_00000000").await;
    assert!(elsewhere.is_empty());
    let (mut walked, mut path) = (Vec::new(), "/v2/events?limit=4".to_owned());
    loop {
        let page = world.get(&path).ok().await;
        walked.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v2/events?limit=4&cursor={cursor}");
    }
    assert_eq!(walked, events(&world, "?limit=100").await);
    assert_eq!(walked.len(), 31);
    for key in [&world.test, &world.stranger] {
        let list = world.get("/v2/events").key(key).ok().await;
        assert_eq!(list["data"], json!([]));
        let path = format!("/v2/events/{}", id(&walked[0]));
        world
            .get(&path)
            .key(key)
            .fails(404, "resource_not_found", None)
            .await;
    }
    world
        .get("/v2/events?type=rule.exploded")
        .fails(400, "invalid_parameter", Some("type"))
        .await;
    world
        .get("/v2/events/evt_00000000")
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn events_are_walked_one_by_one_through_entries_with_many_and_with_none() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let create = |priority| {
        let mut rule = fixed_rule(&route, priority);
        rule["op"] = json!("create");
        rule
    };
    let operations: Vec<_> = (1..=5).map(create).collect();
    let body = json!({"operations": operations});
    world.post("/v2/rules/batch", body).ok().await;
    let body = json!({"url": "https://hooks.example.net/"});
    let made = world.post("/v2/webhook_endpoints", body).created().await;
    let endpoint = format!("/v2/webhook_endpoints/{}", id(&made));
    for number in 0..1_100 {
        let body = json!({"description": format!("no event {number}")});
        world.patch(&endpoint, body).ok().await;
    }
    let first = world.get("/v2/events?limit=1").ok().await;
    assert_eq!(
        (&first["data"], &first["has_more"]),
        (&json!([]), &json!(true)),
        "a page looks at so many entries and no more"
    );
    for limit in [1, 2, 7] {
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v2/events?limit={limit}{cursor}");
            let page = world.get(&path).ok().await;
            walked.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        let kinds = types(&walked);
        let count = |kind| kinds.iter().filter(|known| **known == kind).count();
        assert_eq!(walked.len(), 11, "{kinds:?}");
        assert_eq!((count("rule.created"), count("route.created")), (5, 1));
        walked.dedup();
        assert_eq!(walked.len(), 11, "each of them once");
    }
}

/// The events of a stream, as they come.
pub(super) struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    pub(super) async fn open(world: &World, path: &str, last: Option<&str>) -> Self {
        let mut asking = world.get(path);
        if let Some(last) = last {
            asking = asking.header("last-event-id", last);
        }
        Self::of(asking.open().await)
    }

    pub(super) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event; `None` if the stream ends.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    frame
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                if let Some(data) = field("data") {
                    let event: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(field("id"), event["id"].as_str());
                    assert_eq!(field("event"), event["type"].as_str());
                    return Some(event);
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame());
            let data = frame.await.expect("a frame in time")?.unwrap();
            self.text
                .push_str(std::str::from_utf8(data.data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_tells_events_from_now_on_as_they_happen() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut stream = Stream::open(&world, "/v2/events/stream", None).await;
    world.rule(&route, 1).await;
    let kinds = [stream.next().await.unwrap(), stream.next().await.unwrap()];
    assert_eq!(types(&kinds), ["rule.created", "rule.validated"]);
    let listed = events(&world, "?limit=2").await;
    assert_eq!([kinds[1].clone(), kinds[0].clone()][..], listed[..]);
}

#[tokio::test]
async fn who_comes_back_goes_on_behind_the_last_event_seen_and_misses_nothing() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for priority in 1..=5 {
        world.rule(&route, priority).await;
    }
    let mut all = events(&world, "?limit=100").await;
    all.reverse();
    // Each of them as the last one seen: in the middle of a log entry too.
    for (index, last) in all.iter().enumerate() {
        let mut stream = Stream::open(&world, "/v2/events/stream", Some(id(last))).await;
        for expected in &all[index + 1..] {
            assert_eq!(stream.next().await.as_ref(), Some(expected));
        }
    }
    let mut filtered = Stream::open(
        &world,
        "/v2/events/stream?type=rule.validated",
        Some(id(&all[0])),
    )
    .await;
    for _ in 1..=5 {
        assert_eq!(filtered.next().await.unwrap()["type"], "rule.validated");
    }
    world
        .get("/v2/events/stream")
        .header("last-event-id", "evt_00000000")
        .fails(400, "invalid_parameter", Some("Last-Event-ID"))
        .await;
}

#[tokio::test]
async fn a_region_hears_of_what_concerns_it_or_all_regions() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = "/v2/events/stream?region=eu-central-1";
    let mut stream = Stream::open(&world, path, None).await;
    world.rule(&route, 1).await;
    world.publish(&route).await;
    // That the rule was made is about no region.
    let published = stream.next().await.unwrap();
    assert_eq!(
        (&published["type"], &published["data"]["region"]),
        (&json!("route.published"), &json!("global"))
    );
    for region in ["us-east-1", "global"] {
        let listed = events(&world, &format!("?region={region}")).await;
        assert_eq!(listed, std::slice::from_ref(&published), "{region}");
    }
}

#[tokio::test]
async fn who_comes_back_after_more_than_is_kept_is_told_of_the_gap_and_goes_on() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.rule(&route, 1).await;
    let first = events(&world, "?limit=100").await.pop().unwrap();
    assert_eq!(first["type"], "route.created");
    let page = world.get("/v2/events?limit=1").ok().await;
    world.advance_ms(JOURNAL_KEPT_MS + 60_000);
    // What was there before goes with what comes now.
    for priority in 2..=4 {
        world.rule(&route, priority).await;
    }
    let mut kept = events(&world, "?limit=100").await;
    kept.reverse();
    assert_eq!(types(&kept), ["rule.created", "rule.validated"].repeat(3));
    world
        .get(&format!("/v2/events/{}", id(&first)))
        .fails(404, "resource_not_found", None)
        .await;
    let mut stream = Stream::open(&world, "/v2/events/stream", Some(id(&first))).await;
    let gap = json!({"object": "event_gap", "type": "gap", "after": id(&first)});
    assert_eq!(stream.next().await, Some(gap));
    for expected in &kept {
        assert_eq!(stream.next().await.as_ref(), Some(expected));
    }
    // A page of a list goes on with what is older than its cursor, and there is nothing.
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = world
        .get(&format!("/v2/events?limit=1&cursor={cursor}"))
        .ok()
        .await;
    assert_eq!(
        (&rest["data"], &rest["has_more"]),
        (&json!([]), &json!(false))
    );
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let world = World::new();
    let mut stream = Stream::open(&world, "/v2/events/stream", None).await;
    world.revoke(&world.live_key_id);
    assert_eq!(stream.next().await, None);
}

/// Contract: R-04.
#[tokio::test]
async fn the_audit_log_says_who_changed_what_from_what_to_what() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let path = format!("/v2/rules/{rule}");
    let key = "550e8400-e29b-41d4-a716-446655440000";
    let changed = world
        .patch(&path, json!({"priority": 7}))
        .header("idempotency-key", key)
        .send()
        .await;
    let log = world.get("/v2/audit_log").ok().await;
    let entry = &log["data"][0];
    let expected = json!({
        "id": id(entry),
        "object": "audit_entry",
        "created_at": 1_714_320_000,
        "environment": "production",
        "actor": {"type": "api_key", "id": world.live_key_id.as_str()},
        "ip": null,
        "method": "PATCH",
        "path": path,
        "operation": "update_rule",
        "changes": [{
            "object": "rule",
            "id": rule,
            "route_id": route,
            "before": {"priority": 1},
            "after": {"priority": 7},
        }],
        "request_id": changed.header("vectorgate-request-id"),
        "idempotency_key": key,
        "revision": changed.revision(),
        "chain": entry["chain"],
    });
    assert_eq!(entry, &expected);
    assert_eq!(entry["chain"]["index"], 4);
    assert_eq!(
        world
            .get(&format!("/v2/audit_log/{}", id(entry)))
            .ok()
            .await,
        expected
    );
    // A replay changes nothing, and is not written down.
    let count = log["data"].as_array().unwrap().len();
    world
        .patch(&path, json!({"priority": 7}))
        .header("idempotency-key", key)
        .ok()
        .await;
    let log = world.get("/v2/audit_log").ok().await;
    assert_eq!(log["data"].as_array().unwrap().len(), count);
}

#[tokio::test]
async fn a_rule_that_is_paused_and_published_at_once_is_told_of_with_its_snapshot() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let publish = format!("/v2/routes/{route}/publish");
    world.post(&publish, json!({})).ok().await;
    let pause = format!("/v2/rules/{rule}/pause");
    world.post(&pause, json!({"publish": true})).ok().await;
    let log = world.get("/v2/audit_log").ok().await;
    let objects = |entry: &Value| -> Vec<String> {
        let changes = entry["changes"].as_array().unwrap().iter();
        changes
            .map(|change| change["object"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut both = objects(&log["data"][0]);
    both.sort();
    assert_eq!(both, ["rule", "snapshot"]);
    // That drafts go live is what the snapshot says.
    assert_eq!(objects(&log["data"][1]), ["snapshot"]);
    let kinds = events(&world, "?limit=2").await;
    let mut kinds = types(&kinds);
    kinds.sort_unstable();
    assert_eq!(kinds, ["route.published", "rule.paused"]);
}

#[tokio::test]
async fn the_audit_log_is_filtered_paged_and_exported() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    world.advance_ms(5_000);
    for priority in 1..=9 {
        world
            .post("/v2/rules", fixed_rule(&route, priority))
            .created()
            .await;
    }
    let count = async |query: &str| {
        let list = world.get(&format!("/v2/audit_log?limit=100{query}")).ok();
        list.await["data"].as_array().unwrap().len()
    };
    for (query, expected) in [
        (String::new(), 11),
        ("&object=rule".to_owned(), 9),
        ("&operation=create_route".to_owned(), 1),
        (format!("&object_id={upstream}"), 1),
        (format!("&route_id={route}"), 10),
        (format!("&actor={}", world.live_key_id), 11),
        ("&actor=key_00000000".to_owned(), 0),
        ("&until=1714320004".to_owned(), 2),
        ("&since=1714320005".to_owned(), 9),
        ("&request_id=req_00000000".to_owned(), 0),
    ] {
        assert_eq!(count(&query).await, expected, "{query}");
    }
    let exported = world
        .get("/v2/audit_log?format=ndjson&object=rule")
        .send()
        .await;
    assert_eq!(
        exported.header("content-type"),
        Some("application/x-ndjson")
    );
    let lines: Vec<Value> = exported
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut listed = world.get("/v2/audit_log?object=rule").ok().await["data"]
        .as_array()
        .unwrap()
        .clone();
    listed.reverse();
    assert_eq!(lines, listed);
    assert_eq!(
        world
            .request(Method::GET, "/v2/audit_log")
            .key(&world.test)
            .ok()
            .await["data"],
        json!([])
    );
}
