//! Answers that are made while they are sent: how long they go on, and what they leave to others.

use serde_json::{Value, json};

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

#[tokio::test(start_paused = true)]
async fn a_stream_does_not_outlive_a_key_that_is_revoked_while_it_is_opened() {
    let world = World::new();
    world.revoke_meanwhile(&world.live_key_id);
    let mut stream = Stream::open(&world, STREAM, None).await;
    assert_eq!(stream.next().await, None);
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
    world.upstream().await;
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
