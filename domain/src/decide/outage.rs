//! Outages of upstreams: each begins once and ends once in a region, however often it is said.

use std::collections::BTreeSet;

use super::{Context, Judgement};
use crate::command::{OutageChange, RecordOutages};
use crate::event::Event;
use crate::id::{EnvironmentId, UpstreamId};
use crate::machine::Decision;
use crate::model::Outage;
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{UPSTREAM_OUTAGES, UPSTREAMS};

/// The most changes that one entry writes down: with more at once, the rest comes with the next.
pub const OUTAGES_MAX: usize = 256;

pub(super) fn record<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RecordOutages,
) -> Judgement {
    if command.changes.len() > OUTAGES_MAX {
        let message = format!("Up to {OUTAGES_MAX} changes may be written down at once.");
        return Err(Rejection::InvalidParameter {
            param: "changes".to_owned(),
            message,
        });
    }
    let mut seen = BTreeSet::new();
    let changes = command.changes.iter();
    let events = changes
        .filter(|change| seen.insert((&change.upstream_id, &change.region)))
        .filter_map(|change| event(context, &command.environment_id, change))
        .collect();
    Ok(Decision {
        events,
        outcome: Outcome::Recorded,
    })
}

fn event<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    change: &OutageChange,
) -> Option<Event> {
    let (upstream, region) = (&change.upstream_id, &change.region);
    let is_known = UPSTREAM_OUTAGES.has(context.view, (environment, upstream, region));
    match (is_known, change.is_down) {
        (false, true) if UPSTREAMS.has(context.view, (environment, upstream)) => {
            Some(Event::OutageBegan {
                environment_id: environment.clone(),
                upstream_id: upstream.clone(),
                region: region.clone(),
                outage: Outage {
                    since: context.at,
                    edges_down: change.edges_down,
                    edges: change.edges,
                },
            })
        }
        (true, false) => Some(ended(environment, upstream, region, true)),
        _ => None,
    }
}

/// What becomes of the outages of an upstream that is removed.
pub(super) fn forgotten<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    upstream: &UpstreamId,
) -> impl Iterator<Item = Event> {
    let span = UPSTREAM_OUTAGES.under((environment, upstream));
    let rows = UPSTREAM_OUTAGES.walk(context.view, span);
    rows.map(|((environment, upstream, region), _)| ended(&environment, &upstream, &region, false))
}

fn ended(
    environment: &EnvironmentId,
    upstream: &UpstreamId,
    region: &str,
    recovered: bool,
) -> Event {
    Event::OutageEnded {
        environment_id: environment.clone(),
        upstream_id: upstream.clone(),
        region: region.to_owned(),
        recovered,
    }
}
