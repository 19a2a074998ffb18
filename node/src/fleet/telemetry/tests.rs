//! An hour of counts, and who is told of them.

use std::time::Duration;

use domain::id::{RouteId, RuleId, Seed, SnapshotId, TargetId, UpstreamId};
use domain::time::Timestamp;
use edge_protocol::telemetry::{Decision, Outcome, SeriesKey, Taker, TargetKey};

use super::*;
use crate::rest::Grouping;

fn seed(random: u64) -> Seed {
    Seed { unix_ms: 0, random }
}

fn environment(random: u64) -> EnvironmentId {
    EnvironmentId::new(seed(random))
}

fn key(route: u64, rule: u64, upstream: u64) -> SeriesKey {
    SeriesKey {
        route: Some(RouteId::new(seed(route))),
        taker: Taker::Rule(RuleId::new(seed(rule))),
        target: Some(TargetKey {
            upstream: UpstreamId::new(seed(upstream)),
            target: TargetId::new(seed(upstream)),
        }),
    }
}

fn batch(keys: impl IntoIterator<Item = SeriesKey>) -> Batch {
    let mut batch = Batch::default();
    for key in keys {
        let counts = batch.series.entry(key).or_default();
        counts.answered(2, 1000);
    }
    batch
}

fn query(by: Grouping) -> TelemetryQuery {
    TelemetryQuery {
        environment_id: environment(1),
        routes: Vec::new(),
        rule: None,
        upstream: None,
        region: None,
        minutes: 60,
        by,
        samples: 10,
    }
}

fn sender<'a>(environment_id: &'a EnvironmentId, region: &'a str) -> Sender<'a> {
    Sender {
        environment_id,
        region,
        edge_id: "edge-1",
    }
}

fn answers(counted: &Counted) -> Vec<u64> {
    counted
        .rows
        .iter()
        .map(|(_, counts)| counts.answers())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn rows_are_put_together_as_asked_and_of_one_environment() {
    let begun = Instant::now();
    let mut memory = Memory::new(begun);
    let (ours, theirs) = (environment(1), environment(2));
    memory.add(
        sender(&ours, "eu"),
        batch([key(1, 1, 1), key(1, 2, 2)]),
        begun,
    );
    memory.add(sender(&ours, "us"), batch([key(2, 3, 2)]), begun);
    memory.add(sender(&ours, "us"), batch([SeriesKey::beyond()]), begun);
    memory.add(sender(&theirs, "eu"), batch([key(1, 1, 1)]), begun);
    let ask = |query: TelemetryQuery| answers(&memory.answer(&query, begun));
    assert_eq!(ask(query(Grouping::Region)), [2, 2]);
    assert_eq!(ask(query(Grouping::Target)), [1, 1, 1]);
    assert_eq!(ask(query(Grouping::Rule)), [1, 1, 1, 1]);
    let of = |change: fn(&mut TelemetryQuery)| {
        let mut query = query(Grouping::Region);
        change(&mut query);
        ask(query)
    };
    assert_eq!(of(|query| query.region = Some("eu".to_owned())), [2]);
    assert_eq!(of(|query| query.routes = vec![RouteId::new(seed(1))]), [2]);
    assert_eq!(of(|query| query.rule = Some(RuleId::new(seed(2)))), [1]);
    assert_eq!(
        of(|query| query.upstream = Some(UpstreamId::new(seed(2)))),
        [1, 1]
    );
    assert_eq!(of(|query| query.environment_id = environment(3)), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_window_is_of_minutes_and_what_is_older_than_an_hour_is_gone() {
    let begun = Instant::now();
    let mut memory = Memory::new(begun);
    let ours = environment(1);
    for minute in 0..90 {
        let now = begun + Duration::from_secs(60 * minute + 30);
        memory.add(sender(&ours, "eu"), batch([key(1, 1, 1)]), now);
    }
    let now = begun + Duration::from_secs(60 * 89 + 45);
    let asked = |minutes| {
        let query = TelemetryQuery {
            minutes,
            ..query(Grouping::Region)
        };
        answers(&memory.answer(&query, now))
    };
    assert_eq!(
        (asked(1), asked(5), asked(60)),
        (vec![1], vec![5], vec![60])
    );
    assert_eq!(
        memory
            .answer(&query(Grouping::Region), now + Duration::from_secs(3600))
            .rows,
        []
    );
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_loses_names_before_requests() {
    let begun = Instant::now();
    let mut memory = Memory::new(begun);
    let ours = environment(1);
    for rule in 0..3000 {
        memory.add(sender(&ours, "eu"), batch([key(rule % 3, rule, 1)]), begun);
    }
    let by_rule = memory.answer(&query(Grouping::Rule), begun);
    assert!(by_rule.truncated && by_rule.rows.len() == ROWS_MAX);
    let (others, _) = &by_rule.rows[0];
    assert_eq!(
        others.taker,
        Some(Taker::Others),
        "those with the most come first"
    );
    assert_eq!(
        answers(&memory.answer(&query(Grouping::Region), begun)),
        [3000]
    );
    for region in 0..5000 {
        memory.add(
            sender(&ours, &format!("region-{region}")),
            batch([key(9, 9, 9)]),
            begun,
        );
    }
    let by_region = memory.answer(&query(Grouping::Region), begun);
    assert!(by_region.truncated && by_region.rows.len() == ROWS_MAX);
}

#[tokio::test(start_paused = true)]
async fn examples_are_the_newest_of_what_is_asked_for() {
    let begun = Instant::now();
    let mut memory = Memory::new(begun);
    let ours = environment(1);
    for number in 0..3000 {
        let decision = Decision {
            at: Timestamp(number),
            method: Decision::method("GET"),
            path: Decision::path("/"),
            route: RouteId::new(seed(number % 2)),
            snapshot: SnapshotId::new(seed(1)),
            rule: None,
            outcome: Outcome::Answered,
            target: None,
            status: 200,
            micros: 1,
        };
        let batch = Batch {
            decisions: vec![decision],
            ..Batch::default()
        };
        memory.add(sender(&ours, "eu"), batch, begun);
    }
    let now = begun + Duration::from_secs(7);
    let wanted = TelemetryQuery {
        routes: vec![RouteId::new(seed(1))],
        samples: 3,
        ..query(Grouping::Rule)
    };
    let counted = memory.answer(&wanted, now);
    let seen: Vec<_> = counted
        .samples
        .iter()
        .map(|sample| (sample.decision.at.0, sample.age_ms))
        .collect();
    assert_eq!(seen, [(2999, 7000), (2997, 7000), (2995, 7000)]);
    let all = TelemetryQuery {
        samples: u16::MAX,
        ..query(Grouping::Rule)
    };
    assert_eq!(memory.answer(&all, now).samples.len(), 2048);
    let late = now + Duration::from_secs(3600);
    assert_eq!(memory.answer(&all, late).samples, []);
}
