//! The traffic of edges as the API tells of it.

use domain::id::{RouteId, RuleId, Seed, SnapshotId, TargetId, UpstreamId};
use domain::time::Timestamp;
use edge_protocol::telemetry::{Counts, Decision, Outcome, SeriesKey, Taker, TargetKey};
use serde_json::{Value, json};

use super::super::{TelemetryQuery, TelemetrySample, TelemetryView};
use super::history::Stream;
use super::support::{START_MS, World};

/// What the edges of a test's fleet counted, region by region.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) series: Vec<(&'static str, SeriesKey, Counts)>,
    pub(super) samples: Vec<TelemetrySample>,
    pub(super) silent: Vec<u64>,
    /// What was asked for last.
    pub(super) asked: Option<TelemetryQuery>,
}

impl Traffic {
    pub(super) fn view(&mut self, query: &TelemetryQuery) -> TelemetryView {
        self.asked = Some(query.clone());
        let mut view = TelemetryView {
            silent: self.silent.clone(),
            ..TelemetryView::default()
        };
        for (region, key, counts) in &self.series {
            if let Some(row) = query.row(region, key) {
                view.rows.entry(row).or_default().merge(counts);
            }
        }
        let wanted = self
            .samples
            .iter()
            .filter(|sample| query.takes(&sample.region, &sample.decision));
        view.samples = wanted.take(query.samples.into()).cloned().collect();
        view
    }
}

fn counts(answers: &[(u16, u64)], failures: u64) -> Counts {
    let mut counts = Counts {
        failures,
        ..Counts::default()
    };
    for (class, micros) in answers {
        counts.answered(*class, *micros);
    }
    counts
}

fn target(number: u64) -> TargetKey {
    let seed = Seed {
        unix_ms: 0,
        random: number,
    };
    TargetKey {
        upstream: UpstreamId::new(seed),
        target: TargetId::new(seed),
    }
}

fn sent(route: &str, rule: &str, to: u64) -> SeriesKey {
    SeriesKey {
        route: Some(RouteId::parse(route).unwrap()),
        taker: Taker::Rule(RuleId::parse(rule).unwrap()),
        target: Some(target(to)),
    }
}

fn nobody() -> SeriesKey {
    SeriesKey {
        route: None,
        taker: Taker::Defaults,
        target: None,
    }
}

fn decision(route: &str, rule: &str) -> Decision {
    Decision {
        at: Timestamp(1),
        method: Decision::method("GET"),
        path: Decision::path("/a"),
        route: RouteId::parse(route).unwrap(),
        snapshot: SnapshotId::parse("snap_00000001").unwrap(),
        rule: Some(RuleId::parse(rule).unwrap()),
        outcome: Outcome::Forwarded,
        target: Some(target(1)),
        status: 200,
        micros: 1500,
    }
}

/// A world with two routes of a rule each, and traffic on both.
async fn busy() -> (World, [String; 2], [String; 2]) {
    let world = World::new();
    let (mut routes, mut rules) = (Vec::new(), Vec::new());
    for host in ["a.example.net", "b.example.net"] {
        let (route, _) = world.route(host).await;
        rules.push(world.rule(&route, 1).await);
        routes.push(route);
    }
    let (routes, rules): ([String; 2], [String; 2]) =
        (routes.try_into().unwrap(), rules.try_into().unwrap());
    let mut traffic = world.fleet.traffic.lock();
    traffic.series = vec![
        (
            "eu",
            sent(&routes[0], &rules[0], 1),
            counts(&[(2, 1000), (2, 2000), (5, 9000)], 1),
        ),
        (
            "us",
            sent(&routes[0], &rules[0], 1),
            counts(&[(2, 5000)], 0),
        ),
        (
            "us",
            sent(&routes[1], &rules[1], 2),
            counts(&[(2, 7000), (4, 7000)], 0),
        ),
        ("us", nobody(), counts(&[(4, 10)], 0)),
    ];
    traffic.samples = vec![TelemetrySample {
        age_ms: 4000,
        region: "eu".to_owned(),
        edge_id: "edge-1".to_owned(),
        decision: decision(&routes[0], &rules[0]),
    }];
    traffic.silent = vec![3];
    drop(traffic);
    (world, routes, rules)
}

fn close(value: &Value, expect: u64) {
    let off = value.as_u64().unwrap().abs_diff(expect);
    assert!(off * 64 <= expect, "{value} for {expect}");
}

/// Contract: R-03.
#[tokio::test]
async fn latency_is_told_region_by_region_and_names_who_kept_silent() {
    let (world, routes, _) = busy().await;
    let shown = world.get("/v2/telemetry/latency").ok().await;
    assert_eq!(
        (&shown["object"], &shown["window_s"]),
        (&json!("telemetry_latency"), &json!(300))
    );
    assert_eq!(shown["silent_nodes"], json!([3]));
    assert_eq!(shown["total"]["requests"], 7);
    let [eu, us] = shown["regions"].as_array().unwrap().as_slice() else {
        panic!("{shown}");
    };
    assert_eq!((&eu["region"], &us["region"]), (&json!("eu"), &json!("us")));
    assert_eq!(
        (&eu["requests"], &eu["status_5xx"], &eu["failures"]),
        (&json!(3), &json!(1), &json!(1))
    );
    let latency = &eu["latency_us"];
    close(&latency["p50"], 2000);
    close(&latency["p99"], 9000);
    assert_eq!(
        (&latency["max"], &latency["mean"]),
        (&json!(9000), &json!(4000))
    );
    let path = format!(
        "/v2/telemetry/latency?route_id={}&region=us&window_s=90",
        routes[1]
    );
    let shown = world.get(&path).ok().await;
    assert_eq!(
        (&shown["window_s"], &shown["total"]["requests"]),
        (&json!(120), &json!(2))
    );
    assert_eq!(
        world.fleet.traffic.lock().asked.as_ref().unwrap().minutes,
        2
    );
    let upstream = target(2).upstream;
    let shown = world
        .get(&format!("/v2/telemetry/latency?upstream_id={upstream}"))
        .ok()
        .await;
    assert_eq!(shown["total"]["requests"], 2);
    let shown = world.get("/v2/telemetry/latency?region=mars").ok().await;
    assert_eq!(
        (&shown["regions"], &shown["total"]["latency_us"]),
        (&json!([]), &Value::Null)
    );
}

/// Contract: R-03.
#[tokio::test]
async fn availability_is_the_share_of_answers_that_were_no_5xx() {
    let (world, _, _) = busy().await;
    let shown = world.get("/v2/telemetry/availability").ok().await;
    let rows: Vec<_> = shown["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["region"].clone(),
                row["target_id"].clone(),
                row["availability"].clone(),
            )
        })
        .collect();
    let [one, two] = [1, 2].map(|number| json!(target(number).target.as_str()));
    assert_eq!(
        rows,
        [
            (json!("eu"), one.clone(), json!(2.0 / 3.0)),
            (json!("us"), one, json!(1.0)),
            (json!("us"), two, json!(1.0)),
        ]
    );
    assert_eq!(shown["availability"], json!(5.0 / 6.0));
    let shown = world
        .get("/v2/telemetry/availability?region=mars")
        .ok()
        .await;
    assert_eq!(
        (&shown["targets"], &shown["availability"]),
        (&json!([]), &Value::Null)
    );
}

/// Contract: R-03.
#[tokio::test]
async fn decisions_say_which_rule_took_what_with_examples() {
    let (world, routes, rules) = busy().await;
    let shown = world.get("/v2/telemetry/decisions").ok().await;
    let taken: Vec<_> = shown["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["rule_id"].clone(),
                row["taken_by"].clone(),
                row["requests"].clone(),
            )
        })
        .collect();
    assert_eq!(
        taken,
        [
            (json!(rules[0]), json!("rule"), json!(4)),
            (json!(rules[1]), json!("rule"), json!(2)),
            (Value::Null, json!("defaults"), json!(1)),
        ]
    );
    assert_eq!(
        shown["samples"],
        json!([{
            "at": (START_MS - 4000) / 1000,
            "edge_id": "edge-1",
            "region": "eu",
            "route_id": routes[0],
            "snapshot_id": "snap_00000001",
            "rule_id": rules[0],
            "outcome": "forwarded",
            "upstream_id": target(1).upstream.as_str(),
            "target_id": target(1).target.as_str(),
            "method": "GET",
            "path": "/a",
            "status": 200,
            "latency_us": 1500,
        }])
    );
    let path = format!("/v2/telemetry/decisions?rule_id={}&samples=0", rules[0]);
    let shown = world.get(&path).ok().await;
    assert_eq!(shown["rules"].as_array().unwrap().len(), 1);
    assert_eq!(shown["samples"], json!([]));
}

#[tokio::test]
async fn a_rule_has_statistics_and_one_that_is_not_there_has_none() {
    let (world, _, rules) = busy().await;
    let shown = world
        .get(&format!("/v2/rules/{}/stats", rules[0]))
        .ok()
        .await;
    assert_eq!(
        (&shown["object"], &shown["rule_id"]),
        (&json!("rule_stats"), &json!(rules[0]))
    );
    assert_eq!(shown["total"]["requests"], 4);
    assert_eq!(shown["regions"][1]["requests"], 1);
    world
        .get("/v2/rules/rule_01HX9K3M7PQ6RSTV2W4N8A/stats")
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn a_key_for_some_routes_is_told_of_those_alone() {
    let (world, routes, rules) = busy().await;
    let body = json!({"type": "restricted", "name": "one", "scopes": {"routes": [routes[1]]}});
    let key = world.post("/v2/api_keys", body).created().await;
    let key = key["key"].as_str().unwrap();
    for (path, pointer) in [
        ("/v2/telemetry/latency", "/total/requests"),
        ("/v2/telemetry/availability", "/total/requests"),
        ("/v2/telemetry/decisions", "/rules/0/requests"),
    ] {
        let shown = world.get(path).key(key).ok().await;
        assert_eq!(shown.pointer(pointer), Some(&json!(2)), "{path}: {shown}");
    }
    let shown = world.get("/v2/telemetry/decisions").key(key).ok().await;
    assert_eq!(shown["rules"].as_array().unwrap().len(), 1);
    assert_eq!(shown["samples"], json!([]));
    let other = format!("/v2/telemetry/latency?route_id={}", routes[0]);
    world
        .get(&other)
        .key(key)
        .fails(403, "insufficient_scope", None)
        .await;
    let other = format!("/v2/rules/{}/stats", rules[0]);
    world
        .get(&other)
        .key(key)
        .fails(403, "insufficient_scope", None)
        .await;
}

#[tokio::test]
async fn wrong_windows_and_filters_are_named() {
    let world = World::new();
    for (query, code, param) in [
        ("window_s=59", "invalid_parameter", "window_s"),
        ("window_s=3601", "invalid_parameter", "window_s"),
        ("window_s=5m", "invalid_parameter", "window_s"),
        ("minutes=5", "unknown_parameter", "minutes"),
        ("rule_id=rule_00000001", "unknown_parameter", "rule_id"),
    ] {
        let path = format!("/v2/telemetry/latency?{query}");
        world.get(&path).fails(400, code, Some(param)).await;
    }
    world
        .get("/v2/telemetry/decisions?samples=101")
        .fails(400, "invalid_parameter", Some("samples"))
        .await;
}

/// Contract: R-03.
#[tokio::test(start_paused = true)]
async fn a_stream_carries_measurements_for_those_who_ask_for_them() {
    let (world, _, rules) = busy().await;
    let path = "/v2/events/stream?type=telemetry.latency,telemetry.decisions";
    let mut stream = Stream::open(&world, path, None).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["type"], "telemetry.latency");
    assert_eq!(first["total"]["requests"], 7);
    assert_eq!(first["window_s"], 60);
    assert!(first["id"].is_null(), "{first}");
    let second = stream.next().await.unwrap();
    assert_eq!(second["type"], "telemetry.decisions");
    assert_eq!(second["rule_id"], rules[0].as_str());
    // Nothing of the journal, which was not asked for.
    world.route("c.example.net").await;
    assert_eq!(stream.next().await.unwrap()["type"], "telemetry.latency");
    let path = "/v2/events/stream?type=telemetry.availability,rule.created";
    let mut stream = Stream::open(&world, path, None).await;
    let (route, _) = world.route("d.example.net").await;
    world.rule(&route, 1).await;
    assert_eq!(stream.next().await.unwrap()["type"], "rule.created");
    assert_eq!(
        stream.next().await.unwrap()["type"],
        "telemetry.availability"
    );
    for path in [
        "/v2/events?type=telemetry.latency",
        "/v2/events/stream?type=telemetry.x",
    ] {
        world
            .get(path)
            .fails(400, "invalid_parameter", Some("type"))
            .await;
    }
}
