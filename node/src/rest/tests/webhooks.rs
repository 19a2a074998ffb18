//! Webhook endpoints and deliveries, as far as the API goes.

use domain::command::{Command, RecordDeliveries, RecordedAttempt, Stamped};
use domain::id::{EventId, RequestId, Seed, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{DeliveryAttempt, NoticeKind, NoticePlace, SealedKey, SecretPlace};
use domain::query;
use http::Method;
use serde_json::{Value, json};

use super::support::{Trouble, World, keys};

const URL: &str = "https://hooks.example.net/in";

async fn endpoint(world: &World) -> Value {
    world
        .post("/v2/webhook_endpoints", json!({"url": URL}))
        .created()
        .await
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_endpoint_shows_its_secret_when_it_is_made_or_rotated_and_never_again() {
    let world = World::new();
    let key = "550e8400-e29b-41d4-a716-446655440000";
    let create = world
        .post(
            "/v2/webhook_endpoints",
            json!({"url": URL, "enabled_events": ["route.published", "rule.created"]}),
        )
        .header("idempotency-key", key);
    let made = create.clone().created().await;
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let again = create.send().await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), made);
    let path = format!("/v2/webhook_endpoints/{}", id(&made));
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    let expected = json!({
        "id": made["id"],
        "object": "webhook_endpoint",
        "environment": "production",
        "url": URL,
        "enabled_events": ["rule.created", "route.published"],
        "description": null,
        "api_version": "2026-01-14",
        "status": "enabled",
        "disabled_reason": null,
        "failing_since": null,
        "secret_generation": 1,
        "previous_secret_expires_at": null,
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "updated_at": null,
    });
    assert_eq!(shown, expected);
    assert_eq!(world.get(&path).ok().await, expected);
    assert_eq!(
        world.get("/v2/webhook_endpoints").ok().await["data"],
        json!([expected])
    );
    let rotate = format!("{path}/rotate_secret");
    let rotated = world.post(&rotate, json!({"grace_seconds": 60})).ok().await;
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["previous_secret_expires_at"], 1_714_320_060);
}

#[tokio::test]
async fn where_the_cluster_has_a_key_secrets_are_drawn_and_kept_sealed() {
    let world = World::new();
    let derived = endpoint(&world).await;
    world.control.seal_under_a_key();
    let key = "550e8400-e29b-41d4-a716-446655440000";
    let create = world
        .post("/v2/webhook_endpoints", json!({"url": URL}))
        .header("idempotency-key", key);
    let made = create.clone().created().await;
    let secret = |object: &Value| object["secret"].as_str().unwrap().to_owned();
    let of_pepper = |object: &Value, generation| {
        let secret = keys().derived_webhook_secret(&id(object), generation);
        secret.reveal().to_owned()
    };
    assert_eq!(secret(&derived), of_pepper(&derived, 1));
    assert_ne!(secret(&made), of_pepper(&made, 1));
    let rotate = |object: &Value| {
        let path = format!("/v2/webhook_endpoints/{}/rotate_secret", id(object));
        world.post(&path, json!({"grace_seconds": 60}))
    };
    let rotated = rotate(&made).ok().await;
    assert_ne!(secret(&rotated), of_pepper(&made, 2));
    // A retry is told the same as long as the secret may sign, and after that none.
    assert_eq!(create.clone().send().await.json(), made);
    rotate(&made).ok().await;
    assert_eq!(create.send().await.json()["secret"], Value::Null);
    let rotated = rotate(&derived).ok().await;
    assert_ne!(secret(&rotated), of_pepper(&derived, 2));

    let rows = world.control.rows();
    let under = keys().keks().wanted();
    let mut found = Vec::new();
    query::each_secret(&rows, |place, sealed| {
        let kek = sealed.and_then(SealedKey::kek);
        let SecretPlace::WebhookSecret { generation, .. } = place else {
            return;
        };
        found.push((generation.0, kek));
    });
    found.sort_unstable();
    // The one that was derived stays so until the leader seals it.
    let expected = [(1, None), (2, under), (2, under), (3, under)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn another_key_does_not_get_a_secret_by_repeating_the_request() {
    let world = World::new();
    let other = world.restricted(json!({})).await;
    let made = endpoint(&world).await;
    let rotate = format!("/v2/webhook_endpoints/{}/rotate_secret", id(&made));
    for (path, body, key) in [
        (
            "/v2/webhook_endpoints",
            json!({"url": URL}),
            "550e8400-e29b-41d4-a716-446655440000",
        ),
        (&rotate, json!({}), "550e8400-e29b-41d4-a716-446655440001"),
    ] {
        let ask = world.post(path, body).header("idempotency-key", key);
        let first = ask.clone().send().await;
        assert!(first.json()["secret"].is_string(), "{}", first.text());
        assert_eq!(ask.clone().send().await.bytes, first.bytes);
        ask.key(&other)
            .fails(409, "idempotency_key_reused", None)
            .await;
    }
}

/// Nobody may take an answer for whole that lacks the secret: it is never shown again.
#[tokio::test]
async fn a_node_that_ends_before_it_can_show_a_secret_says_that_the_outcome_is_unknown() {
    for rotates in [false, true] {
        let world = World::new();
        let made = endpoint(&world).await;
        let ask = if rotates {
            let rotate = format!("/v2/webhook_endpoints/{}/rotate_secret", id(&made));
            world.post(&rotate, json!({}))
        } else {
            world.post("/v2/webhook_endpoints", json!({"url": URL}))
        };
        let before = world.control.applied();
        world.trouble(Trouble::Ends);
        ask.fails(503, "outcome_unknown", None).await;
        assert!(world.control.applied() > before);
    }
}

#[tokio::test]
async fn a_secret_that_is_only_judged_is_not_told() {
    let world = World::new();
    let body = json!({"url": URL});
    let path = "/v2/webhook_endpoints?dry_run=true";
    let judged = world.post(path, body).created().await;
    assert_eq!(judged["secret"], Value::Null);
    let made = endpoint(&world).await;
    let rotate = format!("/v2/webhook_endpoints/{}/rotate_secret", id(&made));
    let dry = format!("{rotate}?dry_run=true");
    let judged = world.post(&dry, json!({})).ok().await;
    let object = judged.as_object().unwrap();
    assert_eq!(object.get("secret"), Some(&Value::Null));
    assert_eq!(judged["secret_generation"], 2);
    let rotated = world.post(&rotate, json!({})).ok().await;
    assert!(rotated["secret"].is_string());
}

#[tokio::test]
async fn an_endpoint_is_changed_disabled_enabled_and_removed() {
    let world = World::new();
    let made = endpoint(&world).await;
    let path = format!("/v2/webhook_endpoints/{}", id(&made));
    let changed = world
        .patch(
            &path,
            json!({"description": "orders", "enabled_events": ["*"]}),
        )
        .ok()
        .await;
    assert_eq!(changed["description"], "orders");
    assert_eq!(changed["enabled_events"], json!(["*"]));
    let disable = format!("{path}/disable");
    let disabled = world.request(Method::POST, &disable).ok().await;
    assert_eq!(
        (&disabled["status"], &disabled["disabled_reason"]),
        (&json!("disabled"), &json!("requested"))
    );
    let enable = format!("{path}/enable");
    assert_eq!(
        world.request(Method::POST, &enable).ok().await["status"],
        "enabled"
    );
    assert_eq!(world.delete(&path).ok().await["deleted"], true);
    world
        .get(&path)
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn what_cannot_be_an_endpoint_is_refused_by_name() {
    let world = World::new();
    for (body, code, param) in [
        (json!({}), "parameter_missing", "url"),
        (
            json!({"url": "https://10.0.0.1/"}),
            "invalid_parameter",
            "url",
        ),
        (
            json!({"url": URL, "secret": "s"}),
            "unknown_parameter",
            "secret",
        ),
        (
            json!({"url": URL, "enabled_events": ["rule.created", "boom"]}),
            "invalid_parameter",
            "enabled_events[1]",
        ),
    ] {
        world
            .post("/v2/webhook_endpoints", body)
            .fails(400, code, Some(param))
            .await;
    }
    let made = endpoint(&world).await;
    let path = format!("/v2/webhook_endpoints/{}", id(&made));
    for key in [&world.test, &world.stranger] {
        world
            .get(&path)
            .key(key)
            .fails(404, "resource_not_found", None)
            .await;
    }
}

/// Records an attempt as whoever delivers does.
fn record(world: &World, endpoint: &Value, number: u64, status: u16) -> String {
    let seed = Seed {
        unix_ms: 1_714_320_000_000 + number,
        random: number,
    };
    let caller = world.control.environment("production");
    let delivery_id = WebhookDeliveryId::new(seed);
    let command = RecordDeliveries {
        environment_id: caller,
        endpoint_id: WebhookEndpointId::parse(endpoint["id"].as_str().unwrap()).unwrap(),
        delivered: NoticePlace::default(),
        attempts: vec![RecordedAttempt {
            delivery_id: delivery_id.clone(),
            event_id: EventId::new(seed),
            event_at: NoticePlace::default(),
            kind: NoticeKind::RuleCreated,
            retries_used: 0,
            attempt: DeliveryAttempt {
                at: domain::time::Timestamp(1_714_320_000_000),
                status: Some(status),
                error: None,
                latency_ms: 12,
                head: "thanks".to_owned(),
            },
            jitter: 0,
        }],
    };
    let stamped = Stamped {
        at: domain::time::Timestamp(1_714_320_000_000),
        request_id: RequestId::new(seed),
        idempotency: None,
        command: Command::RecordDeliveries(command),
        origin: Default::default(),
        precondition: None,
    };
    world.control.apply(&stamped).reply.unwrap();
    delivery_id.to_string()
}

/// Contract: R-54.
#[tokio::test]
async fn deliveries_show_their_attempts_and_are_retried_by_hand() {
    let world = World::new();
    let made = endpoint(&world).await;
    let failed = record(&world, &made, 1, 500);
    let taken = record(&world, &made, 2, 204);
    let list = world.get("/v2/webhook_deliveries").ok().await;
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(ids, [taken.clone(), failed.clone()]);
    let delivery = &list["data"][1];
    assert_eq!(delivery["status"], "pending");
    assert_eq!(delivery["next_attempt_at"], 1_714_320_001);
    assert_eq!(
        delivery["attempts"],
        json!([{
            "at": 1_714_320_000,
            "succeeded": false,
            "response_status": 500,
            "error": null,
            "latency_ms": 12,
            "response_head": "thanks",
        }])
    );
    let filtered = world
        .get("/v2/webhook_deliveries?status=succeeded")
        .ok()
        .await;
    assert_eq!(filtered["data"].as_array().unwrap().len(), 1);
    let path = format!("/v2/webhook_deliveries/{taken}");
    assert_eq!(world.get(&path).ok().await["status"], "succeeded");
    let retry = format!("{path}/retry");
    let again = world.request(Method::POST, &retry).ok().await;
    assert_eq!(
        (&again["status"], &again["next_attempt_at"]),
        (&json!("pending"), &json!(1_714_320_000))
    );
    let disable = format!("/v2/webhook_endpoints/{}/disable", id(&made));
    world.request(Method::POST, &disable).ok().await;
    world
        .request(Method::POST, &retry)
        .fails(422, "endpoint_disabled", None)
        .await;
}

#[tokio::test]
async fn an_event_is_replayed_to_all_or_to_named_endpoints() {
    let world = World::new();
    world.upstream().await;
    world.route("api.example.net").await;
    let first = endpoint(&world).await;
    endpoint(&world).await;
    let events = world.get("/v2/events").ok().await;
    let path = format!("/v2/events/{}/replay", id(&events["data"][0]));
    let all = world.request(Method::POST, &path).ok().await;
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    let one = world
        .post(&path, json!({"endpoint_ids": [first["id"]]}))
        .ok()
        .await;
    assert_eq!(one["data"][0]["endpoint_id"], first["id"]);
    assert_eq!(one["data"][0]["event_id"], events["data"][0]["id"]);
    for ids in [vec![&first["id"]; 2], vec![&first["id"]; 51]] {
        world
            .post(&path, json!({"endpoint_ids": ids}))
            .fails(400, "invalid_parameter", Some("endpoint_ids"))
            .await;
    }
    world
        .post(&path, json!({"endpoint_ids": ["wh_00000000"]}))
        .fails(404, "resource_not_found", Some("endpoint_ids"))
        .await;
}

/// Contract: D-16.
#[tokio::test]
async fn an_endpoint_is_pinned_to_a_release_and_told_which_one_shows_it_events() {
    let world = World::new();
    let pin = |date: &str| json!({ "api_version": date });
    world.patch("/v2/workspace", pin("2025-08-25")).ok().await;
    let made = endpoint(&world).await;
    assert_eq!(made["api_version"], "2025-08-20", "the workspace's");
    // What the workspace is pinned to afterwards is its own matter.
    world.patch("/v2/workspace", pin("2026-01-14")).ok().await;
    let path = format!("/v2/webhook_endpoints/{}", id(&made));
    let test = format!("{path}/test");
    for (change, release) in [
        (json!({}), "2025-08-20"),
        (pin("2025-03-05"), "2025-03-05"),
        (pin("2026-01-14"), "2026-01-14"),
    ] {
        let shown = world.patch(&path, change).ok().await;
        assert_eq!(shown["api_version"], release);
        world.request(Method::POST, &test).ok().await;
        let posted = world.receivers.posted(URL).pop().unwrap();
        assert_eq!(posted.header("vectorgate-version"), Some(release));
    }
    let chosen = json!({"url": URL, "api_version": "2025-03-05"});
    let chosen = world.post("/v2/webhook_endpoints", chosen).created().await;
    assert_eq!(chosen["api_version"], "2025-03-05");
    for bad in ["", "latest", "2027-01-01"] {
        let param = Some("api_version");
        let asking = world.patch(&path, pin(bad));
        asking.fails(400, "invalid_api_version", param).await;
        let asking = world.post(
            "/v2/webhook_endpoints",
            json!({"url": URL, "api_version": bad}),
        );
        asking.fails(400, "invalid_api_version", param).await;
    }
}
