//! How edges that went quiet are shown, and what clocks that differ change.

use domain::time::Timestamp;
use serde_json::json;

use super::super::{EdgeSteps, EdgeView};
use super::fleet::{edge, steps};
use super::support::{START_MS, World};

#[tokio::test]
async fn what_an_edge_said_before_it_went_quiet_is_never_shown_as_how_it_is() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let snapshot = world.publish(&route).await;
    let version = snapshot["manifest_version"].as_u64().unwrap();
    let quiet = |id: &str, connected: bool, silent_ms: u64| EdgeView {
        connected,
        last_seen: Timestamp(START_MS - silent_ms),
        ..edge(id, "eu", Some(version))
    };
    let edges = vec![
        quiet("edge-1", true, 0),
        quiet("edge-2", false, 0),
        quiet("edge-3", true, 15_000),
        quiet("edge-4", true, 60_000),
    ];
    world.fleet.set(edges, Vec::new());
    let path = format!("/v2/snapshots/{}", snapshot["id"].as_str().unwrap());
    let shown = world.get(&format!("{path}/propagation")).ok().await;
    assert_eq!(
        shown["totals"],
        json!({"edges": 4, "applied": 1, "pending": 0, "rejected": 0, "stale": 2, "offline": 1, "superseded": 0})
    );
    let stale = world.get(&format!("{path}/acks?state=stale")).ok().await;
    assert_eq!(stale["data"].as_array().unwrap().len(), 2);
    assert_eq!(stale["data"][0]["applied_at"], (START_MS + 120) / 1000);
    let region = world.get("/v2/regions/eu").ok().await;
    assert_eq!(
        (&region["current"], &region["behind"]),
        (&json!(1), &json!(3))
    );
}

#[tokio::test]
async fn clocks_that_differ_change_no_duration() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let snapshot = world.publish(&route).await;
    let version = snapshot["manifest_version"].as_u64().unwrap();
    // Nodes whose clocks are a day early and a day late, and one that did not see the publication.
    let day = 86_400_000;
    let of = |id: &str, at: u64, steps: Option<EdgeSteps>| {
        let mut view = edge(id, "eu", Some(version));
        view.acks[0].at = Timestamp(at);
        view.acks[0].steps = steps;
        view
    };
    let unseen = EdgeSteps {
        from_publication: false,
        ..steps(9)
    };
    let edges = vec![
        of("edge-1", START_MS - day, Some(steps(10))),
        of("edge-2", START_MS + day, Some(steps(30))),
        of("edge-3", START_MS, Some(unseen)),
        of("edge-4", START_MS, None),
    ];
    world.fleet.set(edges, Vec::new());
    let path = format!(
        "/v2/snapshots/{}/propagation",
        snapshot["id"].as_str().unwrap()
    );
    let shown = world.get(&path).ok().await;
    assert_eq!(
        shown["latency_ms"],
        json!({"edges": 2, "p50": 10, "p90": 30, "p99": 30, "max": 30})
    );
    assert_eq!(shown["totals"]["applied"], 4);
}
