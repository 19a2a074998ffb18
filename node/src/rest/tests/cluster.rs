//! What a client sees of the cluster: consistency, revisions, and the two kinds of trouble that
//! must never be taken for one another.

use http::Method;
use serde_json::json;

use super::support::{Trouble, World, fixed_rule};

#[tokio::test]
async fn without_a_leader_writes_and_fresh_reads_say_that_nothing_was_changed() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    world.trouble(Trouble::NoLeader);
    let reply = world
        .post("/v2/rules", fixed_rule(&route, 2))
        .fails(503, "cluster_unavailable", None)
        .await;
    assert_eq!(reply.header("retry-after"), Some("2"));
    assert!(!reply.text().contains("10.0.0.1"));
    world
        .get(&format!("/v2/rules/{rule}"))
        .fails(503, "cluster_unavailable", None)
        .await;
    world.trouble(Trouble::None);
    assert_eq!(
        world.get("/v2/rules").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Contract: D-30.
#[tokio::test]
async fn a_full_disk_refuses_what_grows_and_nothing_that_takes_away_or_back() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    let key = world.post("/v2/api_keys", json!({"name": "deploys", "type": "live"}));
    let key = key.created().await["id"].as_str().unwrap().to_owned();
    world.publish(&route).await;
    let draft = format!("/v2/rules/{}", world.rule(&route, 2).await);
    world.trouble(Trouble::StorageFull);
    let reply = world
        .post("/v2/rules", fixed_rule(&route, 3))
        .fails(507, "storage_full", None)
        .await;
    assert_eq!(reply.header("retry-after"), Some("60"));
    assert!(!reply.text().contains("10.0.0.1"), "{}", reply.text());
    let mut create = fixed_rule(&route, 4);
    create["op"] = json!("create");
    let target = json!({"address": "192.0.2.7", "port": 80});
    for growing in [
        world.patch(&format!("/v2/rules/{rule}"), json!({"name": "longer"})),
        world.patch(&format!("/v2/routes/{route}"), json!({"name": "longer"})),
        world.post("/v2/rules/batch", json!({"operations": [create]})),
        world.post(&format!("/v2/upstreams/{upstream}/targets"), target),
        world.post("/v2/api_keys", json!({"name": "more", "type": "live"})),
    ] {
        growing.fails(507, "storage_full", None).await;
    }
    // What takes away, what puts that live, what takes it back, and what keeps others out.
    let act = |path: String| world.request(Method::POST, &path);
    act(format!("/v2/rules/{rule}/pause")).ok().await;
    assert!(world.delete(&draft).send().await.status.is_success());
    world.publish(&route).await;
    let rollback = format!("/v2/routes/{route}/rollback");
    world.post(&rollback, json!({"steps": 1})).ok().await;
    let revoke = format!("/v2/api_keys/{key}/revoke");
    world.post(&revoke, json!({})).ok().await;
    world.get(&format!("/v2/upstreams/{upstream}")).ok().await;
    world.trouble(Trouble::None);
    world
        .post("/v2/rules", fixed_rule(&route, 3))
        .created()
        .await;
}

/// Contract: D-60.
#[tokio::test]
async fn a_stale_read_needs_no_leader_and_says_how_old_it_may_be() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    world.trouble(Trouble::NoLeader);
    for path in [
        format!("/v2/rules/{rule}"),
        format!("/v2/routes/{route}"),
        "/v2/rules".to_owned(),
    ] {
        let reply = world
            .get(&path)
            .header("vectorgate-consistency", "stale")
            .send()
            .await;
        assert_eq!(reply.status.as_u16(), 200, "{path}");
        assert_eq!(
            reply.header("vectorgate-staleness-ms"),
            Some("12"),
            "{path}"
        );
    }
    let fresh = world.get("/livez").send().await;
    assert_eq!(fresh.header("vectorgate-staleness-ms"), None);
}

#[tokio::test]
async fn an_unknown_outcome_is_said_to_be_unknown_and_a_retry_with_the_key_finds_it_out() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let ask = || {
        let key = "550e8400-e29b-41d4-a716-446655440000";
        world
            .post("/v2/rules", fixed_rule(&route, 2))
            .header("idempotency-key", key)
    };
    world.trouble(Trouble::AnswersLost);
    let reply = ask().fails(503, "outcome_unknown", None).await;
    assert!(!reply.text().contains("10.0.0.1"));
    world.trouble(Trouble::None);
    let retried = ask().send().await;
    assert_eq!(
        (
            retried.status.as_u16(),
            retried.header("idempotent-replayed")
        ),
        (201, Some("true"))
    );
    assert_eq!(
        world.get("/v2/rules").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Contract: D-60.
#[tokio::test]
async fn every_response_carries_a_revision_that_a_later_read_has_reached() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let written = world.post("/v2/rules", fixed_rule(&route, 2)).send().await;
    assert_eq!(written.revision(), world.control.applied().0);
    let read = world.get("/v2/rules").send().await;
    assert_eq!(read.revision(), written.revision());
    // A refusal by the log is an entry as well.
    let refused = world.post("/v2/rules", fixed_rule(&route, 2)).send().await;
    assert_eq!(
        (refused.status.as_u16(), refused.revision()),
        (400, written.revision() + 1)
    );
    // What never reached the log shows what the node has applied.
    let unread = world.post("/v2/rules", json!([])).send().await;
    assert_eq!(
        (unread.status.as_u16(), unread.revision()),
        (400, written.revision() + 1)
    );
    assert_eq!(
        world.get("/nothing").send().await.revision(),
        written.revision() + 1
    );
}

#[tokio::test]
async fn an_unknown_consistency_is_refused() {
    let world = World::new();
    for bad in ["", "eventual", "STALE", "at_least"] {
        let ask = world.get("/v2/rules").header("vectorgate-consistency", bad);
        ask.fails(400, "invalid_parameter", Some("VectorGate-Consistency"))
            .await;
    }
    let explicit = world
        .get("/v2/rules")
        .header("vectorgate-consistency", "linearizable");
    explicit.ok().await;
}

#[tokio::test]
async fn a_panic_tells_nothing_but_whether_something_may_have_been_changed() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.trouble(Trouble::Panics);
    let write = |path| world.post(path, fixed_rule(&route, 2));
    for (asking, status, code) in [
        (write("/v2/rules"), 503, "outcome_unknown"),
        (write("/v2/rules?dry_run=true"), 500, "internal_error"),
        (world.get("/v2/rules"), 500, "internal_error"),
    ] {
        let reply = asking.fails(status, code, None).await;
        assert!(!reply.text().contains("secret"));
    }
    world.trouble(Trouble::None);
    world.get("/v2/rules").ok().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_forever_and_a_write_that_hangs_has_an_unknown_outcome() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.trouble(Trouble::Hangs);
    let started = tokio::time::Instant::now();
    world
        .post("/v2/rules", fixed_rule(&route, 2))
        .fails(503, "outcome_unknown", None)
        .await;
    world
        .get("/v2/rules")
        .fails(503, "cluster_unavailable", None)
        .await;
    assert_eq!(started.elapsed().as_secs(), 50);
}

#[tokio::test]
async fn readiness_follows_the_leader_and_liveness_does_not() {
    let world = World::new();
    let ready = world.get("/readyz?verbose").send().await;
    assert_eq!(ready.status.as_u16(), 200);
    assert!(
        ready.text().contains("[+]leader leading, term 3") && ready.text().ends_with("ready\n"),
        "{}",
        ready.text()
    );
    world.trouble(Trouble::NoLeader);
    let unready = world.get("/readyz?verbose").send().await;
    assert_eq!(unready.status.as_u16(), 503);
    assert!(
        unready.text().contains("[-]leader") && unready.text().contains("read_stale_only"),
        "{}",
        unready.text()
    );
    assert_eq!(world.get("/readyz").send().await.text(), "not ready\n");
    assert_eq!(world.get("/livez").send().await.status.as_u16(), 200);
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_status() {
    let world = World::new();
    world.get("/v2/rules").ok().await;
    world.get("/v2/rules/rule_00000000").send().await;
    let text = world.get("/metrics").send().await.text();
    for line in [
        "http_requests_total{operation=\"rules.list\",status=\"200\"} 1",
        "http_requests_total{operation=\"rules.get\",status=\"404\"} 1",
        "http_request_duration_seconds_count{operation=\"rules.list\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
