//! What clients are told of the traffic of edges.

use domain::time::Timestamp;
use edge_protocol::telemetry::{Counts, Sketch, Taker};
use serde::Serialize;
use utoipa::ToSchema;

use super::{TelemetryKey, TelemetrySample, TelemetryView};
use crate::control_plane::MemberId;
use crate::rest::openapi::shape;
use crate::rest::render::Seconds;

/// How long requests took, from a request's head to the head of its answer, in microseconds. Percentiles
/// are off by 1.6 % at most.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = TrafficLatency)]
pub(crate) struct Durations {
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
    mean: u64,
}

impl Durations {
    fn of(sketch: &Sketch) -> Option<Self> {
        Some(Self {
            p50: sketch.quantile(500)?,
            p90: sketch.quantile(900)?,
            p99: sketch.quantile(990)?,
            max: sketch.max(),
            mean: sketch.sum().checked_div(sketch.count())?,
        })
    }
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = TrafficCounts)]
pub(crate) struct Traffic {
    /// Requests that were answered.
    requests: u64,
    status_1xx: u64,
    status_2xx: u64,
    status_3xx: u64,
    status_4xx: u64,
    status_5xx: u64,
    /// How often a target gave no answer, whatever the client got in the end.
    failures: u64,
    /// None where nothing was answered.
    latency_us: Option<Durations>,
}

impl Traffic {
    fn of(counts: &Counts) -> Self {
        let [status_1xx, status_2xx, status_3xx, status_4xx, status_5xx] = counts.statuses;
        Self {
            requests: counts.answers(),
            status_1xx,
            status_2xx,
            status_3xx,
            status_4xx,
            status_5xx,
            failures: counts.failures,
            latency_us: Durations::of(&counts.latency),
        }
    }
}

/// The traffic of one region.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegionTraffic)]
pub(crate) struct OfRegion<'a> {
    region: &'a str,
    #[serde(flatten)]
    traffic: Traffic,
}

/// How long requests took, region by region.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TelemetryLatency)]
pub(crate) struct LatencyObject<'a> {
    object: &'static str,
    environment: &'a str,
    /// Over how long, in seconds.
    window_s: u64,
    total: Traffic,
    regions: Vec<OfRegion<'a>>,
    /// Whether regions with little traffic are left out.
    truncated: bool,
    /// Members that did not answer: what their edges counted is missing.
    #[schema(value_type = Vec<u64>)]
    silent_nodes: &'a [MemberId],
}

/// How a target answered edges of one region.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TargetTraffic)]
pub(crate) struct OfTarget<'a> {
    #[schema(value_type = shape::UpstreamId)]
    upstream_id: &'a str,
    #[schema(value_type = shape::TargetId)]
    target_id: &'a str,
    region: &'a str,
    /// The share of requests whose answer was no 5xx, from 0 to 1. None where there was no request.
    availability: Option<f64>,
    #[serde(flatten)]
    traffic: Traffic,
}

/// How targets answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TelemetryAvailability)]
pub(crate) struct AvailabilityObject<'a> {
    object: &'static str,
    environment: &'a str,
    /// Over how long, in seconds.
    window_s: u64,
    /// Of all targets together.
    availability: Option<f64>,
    total: Traffic,
    targets: Vec<OfTarget<'a>>,
    /// Whether targets with little traffic are left out.
    truncated: bool,
    /// Members that did not answer: what their edges counted is missing.
    #[schema(value_type = Vec<u64>)]
    silent_nodes: &'a [MemberId],
}

/// What took requests.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DecisionTaker)]
enum TakenBy {
    /// A rule.
    Rule,
    /// The route's own upstreams, or nothing of it.
    Defaults,
    /// Rules that were too many to be counted one by one.
    Others,
}

/// How many requests a rule took.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuleTraffic)]
pub(crate) struct OfRule<'a> {
    /// None for requests to nobody's host.
    #[schema(value_type = Option<shape::RouteId>)]
    route_id: Option<&'a str>,
    taken_by: TakenBy,
    #[schema(value_type = Option<shape::RuleId>)]
    rule_id: Option<&'a str>,
    #[serde(flatten)]
    traffic: Traffic,
}

/// One request as an example.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DecisionSample)]
pub(crate) struct SampleObject<'a> {
    #[schema(value_type = u64)]
    at: Seconds,
    edge_id: &'a str,
    region: &'a str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    #[schema(value_type = shape::SnapshotId)]
    snapshot_id: &'a str,
    #[schema(value_type = Option<shape::RuleId>)]
    rule_id: Option<&'a str>,
    /// `forwarded`, `answered` by the rule or the edge's cache, or `refused` with an error of the
    /// edge's.
    outcome: &'static str,
    #[schema(value_type = Option<shape::UpstreamId>)]
    upstream_id: Option<&'a str>,
    #[schema(value_type = Option<shape::TargetId>)]
    target_id: Option<&'a str>,
    method: &'a str,
    /// Without its query.
    path: &'a str,
    status: u16,
    latency_us: u64,
}

/// Which rules took requests, and some of these.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TelemetryDecisions)]
pub(crate) struct DecisionsObject<'a> {
    object: &'static str,
    environment: &'a str,
    /// Over how long, in seconds.
    window_s: u64,
    /// Those with the most requests first.
    rules: Vec<OfRule<'a>>,
    /// A fair sample of each edge's requests, the newest first.
    samples: Vec<SampleObject<'a>>,
    /// Whether rules with little traffic are left out.
    truncated: bool,
    /// Members that did not answer: what their edges counted is missing.
    #[schema(value_type = Vec<u64>)]
    silent_nodes: &'a [MemberId],
}

/// What a rule did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuleStats)]
pub(crate) struct RuleStatsObject<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::RuleId)]
    rule_id: &'a str,
    /// Over how long, in seconds.
    window_s: u64,
    total: Traffic,
    regions: Vec<OfRegion<'a>>,
    /// Whether regions with little traffic are left out.
    truncated: bool,
    /// Members that did not answer: what their edges counted is missing.
    #[schema(value_type = Vec<u64>)]
    silent_nodes: &'a [MemberId],
}

/// What is the same about all of these objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) environment: &'a str,
    pub(crate) window_s: u64,
    pub(crate) view: &'a TelemetryView,
}

impl<'a> Frame<'a> {
    pub(crate) fn latency(self) -> LatencyObject<'a> {
        LatencyObject {
            object: "telemetry_latency",
            environment: self.environment,
            window_s: self.window_s,
            total: Traffic::of(&self.total()),
            regions: self.regions(),
            truncated: self.view.truncated,
            silent_nodes: &self.view.silent,
        }
    }

    pub(crate) fn availability(self) -> AvailabilityObject<'a> {
        let total = self.total();
        let targets = self.view.rows.iter().filter_map(|(key, counts)| {
            let target = key.target.as_ref()?;
            Some(OfTarget {
                upstream_id: target.upstream.as_str(),
                target_id: target.target.as_str(),
                region: key.region.as_deref()?,
                availability: availability(counts),
                traffic: Traffic::of(counts),
            })
        });
        AvailabilityObject {
            object: "telemetry_availability",
            environment: self.environment,
            window_s: self.window_s,
            availability: availability(&total),
            total: Traffic::of(&total),
            targets: targets.collect(),
            truncated: self.view.truncated,
            silent_nodes: &self.view.silent,
        }
    }

    pub(crate) fn decisions(self, now: Timestamp) -> DecisionsObject<'a> {
        let mut rules: Vec<_> = self
            .view
            .rows
            .iter()
            .map(|(key, counts)| rule(key, counts))
            .collect();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.traffic.requests));
        DecisionsObject {
            object: "telemetry_decisions",
            environment: self.environment,
            window_s: self.window_s,
            rules,
            samples: self
                .view
                .samples
                .iter()
                .map(|seen| sample(seen, now))
                .collect(),
            truncated: self.view.truncated,
            silent_nodes: &self.view.silent,
        }
    }

    pub(crate) fn rule(self, rule_id: &'a str) -> RuleStatsObject<'a> {
        RuleStatsObject {
            object: "rule_stats",
            environment: self.environment,
            rule_id,
            window_s: self.window_s,
            total: Traffic::of(&self.total()),
            regions: self.regions(),
            truncated: self.view.truncated,
            silent_nodes: &self.view.silent,
        }
    }

    fn regions(self) -> Vec<OfRegion<'a>> {
        let of_region = |(key, counts): (&'a TelemetryKey, &Counts)| {
            Some(OfRegion {
                region: key.region.as_deref()?,
                traffic: Traffic::of(counts),
            })
        };
        self.view.rows.iter().filter_map(of_region).collect()
    }

    fn total(self) -> Counts {
        let mut total = Counts::default();
        self.view
            .rows
            .values()
            .for_each(|counts| total.merge(counts));
        total
    }
}

/// The share of answers that were no 5xx.
fn availability(counts: &Counts) -> Option<f64> {
    let requests = counts.answers();
    let good = requests - counts.statuses[4];
    #[allow(
        clippy::cast_precision_loss,
        reason = "a share needs no more digits than a float has"
    )]
    (requests > 0).then(|| good as f64 / requests as f64)
}

fn rule<'a>(key: &'a TelemetryKey, counts: &Counts) -> OfRule<'a> {
    let (taken_by, rule) = match &key.taker {
        Some(Taker::Rule(rule)) => (TakenBy::Rule, Some(rule)),
        Some(Taker::Others) => (TakenBy::Others, None),
        Some(Taker::Defaults) | None => (TakenBy::Defaults, None),
    };
    OfRule {
        route_id: key.route.as_ref().map(|route| route.as_str()),
        taken_by,
        rule_id: rule.map(|rule| rule.as_str()),
        traffic: Traffic::of(counts),
    }
}

/// Its time is counted back from this node's clock.
pub(crate) fn sample(seen: &TelemetrySample, now: Timestamp) -> SampleObject<'_> {
    let decision = &seen.decision;
    let target = decision.target.as_ref();
    SampleObject {
        at: Seconds(Timestamp(now.0.saturating_sub(seen.age_ms))),
        edge_id: &seen.edge_id,
        region: &seen.region,
        route_id: decision.route.as_str(),
        snapshot_id: decision.snapshot.as_str(),
        rule_id: decision.rule.as_ref().map(|rule| rule.as_str()),
        outcome: decision.outcome.as_str(),
        upstream_id: target.map(|target| target.upstream.as_str()),
        target_id: target.map(|target| target.target.as_str()),
        method: &decision.method,
        path: &decision.path,
        status: decision.status,
        latency_us: decision.micros,
    }
}
