//! Publications that wait for edges.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::time::Timestamp;
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::wait::WAITS_MAX;
use super::super::{EdgeView, RejectedManifest};
use super::fleet::{edge, manifest};
use super::support::{START_MS, World};

const EU: &str = "eu-central-1";
const US: &str = "us-east-1";

fn rejecting(id: &str, region: &str, version: u64) -> EdgeView {
    EdgeView {
        rejected: Some(RejectedManifest {
            manifest: manifest(version),
            reason: "rule_1 does not compile".to_owned(),
            at: Timestamp(START_MS),
            steps: None,
        }),
        ..edge(id, region, None)
    }
}

/// A world with a route to publish; the path to publish it.
async fn world() -> (World, String) {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    (world, format!("/v2/routes/{route}/publish"))
}

/// Publishes with a wait, has the fleet become `then` while it waits, and gives what came of it.
async fn waited(before: Vec<EdgeView>, quorum: Value, then: Vec<EdgeView>) -> Value {
    let (world, path) = world().await;
    world.fleet.set(before, vec![]);
    let wait = json!({"wait": {"quorum": quorum, "timeout_s": 20}});
    let publish = world.post(&path, wait).ok();
    let change = async {
        world.fleet.awaited_by(1).await;
        world.fleet.set(then, vec![]);
    };
    let (snapshot, ()) = tokio::join!(publish, change);
    assert_eq!(snapshot["state"], "published");
    assert_eq!(snapshot["manifest_version"], 1);
    snapshot["wait"].clone()
}

/// Contract: D-45.
#[tokio::test(start_paused = true)]
async fn a_publish_waits_until_all_edges_serve_by_it() {
    let began = Instant::now();
    let wait = waited(
        vec![edge("edge-1", EU, None), edge("edge-2", US, None)],
        json!("all"),
        vec![edge("edge-1", EU, Some(1)), edge("edge-2", US, Some(1))],
    )
    .await;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap();
    assert!(took < 1_000, "{took} ms");
    let expected = json!({
        "reached": true,
        "outcome": "reached",
        "edges": 2,
        "needed": 2,
        "applied": 2,
        "rejected": 0,
        "missing": 0,
        "waited_ms": wait["waited_ms"],
        "behind": [],
        "silent_nodes": [],
    });
    assert_eq!(wait, expected);
    assert!(wait["waited_ms"].as_u64().unwrap() <= took);
}

/// Contract: D-45.
#[tokio::test(start_paused = true)]
async fn a_share_of_the_edges_or_a_region_may_do() {
    let before = || {
        vec![
            edge("edge-1", EU, None),
            edge("edge-2", EU, None),
            edge("edge-3", US, None),
        ]
    };
    // Half of three is two.
    let then = vec![
        edge("edge-1", EU, Some(1)),
        edge("edge-2", EU, None),
        edge("edge-3", US, Some(1)),
    ];
    let wait = waited(before(), json!(50), then).await;
    assert_eq!(wait["reached"], true);
    assert_eq!(
        (
            &wait["edges"],
            &wait["needed"],
            &wait["applied"],
            &wait["missing"]
        ),
        (&json!(3), &json!(2), &json!(2), &json!(1))
    );
    assert_eq!(
        wait["behind"],
        json!([{"id": "edge-2", "region": EU, "state": "pending", "reason": null}])
    );
    let then = vec![
        edge("edge-1", EU, None),
        edge("edge-2", EU, None),
        edge("edge-3", US, Some(1)),
    ];
    let wait = waited(before(), json!({"region": US}), then).await;
    assert_eq!(
        (&wait["reached"], &wait["edges"], &wait["applied"]),
        (&json!(true), &json!(1), &json!(1))
    );
    assert_eq!(wait["behind"], json!([]), "other regions do not count");
}

#[tokio::test(start_paused = true)]
async fn it_ends_as_soon_as_a_refusal_puts_the_quorum_out_of_reach() {
    let began = Instant::now();
    let before = || vec![edge("edge-1", EU, None), edge("edge-2", EU, None)];
    let then = || vec![edge("edge-1", EU, None), rejecting("edge-2", EU, 1)];
    let wait = waited(before(), json!("all"), then()).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(
        (&wait["reached"], &wait["outcome"], &wait["rejected"]),
        (&json!(false), &json!("rejected"), &json!(1))
    );
    assert_eq!(
        wait["behind"],
        json!([
            {"id": "edge-2", "region": EU, "state": "rejected", "reason": "rule_1 does not compile"},
            {"id": "edge-1", "region": EU, "state": "pending", "reason": null},
        ])
    );
    // Where one of two is enough, the other may still do.
    let began = Instant::now();
    let wait = waited(before(), json!(50), then()).await;
    assert_eq!(wait["outcome"], "timed_out");
    assert_eq!(began.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_it_says_who_is_missing() {
    let (world, path) = world().await;
    let gone = EdgeView {
        connected: false,
        ..edge("edge-2", EU, Some(1))
    };
    world
        .fleet
        .set(vec![edge("edge-1", EU, None), gone], vec![3]);
    let began = Instant::now();
    let snapshot = world.post(&path, json!({"wait": {}})).ok().await;
    assert_eq!(began.elapsed(), Duration::from_secs(30), "by default");
    let wait = &snapshot["wait"];
    assert_eq!(
        (&wait["reached"], &wait["outcome"], &wait["missing"]),
        (&json!(false), &json!("timed_out"), &json!(2))
    );
    assert_eq!(
        wait["behind"],
        json!([
            {"id": "edge-1", "region": EU, "state": "pending", "reason": null},
            {"id": "edge-2", "region": EU, "state": "quiet", "reason": null},
        ]),
        "what went quiet does not count, whatever it said"
    );
    assert_eq!(wait["silent_nodes"], json!([3]));
}

#[tokio::test(start_paused = true)]
async fn a_wait_may_be_longer_than_any_other_request() {
    let (world, path) = world().await;
    world.fleet.set(vec![edge("edge-1", EU, None)], vec![]);
    let began = Instant::now();
    let snapshot = world
        .post(&path, json!({"wait": {"timeout_s": 60}}))
        .ok()
        .await;
    assert_eq!(began.elapsed(), Duration::from_secs(60));
    assert_eq!(snapshot["wait"]["outcome"], "timed_out");
}

#[tokio::test(start_paused = true)]
async fn without_edges_there_is_nothing_to_wait_for() {
    let (world, path) = world().await;
    world.fleet.set(vec![edge("edge-1", EU, None)], vec![]);
    let began = Instant::now();
    let region = json!({"wait": {"quorum": {"region": "moon"}}});
    let wait = world.post(&path, region).ok().await["wait"].clone();
    assert_eq!(
        (&wait["reached"], &wait["outcome"], &wait["edges"]),
        (&json!(false), &json!("no_edges"), &json!(0))
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    // While a node is silent, there may be some.
    world.fleet.set(vec![], vec![2]);
    let wait = world
        .post(&path, json!({"wait": {"timeout_s": 2}}))
        .ok()
        .await["wait"]
        .clone();
    assert_eq!(wait["outcome"], "timed_out");
}

#[tokio::test(start_paused = true)]
async fn an_edge_whose_node_dies_meanwhile_is_still_waited_for() {
    let wait = waited(
        vec![edge("edge-1", EU, None), edge("edge-2", EU, None)],
        json!("all"),
        vec![edge("edge-1", EU, Some(1))],
    )
    .await;
    assert_eq!(
        (&wait["outcome"], &wait["edges"], &wait["applied"]),
        (&json!("timed_out"), &json!(2), &json!(1))
    );
    assert_eq!(
        wait["behind"],
        json!([{"id": "edge-2", "region": EU, "state": "quiet", "reason": null}])
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_gets_the_stored_snapshot_and_waits_again() {
    let (world, path) = world().await;
    world.fleet.set(vec![edge("edge-1", EU, None)], vec![]);
    let publish = || {
        world
            .post(&path, json!({"wait": {"timeout_s": 1}}))
            .header("idempotency-key", "550e8400-e29b-41d4-a716-446655440000")
    };
    let first = publish().ok().await;
    assert_eq!(first["wait"]["reached"], false);
    world.fleet.set(vec![edge("edge-1", EU, Some(1))], vec![]);
    let again = publish().send().await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let again = again.json();
    assert_eq!(
        (&again["id"], &again["wait"]["reached"]),
        (&first["id"], &json!(true))
    );
}

#[tokio::test(start_paused = true)]
async fn who_went_on_to_a_newer_snapshot_counts() {
    let (world, path) = world().await;
    world.fleet.set(vec![edge("edge-1", EU, None)], vec![]);
    let publish = world.post(&path, json!({"wait": {}})).ok();
    let change = async {
        world.fleet.awaited_by(1).await;
        let route = path.trim_end_matches("/publish");
        world.patch(route, json!({"name": "other"})).ok().await;
        assert_eq!(
            world.request(Method::POST, &path).ok().await["manifest_version"],
            2
        );
        world.fleet.set(vec![edge("edge-1", EU, Some(2))], vec![]);
    };
    let (snapshot, ()) = tokio::join!(publish, change);
    assert_eq!(snapshot["wait"]["reached"], true);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_waits_as_well_and_a_dry_run_does_not() {
    let (world, path) = world().await;
    world.request(Method::POST, &path).ok().await;
    let route = path.trim_end_matches("/publish");
    let body = json!({"config": {"tls": {"policy": "flexible"}}});
    world.patch(route, body).ok().await;
    world.request(Method::POST, &path).ok().await;
    world.fleet.set(vec![edge("edge-1", EU, Some(2))], vec![]);
    let rollback = format!("{route}/rollback");
    let began = Instant::now();
    let body = json!({"wait": {"timeout_s": 5}});
    let dry = world
        .post(&format!("{rollback}?dry_run=true"), body.clone())
        .ok()
        .await;
    assert_eq!((dry.get("wait"), began.elapsed()), (None, Duration::ZERO));
    let snapshot = world.post(&rollback, body).ok().await;
    assert_eq!(snapshot["wait"]["outcome"], "timed_out");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_node_and_with_its_client() {
    let (world, path) = world().await;
    world.fleet.set(vec![edge("edge-1", EU, None)], vec![]);
    let publish = || world.post(&path, json!({"wait": {"timeout_s": 60}}));
    let gone = tokio::time::timeout(Duration::from_secs(3), publish().send()).await;
    assert!(gone.is_err());
    world.fleet.awaited_by(0).await;
    let stop = async {
        world.fleet.awaited_by(1).await;
        world.control.draining.store(true, Ordering::Relaxed);
    };
    let began = Instant::now();
    let (snapshot, ()) = tokio::join!(publish().ok(), stop);
    assert_eq!(
        (&snapshot["wait"]["reached"], &snapshot["wait"]["outcome"]),
        (&json!(false), &json!("interrupted"))
    );
    assert!(began.elapsed() <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn more_waits_than_there_is_room_for_are_refused_and_change_nothing() {
    let (world, path) = world().await;
    world.fleet.set(vec![edge("edge-1", EU, None)], vec![]);
    let publish = || world.post(&path, json!({"wait": {"timeout_s": 9}}));
    let all = futures_util::future::join_all((0..WAITS_MAX).map(|_| publish().ok()));
    let one_more = async {
        world.fleet.awaited_by(WAITS_MAX).await;
        let applied = world.control.applied();
        let refused = publish().fails(503, "cluster_unavailable", None).await;
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(world.control.applied(), applied);
    };
    tokio::join!(all, one_more);
    publish().ok().await;
}

#[tokio::test]
async fn what_a_wait_may_say() {
    let (world, path) = world().await;
    for (wait, param) in [
        (json!(true), "wait"),
        (json!({"quorum": "most"}), "wait.quorum"),
        (json!({"quorum": 0}), "wait.quorum"),
        (json!({"quorum": 101}), "wait.quorum"),
        (json!({"quorum": 50.5}), "wait.quorum"),
        (json!({"quorum": null}), "wait.quorum"),
        (json!({"quorum": [EU]}), "wait.quorum"),
        (json!({"quorum": {"region": ""}}), "wait.quorum.region"),
        (json!({"quorum": {"region": 1}}), "wait.quorum.region"),
        (json!({"timeout_s": 0}), "wait.timeout_s"),
        (json!({"timeout_s": 61}), "wait.timeout_s"),
    ] {
        world
            .post(&path, json!({ "wait": wait }))
            .fails(400, "invalid_parameter", Some(param))
            .await;
    }
    world
        .post(&path, json!({"wait": {"quorum": {}}}))
        .fails(400, "parameter_missing", Some("wait.quorum.region"))
        .await;
    for (wait, param) in [
        (json!({"timeout": 1}), "wait.timeout"),
        (json!({"quorum": {"regions": []}}), "wait.quorum.regions"),
    ] {
        world
            .post(&path, json!({ "wait": wait }))
            .fails(400, "unknown_parameter", Some(param))
            .await;
    }
    assert_eq!(world.get("/v2/snapshots").ok().await["data"], json!([]));
}
