//! Webhook endpoints and deliveries, as far as the API goes.

use domain::command::{Command, RecordDeliveries, RecordedAttempt, Stamped};
use domain::id::{EventId, RequestId, Seed, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{DeliveryAttempt, JournalPlace, NoticeKind};
use http::Method;
use serde_json::{Value, json};

use super::support::World;

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
        delivered: JournalPlace::default(),
        attempts: vec![RecordedAttempt {
            delivery_id: delivery_id.clone(),
            event_id: EventId::new(seed),
            kind: NoticeKind::RuleCreated,
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
    world
        .post(&path, json!({"endpoint_ids": ["wh_00000000"]}))
        .fails(404, "resource_not_found", Some("endpoint_ids"))
        .await;
}
