//! What is asked about the traffic of edges, and answered: the same between a client's request and
//! its node as between nodes.

use std::collections::BTreeMap;

use domain::id::{EnvironmentId, RouteId, RuleId, UpstreamId};
use edge_protocol::telemetry::{Counts, Decision, SeriesKey, Taker, TargetKey};
use serde::{Deserialize, Serialize};

use crate::control_plane::MemberId;

/// For how many minutes counts are remembered.
pub const TELEMETRY_MINUTES_MAX: u16 = 60;

/// By what counts are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grouping {
    /// The region of the edges.
    Region,
    /// Region, upstream and target; requests that were sent nowhere are left out.
    Target,
    /// Route and rule.
    Rule,
}

/// Which counts are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelemetryQuery {
    /// Of this environment.
    pub environment_id: EnvironmentId,
    /// Of these routes; of all, and of requests to nobody's host, where there is none.
    pub routes: Vec<RouteId>,
    /// Of this rule alone.
    pub rule: Option<RuleId>,
    /// Of this upstream alone.
    pub upstream: Option<UpstreamId>,
    /// Of edges in this region alone.
    pub region: Option<String>,
    /// Of the last minutes, from 1 to [`TELEMETRY_MINUTES_MAX`].
    pub minutes: u16,
    /// How they are put together.
    pub by: Grouping,
    /// How many examples are wanted.
    pub samples: u16,
}

/// What a row counts. What is not told apart is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TelemetryKey {
    /// Where the edges are.
    pub region: Option<String>,
    /// The route; not set for requests to nobody's host either.
    pub route: Option<RouteId>,
    /// What of the route took the requests.
    pub taker: Option<Taker>,
    /// Where they were sent.
    pub target: Option<TargetKey>,
}

/// A request as an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelemetrySample {
    /// How long ago its node heard of it. Not a time, since nodes' clocks differ.
    pub age_ms: u64,
    /// Where its edge is.
    pub region: String,
    /// Its edge.
    pub edge_id: String,
    /// The request.
    pub decision: Decision,
}

/// What all nodes that answered say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryView {
    /// The counts.
    pub rows: BTreeMap<TelemetryKey, Counts>,
    /// The newest first.
    pub samples: Vec<TelemetrySample>,
    /// Whether some node left rows out.
    pub truncated: bool,
    /// The nodes that did not answer: what their edges counted is missing.
    pub silent: Vec<MemberId>,
}

impl TelemetryQuery {
    /// The row of a series, if it is wanted.
    #[must_use]
    pub fn row(&self, region: &str, series: &SeriesKey) -> Option<TelemetryKey> {
        let rule = match &series.taker {
            Taker::Rule(rule) => Some(rule),
            Taker::Defaults | Taker::Others => None,
        };
        let upstream = series.target.as_ref().map(|target| &target.upstream);
        if !self.wants(region, series.route.as_ref(), rule, upstream) {
            return None;
        }
        match self.by {
            Grouping::Region => Some(TelemetryKey {
                region: Some(region.to_owned()),
                ..TelemetryKey::default()
            }),
            Grouping::Target => Some(TelemetryKey {
                region: Some(region.to_owned()),
                target: Some(series.target.clone()?),
                ..TelemetryKey::default()
            }),
            Grouping::Rule => Some(TelemetryKey {
                route: series.route.clone(),
                taker: Some(series.taker.clone()),
                ..TelemetryKey::default()
            }),
        }
    }

    /// Whether an example is wanted.
    #[must_use]
    pub fn takes(&self, region: &str, decision: &Decision) -> bool {
        let upstream = decision.target.as_ref().map(|target| &target.upstream);
        self.wants(
            region,
            Some(&decision.route),
            decision.rule.as_ref(),
            upstream,
        )
    }

    fn wants(
        &self,
        region: &str,
        route: Option<&RouteId>,
        rule: Option<&RuleId>,
        upstream: Option<&UpstreamId>,
    ) -> bool {
        self.region.as_ref().is_none_or(|wanted| wanted == region)
            && (self.routes.is_empty() || route.is_some_and(|route| self.routes.contains(route)))
            && (self.rule.is_none() || self.rule.as_ref() == rule)
            && (self.upstream.is_none() || self.upstream.as_ref() == upstream)
    }
}
