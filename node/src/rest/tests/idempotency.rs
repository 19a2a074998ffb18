//! One effect for one key, and the same bytes for each answer.

use http::Method;
use serde_json::json;

use super::support::{Trouble, World, fixed_rule};

const KEY: &str = "550e8400-e29b-41d4-a716-446655440000";
const OTHER: &str = "7f9c24e8-3b12-4fef-91e0-5a2b5a0f8b11";

/// Contract: R-25, D-22, D-25.
#[tokio::test]
async fn a_retry_gets_the_first_answer_byte_for_byte_and_changes_nothing() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = || {
        world
            .post("/v2/rules", fixed_rule(&route, 1))
            .header("idempotency-key", KEY)
    };
    let first = ask().send().await;
    assert_eq!(
        (first.status.as_u16(), first.header("idempotent-replayed")),
        (201, None)
    );
    let id = first.json()["id"].as_str().unwrap().to_owned();
    // What happens to the rule in between does not show in the replay.
    world.advance_ms(60_000);
    world
        .patch(&format!("/v2/rules/{id}"), json!({"name": "renamed"}))
        .ok()
        .await;
    world.publish(&route).await;
    let again = ask()
        .header("idempotency-key", &format!("\"{}\"", KEY.to_uppercase()))
        .send()
        .await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotent-replayed")),
        (201, Some("true"))
    );
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(again.revision(), first.revision());
    assert_eq!(
        world.get("/v2/rules").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Contract: D-23.
#[tokio::test]
async fn the_same_object_written_otherwise_is_the_same_request() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let text = format!(
        "{{ \"priority\": 1.0e0, \"name\":\"a\",\n \"route_id\":\"{route}\", \"match\":{{}}, \"action\":{{\"type\":\"fixed_response\",\"status\":204}} }}"
    );
    let ask = |text: String| {
        let asking = world
            .request(Method::POST, "/v2/rules")
            .raw(text)
            .header("content-type", "application/json");
        asking.header("idempotency-key", KEY)
    };
    let plain = text.replace("1.0e0", "1");
    ask(plain.clone()).created().await;
    let compact = plain.replace([' ', '\n'], "");
    assert_eq!(
        ask(compact).send().await.header("idempotent-replayed"),
        Some("true")
    );
    assert_eq!(
        ask(text).send().await.header("idempotent-replayed"),
        Some("true")
    );
}

/// Contract: D-23.
#[tokio::test]
async fn another_request_with_the_key_is_a_conflict() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world
        .post("/v2/rules", fixed_rule(&route, 1))
        .header("idempotency-key", KEY)
        .created()
        .await;
    let path = format!("/v2/rules/{}", rule["id"].as_str().unwrap());
    let conflicts = [
        world.post("/v2/rules", fixed_rule(&route, 2)),
        world.patch(&path, json!({"name": "x"})),
        world.delete(&path),
        world.patch(&format!("/v2/upstreams/{upstream}"), json!({"name": "x"})),
    ];
    for asking in conflicts {
        asking
            .header("idempotency-key", KEY)
            .fails(409, "idempotency_key_reused", None)
            .await;
    }
    // Another environment has keys of its own.
    let body = json!({"name": "origin", "targets": []});
    world
        .post("/v2/upstreams", body)
        .key(&world.test)
        .header("idempotency-key", KEY)
        .created()
        .await;
}

/// Contract: D-25.
#[tokio::test]
async fn refusals_of_the_log_are_replayed_and_refusals_of_form_are_not_stored() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let holder = world.rule(&route, 1).await;
    let ask = || {
        world
            .post("/v2/rules", fixed_rule(&route, 1))
            .header("idempotency-key", KEY)
    };
    ask()
        .fails(400, "priority_conflict", Some("priority"))
        .await;
    world.delete(&format!("/v2/rules/{holder}")).ok().await;
    let replayed = ask()
        .fails(400, "priority_conflict", Some("priority"))
        .await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));

    let mut bad = fixed_rule(&route, 5);
    bad["nmae"] = json!("x");
    world
        .post("/v2/rules", bad)
        .header("idempotency-key", OTHER)
        .fails(400, "unknown_parameter", Some("nmae"))
        .await;
    world
        .post("/v2/rules", fixed_rule(&route, 5))
        .header("idempotency-key", OTHER)
        .created()
        .await;
}

/// Contract: R-25.
#[tokio::test]
async fn a_key_is_forgotten_after_a_day_of_log_time() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = || {
        world
            .post(&format!("/v2/routes/{route}/publish"), json!({}))
            .header("idempotency-key", KEY)
    };
    ask().ok().await;
    world.advance_ms(24 * 60 * 60 * 1000 - 1);
    assert_eq!(
        ask().send().await.header("idempotent-replayed"),
        Some("true")
    );
    world.advance_ms(1);
    let fresh = ask().send().await;
    assert_eq!(
        (fresh.status.as_u16(), fresh.header("idempotent-replayed")),
        (200, None)
    );
}

/// Contract: D-21, D-22.
#[tokio::test]
async fn keys_of_another_form_are_refused_and_reads_ignore_them() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    for bad in [
        "",
        "retry-1",
        "550e8400-e29b-11d4-a716-446655440000",
        "550e8400e29b41d4a716446655440000",
    ] {
        let asking = world
            .post("/v2/rules", fixed_rule(&route, 1))
            .header("idempotency-key", bad);
        asking
            .fails(400, "invalid_idempotency_key", Some("Idempotency-Key"))
            .await;
    }
    world
        .get("/v2/rules")
        .header("idempotency-key", "retry-1")
        .ok()
        .await;
}

/// Contract: D-21.
#[tokio::test]
async fn every_write_can_be_retried() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    world.publish(&route).await;
    let (rule, route, upstream) = (
        format!("/v2/rules/{rule}"),
        format!("/v2/routes/{route}"),
        format!("/v2/upstreams/{upstream}"),
    );
    let writes = [
        world.patch(&rule, json!({"status": "paused"})),
        world.request(Method::POST, &format!("{route}/publish")),
        world.request(Method::POST, &format!("{route}/rollback")),
        world.patch(&route, json!({"enabled": false})),
        world.patch(&upstream, json!({"name": "x"})),
        world.delete(&upstream),
    ];
    for (number, asking) in writes.into_iter().enumerate() {
        let asking = asking.header(
            "idempotency-key",
            &format!("550e8400-e29b-41d4-a716-44665544{number:04}"),
        );
        let first = asking.clone().send().await;
        let again = asking.send().await;
        assert_eq!(
            (again.status, again.header("idempotent-replayed")),
            (first.status, Some("true")),
            "{number}"
        );
        if first.status.is_success() {
            assert_eq!(again.bytes, first.bytes, "{number}");
        }
    }
}

/// Contract: D-24.
#[tokio::test(start_paused = true)]
async fn a_second_request_waits_for_the_first_and_is_told_if_that_takes_long() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = || {
        world
            .post("/v2/rules", fixed_rule(&route, 1))
            .header("idempotency-key", KEY)
    };
    world.trouble(Trouble::Slow);
    let first = ask().created();
    let others = async {
        let began = tokio::time::Instant::now();
        let refused = ask().fails(409, "idempotency_in_progress", None).await;
        assert_eq!(began.elapsed(), std::time::Duration::from_secs(5));
        assert_eq!(refused.header("retry-after"), Some("1"));
        let second = ask().send();
        let end = async { world.trouble(Trouble::None) };
        tokio::join!(second, end).0
    };
    let (first, second) = tokio::join!(first, others);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(second.json(), first);
}

#[tokio::test(start_paused = true)]
async fn a_first_request_whose_client_went_away_holds_nobody_up() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = || {
        world
            .post("/v2/rules", fixed_rule(&route, 1))
            .header("idempotency-key", KEY)
    };
    world.trouble(Trouble::Slow);
    let gone = tokio::time::timeout(std::time::Duration::from_secs(1), ask().send()).await;
    assert!(gone.is_err());
    world.trouble(Trouble::None);
    ask().created().await;
}
