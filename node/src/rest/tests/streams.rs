//! Answers that are made while they are sent: how long they go on, and what they leave to others.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::history::Stream;
use super::support::{START_MS, World};

const STREAM: &str = "/v2/events/stream";

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let world = World::new();
    let mut stream = Stream::open(&world, STREAM, None).await;
    world.revoke(&world.live_key_id);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_stream_is_opened_gets_none() {
    let world = World::new();
    world.revoke_meanwhile(&world.live_key_id);
    world.get(STREAM).fails(401, "invalid_api_key", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_key_ends_by_itself() {
    let world = World::new();
    let text = |key: &Value| key["key"].as_str().unwrap().to_owned();
    let expires_at = START_MS / 1000 + 60;
    let body = json!({"type": "restricted", "name": "short", "expires_at": expires_at});
    let expiring = text(&world.post("/v2/api_keys", body).created().await);
    let body = json!({"type": "restricted", "name": "rolled"});
    let rolled = world.post("/v2/api_keys", body).created().await;
    let open = async |key: &str| Stream::of(world.get(STREAM).key(key).open().await);
    let mut streams = [open(&expiring).await, open(&text(&rolled)).await];
    let path = format!("/v2/api_keys/{}/roll", rolled["id"].as_str().unwrap());
    world.post(&path, json!({"overlap_s": 60})).ok().await;
    let (route, _) = world.route("api.example.net").await;
    for stream in &mut streams {
        assert_eq!(
            stream.next().await.unwrap()["data"]["route_id"],
            route.as_str()
        );
    }
    world.advance_ms(60_000);
    for stream in &mut streams {
        assert_eq!(stream.next().await, None);
    }
}

/// A world in whose journal there is much that nobody asks for here, and its first event.
async fn busy() -> (World, String) {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let first = world.get("/v2/events").ok().await["data"][0]["id"].clone();
    world.advance_ms(10_000);
    let path = format!("/v2/routes/{route}");
    for number in 0..1_000 {
        let body = json!({"name": format!("name {number}")});
        world.patch(&path, body).ok().await;
    }
    (world, first.as_str().unwrap().to_owned())
}

impl World {
    fn reads(&self) -> u64 {
        self.control.reads.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_walk_through_what_is_not_wanted_gives_others_their_turn() {
    let (world, first) = busy().await;
    let stream = world.get("/v2/events/stream?type=rule.created");
    for asking in [
        stream.header("last-event-id", &first),
        world.get("/v2/audit_log?format=ndjson&operation=create_rule"),
    ] {
        let mut body = asking.open().await.into_body();
        let before = world.reads();
        // What a connection's task asks for until it has to wait.
        while let Some(frame) = body.frame().now_or_never() {
            assert!(frame.is_some(), "all of it in one turn");
            assert!(world.reads() - before <= 3, "many steps in one turn");
        }
        assert!(world.reads() - before <= 3, "many steps in one turn");
    }
}

#[tokio::test]
async fn an_export_ends_where_the_wanted_times_end() {
    let (world, _) = busy().await;
    let before = world.reads();
    let path = format!("/v2/audit_log?format=ndjson&until={}", START_MS / 1000);
    let exported = world.get(&path).send().await;
    assert_eq!(exported.text().lines().count(), 2);
    assert!(world.reads() - before <= 4, "{}", world.reads() - before);
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_that_it_lives_however_much_happens_that_it_does_not_tell() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    let stream = world.get("/v2/events/stream?type=rule.created");
    let mut body = stream.open().await.into_body();
    let opened = Instant::now();
    let mut number = 0;
    let mut sent = String::new();
    while !sent.contains("\n: ") {
        assert!(opened.elapsed() < Duration::from_secs(30), "{sent:?}");
        if let Ok(frame) = tokio::time::timeout(Duration::from_millis(500), body.frame()).await {
            let data = frame.unwrap().unwrap().into_data().unwrap();
            sent.push_str(std::str::from_utf8(&data).unwrap());
            continue;
        }
        number += 1;
        let body = json!({"name": format!("name {number}")});
        world.patch(&path, body).ok().await;
    }
}

#[tokio::test]
async fn a_key_has_only_so_many_exports_under_way() {
    let world = World::new();
    world.upstream().await;
    let export = world.get("/v2/audit_log?format=ndjson");
    let mut under_way = Vec::new();
    for _ in 0..4 {
        let response = export.clone().open().await;
        assert_eq!(response.status().as_u16(), 200);
        under_way.push(response);
    }
    let refused = export.clone().fails(429, "rate_limit_exceeded", None).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    let test = world.get("/v2/audit_log?format=ndjson").key(&world.test);
    assert_eq!(test.send().await.status.as_u16(), 200);
    under_way.pop();
    assert_eq!(export.send().await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_key_has_only_so_many_streams_and_leaves_some_to_others() {
    let world = World::new();
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Stream::open(&world, STREAM, None).await);
    }
    world
        .get(STREAM)
        .fails(429, "rate_limit_exceeded", None)
        .await;
    Stream::of(world.get(STREAM).key(&world.test).open().await);
    open.pop();
    Stream::open(&world, STREAM, None).await;
}

#[tokio::test]
async fn an_export_of_much_comes_in_pieces_and_misses_nothing() {
    let (world, _) = busy().await;
    let response = world.get("/v2/audit_log?format=ndjson").open().await;
    let mut body = response.into_body();
    let (mut pieces, mut text) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        text.extend(frame.unwrap().into_data().unwrap());
        pieces += 1;
    }
    let lines = String::from_utf8(text).unwrap();
    assert_eq!(lines.lines().count(), 1_002);
    assert!((4..=6).contains(&pieces), "{pieces}");
}
