//! Batches add up and stay within their bounds.

use proptest::prelude::*;

use super::*;

fn key(route: usize, rule: usize) -> SeriesKey {
    SeriesKey {
        route: Some(RouteId::parse(&format!("rt_{route:08}")).unwrap()),
        taker: Taker::Rule(RuleId::parse(&format!("rule_{rule:08}")).unwrap()),
        target: None,
    }
}

fn counts(micros: u64) -> Counts {
    let mut counts = Counts::default();
    counts.answered(2, micros);
    counts
}

fn batch(keys: impl IntoIterator<Item = SeriesKey>) -> Batch {
    let mut batch = Batch {
        span_ms: 10,
        ..Batch::default()
    };
    for key in keys {
        batch.series.entry(key).or_default().merge(&counts(5));
    }
    batch
}

fn answers(batch: &Batch) -> u64 {
    batch.series.values().map(Counts::answers).sum()
}

#[test]
fn what_is_beyond_the_bound_goes_to_its_route_and_nothing_is_lost() {
    let mut all = Batch::default();
    for rule in 0..3000 {
        all.merge(batch([key(rule % 2, rule)]));
    }
    assert_eq!(all.series.len(), BATCH_SERIES_MAX / 2 + 2);
    assert_eq!((answers(&all), all.span_ms), (3000, 30_000));
    for route in 3000..9000 {
        all.merge(batch([key(route, 0)]));
    }
    assert_eq!(all.series.len(), BATCH_SERIES_MAX);
    assert_eq!(answers(&all), 9000);
    assert!(all.series.contains_key(&SeriesKey::beyond()));
}

#[test]
fn the_latest_examples_are_kept() {
    let decision = |status| Decision {
        at: domain::time::Timestamp(1),
        method: Decision::method("GET"),
        path: Decision::path(&"\u{e4}".repeat(300)),
        route: RouteId::parse("rt_00000001").unwrap(),
        snapshot: domain::id::SnapshotId::parse("snap_00000001").unwrap(),
        rule: None,
        outcome: Outcome::Refused,
        target: None,
        status,
        micros: 3,
    };
    let mut all = Batch::default();
    for status in 0..100 {
        all.merge(Batch {
            decisions: vec![decision(status)],
            ..Batch::default()
        });
    }
    assert_eq!(all.decisions.len(), BATCH_DECISIONS_MAX);
    assert_eq!(
        (all.decisions[0].status, all.decisions[63].status),
        (36, 99)
    );
    assert_eq!(all.check(), Ok(()));
    all.decisions[0].path.push_str("xx");
    assert!(all.check().is_err());
}

#[test]
fn frames_hold_all_of_a_batch_and_each_is_bounded() {
    let mut all = batch((0..300).map(|rule| key(1, rule)));
    let mut frames = Vec::new();
    while !all.is_empty() {
        frames.push(all.split_frame());
    }
    let sizes: Vec<_> = frames.iter().map(|frame| frame.series.len()).collect();
    assert_eq!(sizes, [128, 128, 44]);
    assert!(frames.iter().all(|frame| frame.check().is_ok()));
    assert!(batch((0..129).map(|rule| key(1, rule))).check().is_err());
}

#[test]
fn the_largest_frame_fits() {
    let mut full = Counts {
        statuses: [u64::MAX; 5],
        failures: u64::MAX,
        ..Counts::default()
    };
    for value in [0, u64::MAX] {
        full.latency.record(value);
    }
    // Each bucket at its largest.
    let mut bytes = postcard::to_stdvec(&full).unwrap().len();
    bytes += 4 * 1056 + 200;
    assert!(bytes * FRAME_SERIES_MAX < crate::limits::FRAME_BYTES_MAX);
}

proptest! {
    #[test]
    fn merging_counts_adds_every_answer(
        rules in prop::collection::vec((0_usize..9, 0_usize..400), 0..900),
        max in 1_usize..300,
    ) {
        let mut series = BTreeMap::new();
        for (route, rule) in &rules {
            add(&mut series, &key(*route, *rule), &counts(1), max);
            prop_assert!(series.len() <= 2 * max);
        }
        let answers: u64 = series.values().map(Counts::answers).sum();
        prop_assert_eq!(answers, rules.len() as u64);
    }
}
