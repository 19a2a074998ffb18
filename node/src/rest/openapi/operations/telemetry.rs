//! The traffic of edges.

use serde_json::json;

use super::super::super::operation::*;
use super::super::super::telemetry::{
    AvailabilityObject, DecisionsObject, LatencyObject, RuleStatsObject, SAMPLES_DEFAULT,
    SAMPLES_MAX, WINDOW_S_DEFAULT, WINDOW_S_MAX, WINDOW_S_MIN,
};
use super::super::described::{Described, Parameter, by, get, query, text, under};

fn window() -> Parameter {
    let schema = json!({
        "type": "integer", "minimum": WINDOW_S_MIN, "maximum": WINDOW_S_MAX,
        "default": WINDOW_S_DEFAULT,
    });
    query(
        "window_s",
        schema,
        "Over the last so many seconds, in whole minutes; the minute under way counts as one.",
    )
}

fn region() -> Parameter {
    text("region", "Only of edges in this region.")
}

fn filters() -> [Parameter; 4] {
    [
        by("route_id", "RouteId", "Only requests to this route."),
        by(
            "upstream_id",
            "UpstreamId",
            "Only requests that were sent to this upstream.",
        ),
        region(),
        window(),
    ]
}

pub(super) fn rows() -> Vec<Described> {
    let samples = json!({
        "type": "integer", "minimum": 0, "maximum": SAMPLES_MAX, "default": SAMPLES_DEFAULT,
    });
    let mut rows = under(
        "Telemetry",
        vec![
            get(TELEMETRY_LATENCY, "Latency by region")
                .about("From a request's head to the head of its answer, as the edges measured it. A key that is confined to routes is told of those alone.")
                .gives::<LatencyObject<'_>>()
                .with(filters()),
            get(TELEMETRY_AVAILABILITY, "Availability of upstreams")
                .about("Target by target and region by region.")
                .gives::<AvailabilityObject<'_>>()
                .with(filters()),
            get(TELEMETRY_DECISIONS, "Decisions of rules")
                .about("How many requests each rule took, and some of these requests.")
                .gives::<DecisionsObject<'_>>()
                .with(filters())
                .with([
                    by("rule_id", "RuleId", "Only requests that this rule took."),
                    query("samples", samples, "How many requests are shown."),
                ]),
        ],
    );
    rows.extend(under(
        "Rules",
        vec![
            get(RULES_STATS, "What a rule did")
                .about("As the edges counted it, for an hour at most.")
                .gives::<RuleStatsObject<'_>>()
                .with([region(), window()]),
        ],
    ));
    rows
}
