//! The fleet as the API shows it, and how far snapshots have come.

use std::collections::BTreeMap;

use domain::id::EnvironmentId;
use domain::model::{Epoch, ManifestVersion};
use domain::time::Timestamp;
use domain::tree::Hash;
use edge_protocol::{HealthReport, ManifestRef};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::{
    DistrustedKeys, EdgeAck, EdgeSteps, EdgeView, FleetReader, FleetView, RejectedManifest,
    TelemetryQuery, TelemetryView,
};
use super::support::{START_MS, World};
use super::telemetry::Traffic;
use crate::control_plane::BoxFuture;

/// A fleet of the live environment, as the test sets it. It learns which environment that is from
/// the first question, which tests ask with the live key.
#[derive(Default)]
pub(super) struct FakeFleet {
    view: watch::Sender<FleetView>,
    environment: Mutex<Option<EnvironmentId>>,
    pub(super) traffic: Mutex<Traffic>,
    /// How many requests wait for news.
    waiting: watch::Sender<usize>,
}

impl FakeFleet {
    pub(super) fn set(&self, edges: Vec<EdgeView>, silent: Vec<u64>) {
        self.view.send_modify(|view| {
            let marks = BTreeMap::from([(1, view.marks.get(&1).map_or(1, |mark| mark + 1))]);
            *view = FleetView {
                edges,
                silent,
                marks,
            };
        });
    }

    /// Waits until so many requests wait for news.
    pub(super) async fn awaited_by(&self, requests: usize) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|now| *now == requests).await.unwrap();
    }
}

/// A request that waits for news.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl FleetReader for FakeFleet {
    fn gather<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, FleetView> {
        let mine = self
            .environment
            .lock()
            .get_or_insert_with(|| environment.clone())
            == environment;
        let view = if mine {
            self.view.borrow().clone()
        } else {
            FleetView::default()
        };
        Box::pin(async move { view })
    }

    fn telemetry<'a>(&'a self, query: &'a TelemetryQuery) -> BoxFuture<'a, TelemetryView> {
        let view = self.traffic.lock().view(query);
        Box::pin(async move { view })
    }

    fn news<'a>(&'a self, seen: &'a FleetView) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let _waiting = Waiting::begin(&self.waiting);
            let mut view = self.view.subscribe();
            let news = view.wait_for(|view| view.marks != seen.marks).await;
            news.unwrap();
        })
    }
}

pub(super) fn manifest(version: u64) -> ManifestRef {
    ManifestRef {
        epoch: Epoch(1),
        version: ManifestVersion(version),
        root: Hash([7; 32]),
    }
}

/// A way that took so long in all.
pub(super) fn steps(done_ms: u32) -> EdgeSteps {
    EdgeSteps {
        from_publication: true,
        sent_ms: 1,
        received_ms: Some(2),
        verified_ms: Some(3),
        done_ms,
        round_trip_ms: Some(1),
    }
}

pub(super) fn edge(id: &str, region: &str, applied: Option<u64>) -> EdgeView {
    EdgeView {
        id: id.to_owned(),
        region: region.to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
        software: "0.1.0".to_owned(),
        node_id: 1,
        connected: true,
        last_seen: Timestamp(START_MS),
        applied: applied.map(manifest),
        applied_at: applied.map(|_| Timestamp(START_MS + 120)),
        rejected: None,
        distrusts: None,
        acks: applied
            .map(|version| EdgeAck {
                epoch: Epoch(1),
                version: ManifestVersion(version),
                at: Timestamp(START_MS + 120),
                apply_ms: 4,
                steps: Some(steps(120)),
            })
            .into_iter()
            .collect(),
        health: HealthReport::default(),
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| edge["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn edges_are_listed_with_what_they_run_and_the_nodes_that_kept_silent() {
    let world = World::new();
    world.fleet.set(
        vec![
            edge("edge-2", "us-east-1", None),
            edge("edge-1", "eu-central-1", Some(3)),
        ],
        vec![3],
    );
    let list = world.get("/v2/edges").ok().await;
    assert_eq!(
        (&list["object"], &list["silent_nodes"], &list["has_more"]),
        (&json!("list"), &json!([3]), &json!(false))
    );
    assert_eq!(
        list["data"][0],
        json!({
            "id": "edge-1",
            "object": "edge",
            "environment": "production",
            "region": "eu-central-1",
            "labels": {"rack": "7"},
            "version": "0.1.0",
            "status": "online",
            "node_id": 1,
            "last_seen_at": 1_714_320_000,
            "manifest": {"epoch": 1, "version": 3, "root": format!("sha256:{}", "07".repeat(32))},
            "applied_at": 1_714_320_000,
            "rejected": null,
            "distrusts": null,
        })
    );
    assert_eq!(list["data"][1]["manifest"], Value::Null);
    assert_eq!(
        world.get("/v2/edges").key(&world.stranger).ok().await["data"],
        json!([])
    );
}

#[tokio::test]
async fn an_edge_shows_whom_it_does_not_trust() {
    let world = World::new();
    let reason = "bad_signature: its signature is not one that key … made of it";
    let distrusting = EdgeView {
        distrusts: Some(DistrustedKeys {
            reason: reason.to_owned(),
            at: Timestamp(START_MS),
        }),
        ..edge("edge-1", "eu-central-1", Some(3))
    };
    world.fleet.set(vec![distrusting], vec![]);
    let shown = world.get("/v2/edges/edge-1").ok().await;
    let expected = json!({"reason": reason, "at": START_MS / 1000});
    assert_eq!(shown["distrusts"], expected);
}

#[tokio::test]
async fn an_edge_s_freshness_is_judged_when_it_is_asked_for() {
    let world = World::new();
    let gone = EdgeView {
        connected: false,
        ..edge("edge-2", "eu-central-1", None)
    };
    world
        .fleet
        .set(vec![edge("edge-1", "eu-central-1", None), gone], vec![]);
    let statuses = async || {
        let list = world.get("/v2/edges").ok().await;
        [
            list["data"][0]["status"].clone(),
            list["data"][1]["status"].clone(),
        ]
    };
    assert_eq!(statuses().await, ["online", "stale"]);
    world.advance_ms(15_000);
    assert_eq!(statuses().await, ["stale", "stale"]);
    world.advance_ms(45_000);
    assert_eq!(statuses().await, ["offline", "offline"]);
    assert_eq!(
        ids(&world.get("/v2/edges?status=online").ok().await),
        [""; 0]
    );
    world
        .get("/v2/edges?status=normal")
        .fails(400, "invalid_parameter", Some("status"))
        .await;
}

#[tokio::test]
async fn edges_come_in_pages_by_identifier() {
    let world = World::new();
    let edges = (0..25)
        .rev()
        .map(|number| edge(&format!("edge-{number:02}"), "eu-central-1", None));
    world.fleet.set(
        edges.chain([edge("other", "us-east-1", None)]).collect(),
        vec![],
    );
    let first = world.get("/v2/edges?region=eu-central-1").ok().await;
    assert_eq!((ids(&first).len(), &first["has_more"]), (20, &json!(true)));
    let path = format!(
        "/v2/edges?region=eu-central-1&cursor={}",
        first["next_cursor"].as_str().unwrap()
    );
    let second = world.get(&path).ok().await;
    assert_eq!(
        ids(&second),
        ["edge-20", "edge-21", "edge-22", "edge-23", "edge-24"]
    );
}

#[tokio::test]
async fn propagation_says_of_each_edge_where_it_stands() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let first = world.publish(&route).await;
    world.rule(&route, 1).await;
    let second = world.publish(&route).await;
    let [from, until] =
        [&first, &second].map(|snapshot| snapshot["manifest_version"].as_u64().unwrap());
    let refusing = EdgeView {
        rejected: Some(RejectedManifest {
            manifest: manifest(until),
            reason: "rule 1 does not compile".to_owned(),
            at: Timestamp(START_MS),
            steps: Some(steps(7)),
        }),
        ..edge("edge-3", "us-east-1", Some(from))
    };
    let lost = EdgeView {
        last_seen: Timestamp(START_MS - 60_000),
        ..edge("edge-4", "us-east-1", None)
    };
    let restored = EdgeView {
        applied: Some(ManifestRef {
            epoch: Epoch(0),
            ..manifest(until)
        }),
        ..edge("edge-5", "us-east-1", None)
    };
    let edges = vec![
        edge("edge-1", "eu-central-1", Some(until)),
        edge("edge-2", "eu-central-1", Some(until + 1)),
        refusing,
        lost,
        restored,
    ];
    world.fleet.set(edges, vec![2]);
    let shown = world
        .get(&format!(
            "/v2/snapshots/{}/propagation",
            second["id"].as_str().unwrap()
        ))
        .ok()
        .await;
    assert_eq!(
        shown["totals"],
        json!({"edges": 5, "applied": 2, "pending": 1, "rejected": 1, "stale": 0, "offline": 1, "superseded": 0})
    );
    assert_eq!(shown["regions"][0]["region"], "eu-central-1");
    assert_eq!(
        (
            &shown["regions"][0]["applied"],
            &shown["regions"][1]["applied"]
        ),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        shown["latency_ms"],
        json!({"edges": 1, "p50": 120, "p90": 120, "p99": 120, "max": 120})
    );
    let states: Vec<_> = shown["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (edge["id"].clone(), edge["state"].clone()))
        .collect();
    let expected = [
        ("edge-3", "rejected"),
        ("edge-5", "pending"),
        ("edge-4", "offline"),
        ("edge-1", "applied"),
        ("edge-2", "applied"),
    ];
    assert_eq!(
        states,
        expected.map(|(id, state)| (json!(id), json!(state)))
    );
    assert_eq!(shown["edges"][0]["reason"], "rule 1 does not compile");
    assert_eq!(shown["edges"][0]["steps"]["done_ms"], 7);
    assert_eq!(
        shown["apply_ms"],
        json!({"edges": 1, "p50": 4, "p90": 4, "p99": 4, "max": 4})
    );
    assert_eq!(
        shown["slowest"],
        json!([{"id": "edge-1", "region": "eu-central-1", "latency_ms": 120, "apply_ms": 4}])
    );
    assert_eq!(shown["silent_nodes"], json!([2]));

    let earlier = world
        .get(&format!(
            "/v2/snapshots/{}/propagation",
            first["id"].as_str().unwrap()
        ))
        .ok()
        .await;
    assert_eq!(
        earlier["totals"],
        json!({"edges": 5, "applied": 1, "pending": 1, "rejected": 0, "stale": 0, "offline": 1, "superseded": 2})
    );
}

#[tokio::test]
async fn nobody_serves_by_the_snapshot_of_an_archived_route() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    world.patch(&path, json!({"enabled": false})).ok().await;
    let snapshot = world.publish(&route).await;
    let propagation = format!(
        "/v2/snapshots/{}/propagation",
        snapshot["id"].as_str().unwrap()
    );
    world
        .fleet
        .set(vec![edge("edge-1", "eu-central-1", Some(1))], vec![]);
    assert_eq!(world.get(&propagation).ok().await["totals"]["applied"], 1);
    world.delete(&path).ok().await;
    world
        .fleet
        .set(vec![edge("edge-1", "eu-central-1", Some(2))], vec![]);
    assert_eq!(
        world.get(&propagation).ok().await["totals"]["superseded"],
        1
    );
}

#[tokio::test]
async fn one_edge_is_shown_or_said_not_to_be_known() {
    let world = World::new();
    let edges = vec![edge("edge-1", "eu-central-1", Some(3))];
    world.fleet.set(edges.clone(), vec![]);
    let shown = world.get("/v2/edges/edge-1").ok().await;
    assert_eq!(shown, world.get("/v2/edges").ok().await["data"][0]);
    world
        .get("/v2/edges/edge-2")
        .fails(404, "resource_not_found", None)
        .await;
    world
        .get("/v2/edges/edge-1")
        .key(&world.stranger)
        .fails(404, "resource_not_found", None)
        .await;
    // It may be connected to the node that does not answer.
    world.fleet.set(edges, vec![3]);
    world.get("/v2/edges/edge-1").ok().await;
    for path in ["/v2/edges/edge-2", "/v2/regions/us-east-1"] {
        world
            .get(path)
            .fails(503, "cluster_unavailable", None)
            .await;
    }
}

#[tokio::test]
async fn acknowledgements_are_listed_edge_by_edge() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let snapshot = world.publish(&route).await;
    let version = snapshot["manifest_version"].as_u64().unwrap();
    let edges = (1..=3).map(|number| {
        let applied = (number != 2).then_some(version);
        edge(&format!("edge-{number}"), "eu-central-1", applied)
    });
    world.fleet.set(edges.rev().collect(), vec![2]);
    let path = format!("/v2/snapshots/{}/acks", snapshot["id"].as_str().unwrap());
    let list = world.get(&format!("{path}?limit=2")).ok().await;
    assert_eq!(
        list["data"][0],
        json!({
            "object": "ack",
            "environment": "production",
            "snapshot_id": snapshot["id"],
            "edge_id": "edge-1",
            "region": "eu-central-1",
            "state": "applied",
            "reason": null,
            "node_id": 1,
            "applied_at": 1_714_320_000,
            "latency_ms": 120,
            "apply_ms": 4,
            "steps": {
                "from_publication": true, "sent_ms": 1, "received_ms": 2, "verified_ms": 3,
                "done_ms": 120, "round_trip_ms": 1,
            },
        })
    );
    assert_eq!(
        (&list["data"][1]["state"], &list["data"][1]["apply_ms"]),
        (&json!("pending"), &Value::Null)
    );
    assert_eq!(list["silent_nodes"], json!([2]));
    let next = list["next_cursor"].as_str().unwrap();
    let rest = world
        .get(&format!("{path}?limit=2&cursor={next}"))
        .ok()
        .await;
    assert_eq!(rest["data"][0]["edge_id"], "edge-3");
    assert_eq!(rest["has_more"], false);
    let pending = world.get(&format!("{path}?state=pending")).ok().await;
    assert_eq!(pending["data"].as_array().unwrap().len(), 1);
    world
        .get(&format!("{path}?state=lost"))
        .fails(400, "invalid_parameter", Some("state"))
        .await;
}

#[tokio::test]
async fn regions_say_how_their_edges_are_and_how_far_they_are() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.publish(&route).await;
    world.rule(&route, 1).await;
    world.publish(&route).await;
    let refusing = EdgeView {
        rejected: Some(RejectedManifest {
            manifest: manifest(2),
            reason: "it does not compile".to_owned(),
            at: Timestamp(START_MS),
            steps: None,
        }),
        ..edge("edge-2", "eu-central-1", Some(1))
    };
    let lost = EdgeView {
        last_seen: Timestamp(START_MS - 60_000),
        ..edge("edge-3", "us-east-1", None)
    };
    let edges = vec![lost, refusing, edge("edge-1", "eu-central-1", Some(2))];
    world.fleet.set(edges, vec![]);
    let list = world.get("/v2/regions").ok().await;
    assert_eq!(list["silent_nodes"], json!([]));
    let root = list["data"][0]["manifest"]["root"].clone();
    assert_eq!(
        list["data"][0],
        json!({
            "id": "eu-central-1",
            "object": "region",
            "environment": "production",
            "edges": {"total": 2, "online": 2, "stale": 0, "offline": 0},
            "manifest": {"epoch": 1, "version": 2, "root": root},
            "current": 1,
            "behind": 1,
            "rejected": 1,
            "versions_behind_max": 1,
            "latency_ms": {"edges": 1, "p50": 120, "p90": 120, "p99": 120, "max": 120},
        })
    );
    let mut second = list["data"][1].clone();
    assert_eq!(
        (&second["edges"]["offline"], &second["latency_ms"]),
        (&json!(1), &Value::Null)
    );
    second["silent_nodes"] = json!([]);
    assert_eq!(world.get("/v2/regions/us-east-1").ok().await, second);
    world
        .get("/v2/regions/mars")
        .fails(404, "resource_not_found", None)
        .await;
}

/// Contract: D-47.
#[tokio::test]
async fn the_current_manifest_names_the_snapshot_of_each_route() {
    let world = World::new();
    let path = "/v2/manifests/current";
    let empty = world.get(path).ok().await;
    assert_eq!(
        (
            &empty["version"],
            &empty["updated_at"],
            &empty["routes"]["data"]
        ),
        (&json!(0), &Value::Null, &json!([]))
    );
    let mut expected = Vec::new();
    for number in 0..3 {
        let hostname = format!("h{number}.example.net");
        let (route, _) = world.route(&hostname).await;
        let snapshot = world.publish(&route).await;
        expected.push(json!({
            "route_id": route,
            "hostname": hostname,
            "enabled": true,
            "snapshot_id": snapshot["id"],
            "version": 1,
            "content_hash": snapshot["content_hash"],
        }));
    }
    expected.sort_by_key(|member| member["route_id"].to_string());
    let whole = world.get(path).ok().await;
    assert_eq!(
        (&whole["object"], &whole["version"], &whole["updated_at"]),
        (&json!("manifest"), &json!(3), &json!(1_714_320_000))
    );
    assert_eq!(whole["routes"]["data"], json!(expected));
    let first = world.get(&format!("{path}?limit=2")).ok().await;
    assert_eq!(first["routes"]["has_more"], true);
    let next = first["routes"]["next_cursor"].as_str().unwrap();
    let rest = world.get(&format!("{path}?cursor={next}")).ok().await;
    assert_eq!(rest["routes"]["data"], json!([expected[2]]));
}
