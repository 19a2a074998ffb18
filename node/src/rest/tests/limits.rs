//! Rate limits as clients see them: the headers, the refusals, and what they say about the future.
//! Requests are counted on tokio's clock, which stands still here; the clock of the headers is
//! set by hand.

use std::time::Duration;

use serde_json::json;
use tokio::time::advance;

use super::support::{Asking, Reply, START_MS, Trouble, World, fixed_rule};
use crate::settings::LimitSettings;

/// The plan of the strangers' workspace allows so many.
const FREE: u64 = 60;

/// Limit, remaining and reset.
fn key_limit(reply: &Reply) -> Option<[u64; 3]> {
    numbers(reply, ["limit", "remaining", "reset"])
}

fn route_limit(reply: &Reply) -> Option<[u64; 3]> {
    numbers(reply, ["route-limit", "route-remaining", "route-reset"])
}

fn numbers(reply: &Reply, names: [&str; 3]) -> Option<[u64; 3]> {
    let found = names.map(|name| {
        let text = reply.header(&format!("x-ratelimit-{name}"))?;
        Some(text.parse().unwrap())
    });
    match found {
        [Some(limit), Some(remaining), Some(reset)] => Some([limit, remaining, reset]),
        [None, None, None] => None,
        some => panic!("{some:?}"),
    }
}

fn retry_after(reply: &Reply) -> u64 {
    reply.header("retry-after").unwrap().parse().unwrap()
}

impl World {
    /// A request of the workspace with the free plan.
    fn strangers(&self, path: &str) -> Asking<'_> {
        self.get(path).key(&self.stranger)
    }

    /// Both clocks.
    async fn pass_s(&self, seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
        self.advance_ms(seconds * 1_000);
    }
}

fn enterprise(requests: u32, route_mutations: u32) -> World {
    World::with_limits(LimitSettings {
        enterprise_requests_per_minute: requests,
        enterprise_route_mutations_per_minute: route_mutations,
        ..LimitSettings::default()
    })
}

/// Contract: R-70.
#[tokio::test(start_paused = true)]
async fn every_answer_to_a_known_key_says_how_its_limit_stands() {
    let world = World::new();
    let now = START_MS / 1_000;
    let asked = [
        (world.strangers("/v2/rules"), 200),
        (world.strangers("/v2/rules/rule_none"), 404),
        (world.strangers("/v2/rules?colour=red"), 400),
        (world.post("/v2/rules", json!({})).key(&world.stranger), 400),
        (
            world
                .post("/v2/rules", json!({}))
                .key(&world.stranger)
                .raw("x".repeat(300_000)),
            413,
        ),
    ];
    for (used, (asking, status)) in (1..).zip(asked) {
        let reply = asking.send().await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
        let [limit, remaining, reset] = key_limit(&reply).unwrap();
        assert_eq!((limit, remaining), (FREE, FREE - used));
        assert!((now + 60..=now + 62).contains(&reset), "{reset}");
        assert_eq!(reply.header("retry-after"), None);
        assert_eq!(route_limit(&reply), None);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_node_say_it_too() {
    let world = World::new();
    for (trouble, status) in [
        (Trouble::NoLeader, 503),
        (Trouble::Panics, 503),
        (Trouble::Hangs, 503),
    ] {
        // Known by now.
        world.trouble(Trouble::None);
        world.get("/v2/rules").ok().await;
        world.trouble(trouble);
        let body = json!({"name": "a", "targets": [{"address": "192.0.2.1", "port": 80}]});
        let reply = world.post("/v2/upstreams", body).send().await;
        assert_eq!(reply.status.as_u16(), status, "{trouble:?}");
        assert!(key_limit(&reply).is_some(), "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_known_has_no_limit_to_hear_of() {
    let world = World::new();
    let wrong = world.live.replace("live", "test");
    for asking in [
        world.get("/v2/rules").without("authorization"),
        world.get("/v2/rules").key(&wrong),
        world.get("/livez"),
        world.get("/v2/nothing"),
    ] {
        assert_eq!(key_limit(&asking.send().await), None);
    }
}

/// Contract: R-70, D-59.
#[tokio::test(start_paused = true)]
async fn beyond_its_limit_a_key_is_refused_until_the_second_that_it_was_told() {
    let world = World::new();
    world.strangers("/v2/rules").ok().await;
    world.pass_s(20).await;
    for _ in 1..FREE {
        world.strangers("/v2/rules").ok().await;
    }
    let refused = || {
        world
            .strangers("/v2/rules")
            .fails(429, "rate_limit_exceeded", None)
    };
    let reply = refused().await;
    let wait = retry_after(&reply);
    assert!((40..=41).contains(&wait), "{wait}");
    let [limit, remaining, reset] = key_limit(&reply).unwrap();
    assert_eq!((limit, remaining), (FREE, 0));
    let now = START_MS / 1_000 + 20;
    assert!((now + 60..=now + 62).contains(&reset), "{reset}");
    // Asking again does not make it longer, and a second early is too early.
    world.pass_s(wait - 1).await;
    assert_eq!(retry_after(&refused().await), 1);
    world.pass_s(1).await;
    let reply = world.strangers("/v2/rules").send().await;
    assert_eq!(
        (reply.status.as_u16(), key_limit(&reply).unwrap()[1]),
        (200, 0)
    );
    assert!(retry_after(&refused().await) >= 1);
}

/// Contract: R-70, D-25.
#[tokio::test(start_paused = true)]
async fn each_key_has_a_limit_of_its_own_and_a_refused_write_changes_nothing() {
    let world = enterprise(2, 1_000);
    let body = json!({"name": "a", "targets": [{"address": "192.0.2.1", "port": 80}]});
    world.post("/v2/upstreams", body.clone()).created().await;
    world.get("/v2/upstreams").ok().await;
    let key = "6f1c2f0e-8f43-4d1a-9d55-0a4f3b7f2c11";
    let write = world
        .post("/v2/upstreams", body)
        .header("idempotency-key", key);
    let before = world.control.applied();
    write.clone().fails(429, "rate_limit_exceeded", None).await;
    assert_eq!(world.control.applied(), before);
    // The sandbox's key belongs to the same workspace.
    let sandbox = world.get("/v2/upstreams").key(&world.test).send().await;
    assert_eq!(key_limit(&sandbox).unwrap()[..2], [2, 1]);
    // The refusal was not recorded under the idempotency key.
    world.pass_s(61).await;
    let reply = write.send().await;
    assert_eq!(reply.status.as_u16(), 201, "{}", reply.text());
    assert_eq!(reply.header("idempotent-replayed"), None);
}

/// Contract: R-72, D-59.
#[tokio::test(start_paused = true)]
async fn new_rules_have_a_limit_on_each_route() {
    let world = enterprise(1_000, 2);
    let (route, _) = world.route("a.example.net").await;
    let (other, _) = world.route("b.example.net").await;
    for (priority, left) in [(1, 1), (2, 0)] {
        let reply = world
            .post("/v2/rules", fixed_rule(&route, priority))
            .send()
            .await;
        assert_eq!(reply.status.as_u16(), 201);
        assert_eq!(route_limit(&reply).unwrap()[..2], [2, left]);
    }
    let third = || world.post("/v2/rules", fixed_rule(&route, 3));
    let reply = third()
        .fails(429, "rate_limit_exceeded", Some("route_id"))
        .await;
    let [limit, remaining, reset] = route_limit(&reply).unwrap();
    assert_eq!((limit, remaining), (2, 0));
    assert!(reset > START_MS / 1_000);
    assert!(key_limit(&reply).unwrap()[1] > 900);
    // Other routes, and other operations on this one, go on.
    world.rule(&other, 1).await;
    world.publish(&route).await;
    world.pass_s(retry_after(&reply)).await;
    third().created().await;
}

#[tokio::test(start_paused = true)]
async fn the_new_rules_of_a_batch_count_each_and_are_made_all_or_none() {
    let world = enterprise(1_000, 5);
    let (route, _) = world.route("a.example.net").await;
    let (other, _) = world.route("b.example.net").await;
    let batch = |first: u32, count: u32| {
        let archive = json!({"op": "archive", "id": "rule_00000000"});
        let create = |priority| {
            let mut rule = fixed_rule(&route, priority);
            rule["op"] = json!("create");
            rule
        };
        let mut operations: Vec<_> = (first..first + count).map(create).collect();
        if count > 5 {
            operations.insert(0, archive);
        }
        world.post("/v2/rules/batch", json!({"operations": operations}))
    };
    let reply = batch(1, 3).send().await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    assert_eq!(route_limit(&reply).unwrap()[..2], [5, 2]);
    let reply = batch(4, 3)
        .fails(429, "rate_limit_exceeded", Some("operations[0].route_id"))
        .await;
    assert_eq!(route_limit(&reply).unwrap()[..2], [5, 1]);
    world.rule(&other, 1).await;
    world.pass_s(retry_after(&reply)).await;
    batch(4, 5).ok().await;
    // More than there ever are in a minute.
    batch(9, 6)
        .fails(422, "limit_exceeded", Some("operations[1].route_id"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_state_counts_for_the_route_and_a_route_that_is_not_there_does_not() {
    let world = enterprise(1_000, 5);
    let (route, _) = world.route("a.example.net").await;
    world.rule(&route, 1).await;
    let reply = world
        .post("/v2/rules", fixed_rule(&route, 1))
        .fails(400, "priority_conflict", Some("priority"))
        .await;
    assert_eq!(route_limit(&reply).unwrap()[..2], [5, 3]);
    for _ in 0..10 {
        let reply = world
            .post("/v2/rules", fixed_rule("rt_01HZ3P6Q9RF4STUW5Z8R1D", 1))
            .send()
            .await;
        assert_eq!((reply.status.as_u16(), route_limit(&reply)), (404, None));
    }
}

#[tokio::test(start_paused = true)]
async fn an_enterprise_key_is_not_slowed_down_by_default_and_what_it_uses_is_counted() {
    let world = World::new();
    for _ in 0..200 {
        world.get("/v2/upstreams").ok().await;
    }
    let reply = world.get("/v2/upstreams").send().await;
    let [limit, remaining, _] = key_limit(&reply).unwrap();
    assert_eq!((limit, remaining), (1_000_000, 1_000_000 - 201));
    let metrics = world.get("/metrics").send().await.text();
    assert!(
        metrics.contains("rate_limit_admitted_total 201"),
        "{metrics}"
    );
    assert!(metrics.contains("rate_limit_limited_total 0"), "{metrics}");
}
