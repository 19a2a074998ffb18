//! What was counted since the edge started, by route and upstream, for `/metrics`. Rules and
//! targets are left out, for they are too many to be labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{RouteId, UpstreamId};
use edge_protocol::telemetry::{Counts, SeriesKey};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use tokio::time::Instant;

use super::Hub;

/// Pairs of route and upstream that are shown, each on some twenty lines: half a megabyte of text.
/// Those beyond are shown as one.
const PAIRS_MAX: usize = 256;

/// A pair that counted nothing for so long gives way to a new one.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// The upper bounds of the histograms, in milliseconds. Durations stand in a sketch, so one within
/// 1.6 % of a bound may be counted on its other side.
const BOUNDS_MS: [u64; 10] = [1, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 30_000];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A pair as its labels say it.
type Pair = (Option<RouteId>, Option<UpstreamId>);

/// The totals.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pairs: BTreeMap<Pair, Total>,
    /// Of the pairs beyond the bound.
    others: Total,
}

#[derive(Debug, Default)]
struct Total {
    statuses: [u64; 5],
    failures: u64,
    /// Up to each bound; the last is without one.
    times: [u64; BOUNDS_MS.len() + 1],
    micros: u64,
    touched: Option<Instant>,
}

impl Totals {
    /// Adds what was counted of a series.
    pub(super) fn add(&mut self, key: &SeriesKey, counts: &Counts, now: Instant) {
        let upstream = key.target.as_ref().map(|target| target.upstream.clone());
        self.total((key.route.clone(), upstream), now)
            .add(counts, now);
    }

    fn total(&mut self, pair: Pair, now: Instant) -> &mut Total {
        if !self.pairs.contains_key(&pair) && self.pairs.len() >= PAIRS_MAX && !self.evict(now) {
            return &mut self.others;
        }
        self.pairs.entry(pair).or_default()
    }

    /// Whether there is room now.
    fn evict(&mut self, now: Instant) -> bool {
        let oldest = self.pairs.iter().min_by_key(|(_, total)| total.touched);
        let idle = oldest.filter(|(_, total)| {
            total
                .touched
                .is_some_and(|touched| now.duration_since(touched) >= IDLE)
        });
        let Some(pair) = idle.map(|(pair, _)| pair.clone()) else {
            return false;
        };
        self.pairs.remove(&pair).is_some()
    }

    fn rows(&self) -> impl Iterator<Item = ([(&'static str, &str); 2], &Total)> {
        let pairs = self.pairs.iter().map(|((route, upstream), total)| {
            let route = route.as_ref().map_or("", |id| id.as_str());
            let upstream = upstream.as_ref().map_or("", |id| id.as_str());
            ([("route", route), ("upstream", upstream)], total)
        });
        let others = ([("route", "other"), ("upstream", "other")], &self.others);
        pairs.chain(self.others.touched.is_some().then_some(others))
    }
}

impl Total {
    fn add(&mut self, counts: &Counts, now: Instant) {
        for (total, count) in self.statuses.iter_mut().zip(&counts.statuses) {
            *total = total.saturating_add(*count);
        }
        self.failures = self.failures.saturating_add(counts.failures);
        self.micros = self.micros.saturating_add(counts.latency.sum());
        let mut before = 0;
        let limits = BOUNDS_MS
            .iter()
            .map(|ms| counts.latency.count_below(ms * 1000 + 1));
        for (time, below) in self
            .times
            .iter_mut()
            .zip(limits.chain([counts.latency.count()]))
        {
            *time = time.saturating_add(below - before);
            before = below;
        }
        self.touched = Some(now);
    }
}

/// Shows the totals.
pub(crate) struct Routes(pub(crate) Arc<Hub>);

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

impl Collector for Routes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.with_totals(|totals| {
            encode_statuses(totals, &mut encoder)?;
            encode_failures(totals, &mut encoder)?;
            encode_times(totals, &mut encoder)
        })
    }
}

fn encode_statuses(totals: &Totals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(
        "route_responses",
        "Responses by route, upstream and the class of their status",
        None,
        MetricType::Counter,
    )?;
    for ([route, upstream], total) in totals.rows() {
        for (class, count) in CLASSES.into_iter().zip(total.statuses) {
            metric
                .encode_family(&[route, upstream, ("status", class)])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

fn encode_failures(totals: &Totals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(
        "route_upstream_failures",
        "Requests to which a target of the upstream gave no answer",
        None,
        MetricType::Counter,
    )?;
    for (labels, total) in totals.rows() {
        metric
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, _, u64>(&total.failures, None)?;
    }
    Ok(())
}

fn encode_times(totals: &Totals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(
        "route_response_seconds",
        "From a request's head to the head of its answer, by route and upstream",
        None,
        MetricType::Histogram,
    )?;
    for (labels, total) in totals.rows() {
        let bounds = BOUNDS_MS
            .iter()
            .map(|ms| Duration::from_millis(*ms).as_secs_f64())
            .chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(total.times).collect();
        let sum = Duration::from_micros(total.micros).as_secs_f64();
        metric
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, total.times.iter().sum(), &buckets, None)?;
    }
    Ok(())
}
