//! What endpoints are sent, as their owners see it: the real dispatcher over the state machine in
//! memory, and receivers that do what the test says. Time is virtual; the wall clock is moved by
//! hand.

mod stopping;

use std::sync::Arc;
use std::time::Duration;

use domain::command::{Command, RecordDeliveries, Stamped};
use domain::id::{RequestId, WebhookEndpointId};
use domain::time::Timestamp;
use http::{HeaderValue, Method};
use platform::{Clock, Entropy};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::receivers::{Behaviour, Posted};
use super::support::{Trouble, World, fixed_rule};
use crate::webhooks::dispatcher::Dispatcher;
use crate::webhooks::metrics::WebhookMetrics;
use crate::webhooks::worker::Shared;

const URL: &str = "https://hooks.example.net/in";
const OTHER: &str = "https://hooks.example.net/other";

/// Long enough, in virtual time, for whatever would happen by itself to have happened.
const A_WHILE: Duration = Duration::from_secs(30);

fn dispatch(world: &World) -> Dispatcher {
    counted(world).0
}

/// A dispatcher, and what it counts.
fn counted(world: &World) -> (Dispatcher, Registry) {
    let mut registry = Registry::default();
    let dispatcher = Dispatcher::start(Shared {
        control: world.control.clone(),
        courier: world.receivers.courier(world.control.clone(), &world.clock),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        metrics: WebhookMetrics::register(&mut registry),
        tracer: platform::trace::Tracer::off(),
        traces: crate::traces::Traces::default(),
    });
    (dispatcher, registry)
}

/// Waits until a gauge has a value.
async fn gauge(registry: &Registry, name: &str, value: u64) {
    let line = format!("{name} {value}");
    let shows = || {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text.lines().any(|one| one == line)
    };
    let changing = async {
        while !shows() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(A_WHILE, changing)
        .await
        .unwrap_or_else(|_| panic!("{line}"));
}

async fn endpoint(world: &World, body: Value) -> String {
    let made = world.post("/v2/webhook_endpoints", body).created().await;
    format!("/v2/webhook_endpoints/{}", made["id"].as_str().unwrap())
}

async fn deliveries(world: &World) -> Vec<Value> {
    let list = world.get("/v2/webhook_deliveries?limit=100").ok().await;
    list["data"].as_array().unwrap().clone()
}

fn with_status(deliveries: &[Value], status: &str) -> usize {
    let those = deliveries.iter().filter(|one| one["status"] == status);
    those.count()
}

/// Waits until so many requests have arrived.
async fn posted(world: &World, url: &str, count: usize) -> Vec<Posted> {
    let arriving = async {
        while world.receivers.posted(url).len() < count {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(A_WHILE, arriving).await.expect("they arrive");
    world.receivers.posted(url)
}

/// Waits until so many deliveries have that status.
async fn settled(world: &World, status: &str, count: usize) -> Vec<Value> {
    let settling = async {
        loop {
            let all = deliveries(world).await;
            if with_status(&all, status) >= count {
                return all;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(A_WHILE, settling).await.expect("they settle")
}

fn ids(posted: &[Posted]) -> Vec<&str> {
    let ids = posted.iter().map(|one| one.header("webhook-id").unwrap());
    ids.collect()
}

/// Contract.
#[tokio::test(start_paused = true)]
async fn every_event_is_sent_once_as_the_api_shows_it() {
    let world = World::new();
    endpoint(&world, json!({"url": URL})).await;
    let dispatcher = dispatch(&world);
    let (route, _) = world.route("api.example.net").await;
    world.rule(&route, 10).await;
    world.publish(&route).await;
    let events = world.get("/v2/events").ok().await["data"].clone();
    let events = events.as_array().unwrap();
    let all = settled(&world, "succeeded", events.len()).await;
    sleep(A_WHILE).await;
    let posted = world.receivers.posted(URL);
    assert_eq!(posted.len(), events.len());
    for event in events {
        let id = event["id"].as_str().unwrap();
        let sent = posted
            .iter()
            .find(|sent| sent.header("webhook-id") == Some(id));
        assert_eq!(sent.unwrap().json(), *event);
        let delivery = all.iter().find(|one| one["event_id"] == id).unwrap();
        assert_eq!(delivery["attempts"][0]["response_head"], "hello");
        assert_eq!(delivery["attempts"][0]["latency_ms"], 7);
    }
    dispatcher.shut_down().await;
}

/// Contract: R-54.
#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_repeated_when_its_time_has_come_and_not_before() {
    let world = World::new();
    let script = [
        Behaviour::Say(500),
        Behaviour::Unreachable,
        Behaviour::Say(204),
    ];
    world.receivers.script(URL, script);
    endpoint(
        &world,
        json!({"url": URL, "enabled_events": ["route.created"]}),
    )
    .await;
    let _dispatcher = dispatch(&world);
    world.route("api.example.net").await;
    settled(&world, "pending", 1).await;
    sleep(A_WHILE).await;
    assert_eq!(world.receivers.posted(URL).len(), 1);
    world.advance_ms(1_100);
    posted(&world, URL, 2).await;
    world.advance_ms(29_000);
    sleep(A_WHILE).await;
    assert_eq!(world.receivers.posted(URL).len(), 2);
    world.advance_ms(4_000);
    let sent = posted(&world, URL, 3).await;
    let all = settled(&world, "succeeded", 1).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["attempt_count"], 3);
    let outcomes: Vec<_> = all[0]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (&attempt["response_status"], &attempt["error"]))
        .collect();
    let expected = [
        (&json!(500), &Value::Null),
        (&Value::Null, &json!("cannot connect")),
        (&json!(204), &Value::Null),
    ];
    assert_eq!(outcomes, expected);
    let ids = ids(&sent);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // Each attempt is signed with its own time.
    let signed_at = |sent: &Posted| sent.header("webhook-timestamp").unwrap().to_owned();
    assert_ne!(signed_at(&sent[0]), signed_at(&sent[2]));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_counted_and_the_age_of_the_oldest_told() {
    let world = World::new();
    let script = [
        Behaviour::Say(500),
        Behaviour::Say(500),
        Behaviour::Say(204),
    ];
    world.receivers.script(URL, script);
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    endpoint(&world, body).await;
    let (dispatcher, registry) = counted(&world);
    let (pending, oldest) = (
        "webhook_deliveries_pending",
        "webhook_deliveries_oldest_seconds",
    );
    gauge(&registry, pending, 0).await;
    world.route("api.example.net").await;
    gauge(&registry, pending, 1).await;
    world.advance_ms(1_100);
    posted(&world, URL, 2).await;
    // The third attempt is half a minute away.
    world.advance_ms(10_000);
    gauge(&registry, oldest, 11).await;
    world.advance_ms(60_000);
    gauge(&registry, pending, 0).await;
    gauge(&registry, oldest, 0).await;
    dispatcher.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_not_late_by_as_much_as_the_log_is_ahead_of_the_clock() {
    let world = World::new();
    world.receivers.script(
        URL,
        [
            Behaviour::Say(500),
            Behaviour::Say(500),
            Behaviour::Say(204),
        ],
    );
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    endpoint(&world, body).await;
    // An entry of a node whose clock is an hour fast.
    let at = Timestamp(world.clock.now().0 + 3_600_000);
    let command = RecordDeliveries {
        environment_id: world.control.environment("production"),
        endpoint_id: WebhookEndpointId::new(world.entropy.seed(at)),
        delivered: Default::default(),
        attempts: Vec::new(),
    };
    let stamped = Stamped {
        at,
        request_id: RequestId::new(world.entropy.seed(at)),
        idempotency: None,
        command: Command::RecordDeliveries(command),
        origin: Default::default(),
        precondition: None,
    };
    world.control.apply(&stamped).reply.unwrap();
    let _dispatcher = dispatch(&world);
    world.route("api.example.net").await;
    let sent = posted(&world, URL, 1).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.receivers.posted(URL).len(), 2);
    // The second delay is half a minute, by the log's time as well.
    sleep(Duration::from_secs(20)).await;
    assert_eq!(world.receivers.posted(URL).len(), 2);
    sleep(Duration::from_secs(20)).await;
    let all = settled(&world, "succeeded", 1).await;
    assert_eq!(all[0]["event_id"], ids(&sent)[0]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_holds_nobody_else_up() {
    let world = World::new();
    world.receivers.script(URL, [Behaviour::Hang]);
    endpoint(&world, json!({"url": URL})).await;
    endpoint(&world, json!({"url": OTHER})).await;
    let _dispatcher = dispatch(&world);
    for number in 0..5 {
        world.route(&format!("{number}.example.net")).await;
    }
    let events = world.get("/v2/events").ok().await["data"].clone();
    let count = events.as_array().unwrap().len();
    posted(&world, OTHER, count).await;
    let all = settled(&world, "succeeded", count).await;
    assert_eq!(all.len(), count);
    assert!(!world.receivers.posted(URL).is_empty());
}

/// Contract: D-58.
#[tokio::test(start_paused = true)]
async fn an_attempt_whose_record_is_lost_is_made_again_with_the_same_event() {
    for trouble in [Trouble::NoLeader, Trouble::AnswersLost] {
        let world = World::new();
        let gate = Arc::new(Semaphore::new(0));
        let script = [Behaviour::Wait(Arc::clone(&gate), 200), Behaviour::Say(200)];
        world.receivers.script(URL, script);
        let body = json!({"url": URL, "enabled_events": ["route.created"]});
        endpoint(&world, body).await;
        let dispatcher = dispatch(&world);
        world.route("api.example.net").await;
        posted(&world, URL, 1).await;
        world.trouble(trouble);
        gate.add_permits(1);
        sleep(A_WHILE).await;
        assert_eq!(world.receivers.posted(URL).len(), 1);
        world.trouble(Trouble::None);
        settled(&world, "succeeded", 1).await;
        sleep(A_WHILE).await;
        let sent = world.receivers.posted(URL);
        // What was applied although nobody heard of it is not sent again.
        let times = if trouble == Trouble::NoLeader { 2 } else { 1 };
        assert_eq!(sent.len(), times, "{trouble:?}");
        assert_eq!(ids(&sent)[0], ids(&sent)[times - 1]);
        assert_eq!(deliveries(&world).await.len(), 1);
        dispatcher.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_disabled_endpoint_gets_nothing_and_starts_afresh_when_it_is_enabled() {
    let world = World::new();
    let gate = Arc::new(Semaphore::new(0));
    let script = [Behaviour::Wait(Arc::clone(&gate), 500), Behaviour::Say(200)];
    world.receivers.script(URL, script);
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    let path = endpoint(&world, body).await;
    let _dispatcher = dispatch(&world);
    world.route("one.example.net").await;
    posted(&world, URL, 1).await;
    let switch = |word| world.request(Method::POST, &format!("{path}/{word}"));
    switch("disable").ok().await;
    gate.add_permits(1);
    settled(&world, "pending", 1).await;
    world.advance_ms(60_000);
    world.route("two.example.net").await;
    sleep(A_WHILE).await;
    assert_eq!(world.receivers.posted(URL).len(), 1);
    switch("enable").ok().await;
    let (three, _) = world.route("three.example.net").await;
    // The retry that waited, and what happened since; what happened meanwhile is left out.
    let sent = posted(&world, URL, 3).await;
    sleep(A_WHILE).await;
    assert_eq!(world.receivers.posted(URL).len(), 3);
    assert!(
        sent.iter()
            .any(|sent| sent.json()["data"]["route_id"] == three.as_str())
    );
    assert_eq!(
        ids(&sent).iter().filter(|id| **id == ids(&sent)[0]).count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_an_endpoint_was_enabled_is_sent_also_when_it_was_disabled_since() {
    let world = World::new();
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    let path = endpoint(&world, body).await;
    let switch = |word| world.request(Method::POST, &format!("{path}/{word}"));
    let mut expected = Vec::new();
    for round in 0..3 {
        // Nobody delivers: the cluster is between two leaders.
        expected.push(world.route(&format!("{round}.example.net")).await.0);
        switch("disable").ok().await;
        world.route(&format!("{round}.example.org")).await;
        switch("enable").ok().await;
    }
    let _dispatcher = dispatch(&world);
    settled(&world, "succeeded", 3).await;
    sleep(A_WHILE).await;
    let posted = world.receivers.posted(URL);
    let routes: Vec<_> = posted
        .iter()
        .map(|sent| sent.json()["data"]["route_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(routes.len(), 3);
    assert!(expected.iter().all(|route| routes.contains(route)));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let world = World::new();
    world.receivers.script(URL, [Behaviour::Say(410)]);
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    let path = endpoint(&world, body).await;
    let _dispatcher = dispatch(&world);
    world.route("one.example.net").await;
    settled(&world, "failed", 1).await;
    assert_eq!(world.get(&path).ok().await["disabled_reason"], "gone");
    world.advance_ms(60_000);
    world.route("two.example.net").await;
    sleep(A_WHILE).await;
    assert_eq!(world.receivers.posted(URL).len(), 1);
}

/// Contract: D-57.
#[tokio::test(start_paused = true)]
async fn what_waits_for_an_endpoint_fails_when_it_is_removed_whether_or_not_it_was_enabled() {
    for disabled in [false, true] {
        let world = World::new();
        world.receivers.script(URL, [Behaviour::Say(500)]);
        let path = endpoint(&world, json!({"url": URL})).await;
        let _dispatcher = dispatch(&world);
        for number in 0..20 {
            world.route(&format!("{number}.example.net")).await;
        }
        settled(&world, "pending", 20).await;
        if disabled {
            let disable = format!("{path}/disable");
            world.request(Method::POST, &disable).ok().await;
            sleep(A_WHILE).await;
        }
        world.delete(&path).ok().await;
        let all = settled(&world, "failed", 20).await;
        assert_eq!(with_status(&all, "pending"), 0, "disabled: {disabled}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_secrets_sign_as_long_as_both_are_good() {
    for sealed in [false, true] {
        both_secrets_sign(sealed).await;
    }
}

async fn both_secrets_sign(sealed: bool) {
    let world = World::new();
    if sealed {
        world.control.seal_under_a_key();
    }
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    let made = world.post("/v2/webhook_endpoints", body).created().await;
    let path = format!("/v2/webhook_endpoints/{}", made["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate_secret");
    let rotated = world.post(&rotate, json!({"grace_seconds": 60})).ok().await;
    let _dispatcher = dispatch(&world);
    world.route("one.example.net").await;
    posted(&world, URL, 1).await;
    world.advance_ms(60_000);
    world.route("two.example.net").await;
    let sent = posted(&world, URL, 2).await;
    let signed_twice = |sent: &Posted| sent.header("vectorgate-signature-previous").is_some();
    assert_eq!(
        (signed_twice(&sent[0]), signed_twice(&sent[1])),
        (true, false)
    );
    let secrets = [rotated, made].map(|object| object["secret"].as_str().unwrap().to_owned());
    let at = sent[0].header("webhook-timestamp").unwrap();
    let mut expected = crate::webhooks::signature::headers(
        sent[0].header("webhook-id").unwrap(),
        &secrets,
        at.parse().unwrap(),
        &sent[0].body,
    );
    expected.insert("vectorgate-version", HeaderValue::from_static("2026-01-14"));
    assert_eq!(sent[0].headers, expected);
}

#[tokio::test(start_paused = true)]
async fn events_that_an_endpoint_does_not_want_cost_little_and_end() {
    let world = World::new();
    let body = json!({"url": URL, "enabled_events": ["route.rollback"]});
    endpoint(&world, body).await;
    let _dispatcher = dispatch(&world);
    for number in 0..100 {
        let body = json!({"name": format!("origin {number}"), "targets": []});
        world.post("/v2/upstreams", body).send().await;
        world.route(&format!("{number}.example.net")).await;
    }
    let before = world.control.applied();
    sleep(A_WHILE).await;
    let recorded = world.control.applied();
    assert!(
        recorded > before && recorded.0 - before.0 <= 3,
        "{before:?}"
    );
    sleep(A_WHILE).await;
    assert_eq!(world.control.applied(), recorded);
    assert!(world.receivers.posted(URL).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sample_is_sent_at_once_and_nothing_of_it_is_stored() {
    let world = World::new();
    let path = endpoint(&world, json!({"url": URL})).await;
    let before = world.control.applied();
    let test = format!("{path}/test");
    let answer = world.request(Method::POST, &test).ok().await;
    let sent = world.receivers.posted(URL)[0].clone();
    let event = sent.json();
    assert_eq!(
        answer,
        json!({
            "object": "webhook_test",
            "environment": "production",
            "endpoint_id": path.rsplit('/').next().unwrap(),
            "event_id": event["id"],
            "event_type": "route.published",
            "delivered": true,
            "response_status": 200,
            "error": null,
            "latency_ms": 7,
            "response_head": "hello",
        })
    );
    assert_eq!(
        (&event["test"], &event["type"]),
        (&json!(true), &json!("route.published"))
    );
    assert_eq!(event["data"]["region"], "global");
    assert!(sent.header("vectorgate-signature").is_some());
    world.receivers.script(URL, [Behaviour::Unreachable]);
    let refused = world
        .post(&test, json!({"type": "rule.created"}))
        .ok()
        .await;
    assert_eq!(
        (
            &refused["delivered"],
            &refused["error"],
            &refused["event_type"]
        ),
        (
            &json!(false),
            &json!("cannot connect"),
            &json!("rule.created")
        )
    );
    assert_eq!(world.control.applied(), before);
    assert!(deliveries(&world).await.is_empty());
    for (body, code, param) in [
        (json!({"type": "boom"}), "invalid_parameter", "type"),
        (json!({"url": URL}), "unknown_parameter", "url"),
    ] {
        world.post(&test, body).fails(400, code, Some(param)).await;
    }
    world
        .request(Method::POST, "/v2/webhook_endpoints/wh_00000000/test")
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test(start_paused = true)]
async fn many_events_of_one_change_are_recorded_as_they_are_sent_and_none_comes_twice() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let gate = Arc::new(Semaphore::new(8));
    world
        .receivers
        .script(URL, [Behaviour::Wait(Arc::clone(&gate), 200)]);
    let body = json!({"url": URL, "enabled_events": ["rule.created"]});
    endpoint(&world, body).await;
    let _dispatcher = dispatch(&world);
    let operations: Vec<_> = (1..=20)
        .map(|priority| {
            let mut create = fixed_rule(&route, priority);
            create["op"] = json!("create");
            create
        })
        .collect();
    let body = json!({"operations": operations});
    world.post("/v2/rules/batch", body).ok().await;
    let sent = posted(&world, URL, 16).await;
    assert_eq!(with_status(&deliveries(&world).await, "succeeded"), 8);
    // The record of what is under way is lost; what was recorded before is not.
    world.trouble(Trouble::NoLeader);
    gate.add_permits(100);
    sleep(A_WHILE).await;
    world.trouble(Trouble::None);
    let all = settled(&world, "succeeded", 20).await;
    sleep(A_WHILE).await;
    assert_eq!(all.len(), 20);
    let sent_in_all = world.receivers.posted(URL);
    assert_eq!(sent_in_all.len(), 28);
    assert!(ids(&sent_in_all[..8]).iter().all(|done| {
        let times = sent_in_all
            .iter()
            .filter(|one| ids(std::slice::from_ref(*one)) == [*done]);
        times.count() == 1
    }));
    assert_eq!(sent.len(), 16);
}
