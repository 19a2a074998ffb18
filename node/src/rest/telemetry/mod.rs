//! The traffic of edges as clients ask for it: how long requests took by region, how targets answered,
//! which rules took what.
//!
//! None of it is replicated. Each node remembers an hour of what its edges counted; the node that is
//! asked gathers from its peers and names those that did not answer.

mod objects;
mod pulse;
mod question;

use std::sync::Arc;

use axum::routing::MethodFilter;
use domain::id::{RouteId, RuleId, UpstreamId};
use domain::query;
use http::StatusCode;
use serde::Serialize;

pub(crate) use objects::{AvailabilityObject, DecisionsObject, LatencyObject, RuleStatsObject};
pub(crate) use pulse::{NAMES as PULSES, Pulse, Pulses};
pub use question::{
    Grouping, TELEMETRY_MINUTES_MAX, TelemetryKey, TelemetryQuery, TelemetrySample, TelemetryView,
};

use self::objects::Frame;
use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::operation;
use super::pipeline::Call;
use super::query::Query;
use super::router::Routes;

/// The longest window, in seconds.
pub(crate) const WINDOW_S_MAX: u64 = TELEMETRY_MINUTES_MAX as u64 * 60;

/// The shortest: what is remembered is remembered by the minute.
pub(crate) const WINDOW_S_MIN: u64 = 60;

/// The window, unless the client says.
pub(crate) const WINDOW_S_DEFAULT: u64 = 300;

/// Examples that are shown, unless the client says, and at most.
pub(crate) const SAMPLES_DEFAULT: u64 = 20;
pub(crate) const SAMPLES_MAX: u64 = 100;

/// Serves all of it.
pub(super) fn serve(routes: &mut Routes) {
    let get = MethodFilter::GET;
    routes.add(get, operation::TELEMETRY_LATENCY, latency);
    routes.add(get, operation::TELEMETRY_AVAILABILITY, availability);
    routes.add(get, operation::TELEMETRY_DECISIONS, decisions);
    routes.add(get, operation::RULES_STATS, rule_stats);
}

async fn latency(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut given = std::mem::take(&mut call.query);
    let query = take(&caller, &mut given, Grouping::Region)?;
    given.finish()?;
    let view = api.fleet.telemetry(&query).await;
    answer(&frame(&caller, &query, &view).latency())
}

async fn availability(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut given = std::mem::take(&mut call.query);
    let query = take(&caller, &mut given, Grouping::Target)?;
    given.finish()?;
    let view = api.fleet.telemetry(&query).await;
    answer(&frame(&caller, &query, &view).availability())
}

async fn decisions(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut given = std::mem::take(&mut call.query);
    let mut query = take(&caller, &mut given, Grouping::Rule)?;
    query.rule = given.id("rule_id", "rule", RuleId::parse)?;
    let samples = given.integer("samples", 0, SAMPLES_MAX)?;
    query.samples = narrow(samples.unwrap_or(SAMPLES_DEFAULT));
    given.finish()?;
    let view = api.fleet.telemetry(&query).await;
    answer(&frame(&caller, &query, &view).decisions(api.clock.now()))
}

async fn rule_stats(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    let mut given = std::mem::take(&mut call.query);
    let minutes = minutes(&mut given)?;
    let region = given.text("region");
    given.finish()?;
    let seen = api
        .read(call.consistency, |view| {
            query::rule(view, &caller.environment_id, &id).is_some()
        })
        .await?;
    if !seen.value {
        return Err(ApiError::not_found("rule").into());
    }
    let query = TelemetryQuery {
        rule: Some(id.clone()),
        region,
        minutes,
        ..everything(&caller, Grouping::Region)
    };
    let view = api.fleet.telemetry(&query).await;
    let object = frame(&caller, &query, &view).rule(id.as_str());
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

fn answer(object: &impl Serialize) -> Answered {
    Ok(Answer::json(StatusCode::OK, object))
}

fn frame<'a>(caller: &'a Caller, query: &TelemetryQuery, view: &'a TelemetryView) -> Frame<'a> {
    Frame {
        environment: &caller.environment,
        window_s: u64::from(query.minutes) * 60,
        view,
    }
}

/// All that a caller may see.
fn everything(caller: &Caller, by: Grouping) -> TelemetryQuery {
    TelemetryQuery {
        environment_id: caller.environment_id.clone(),
        routes: caller.routes().cloned().collect(),
        rule: None,
        upstream: None,
        region: None,
        minutes: 1,
        by,
        samples: 0,
    }
}

fn take(caller: &Caller, given: &mut Query, by: Grouping) -> Result<TelemetryQuery, ApiError> {
    let mut query = TelemetryQuery {
        upstream: given.id("upstream_id", "upstream", UpstreamId::parse)?,
        region: given.text("region"),
        minutes: minutes(given)?,
        ..everything(caller, by)
    };
    if let Some(route) = given.id("route_id", "route", RouteId::parse)? {
        if caller.is_confined() && !caller.sees_route(&route) {
            return Err(ApiError::insufficient_scope(
                "The key is not for this route.",
            ));
        }
        query.routes = vec![route];
    }
    Ok(query)
}

/// How many minutes are wanted: those that the window touches.
fn minutes(given: &mut Query) -> Result<u16, ApiError> {
    let window_s = given.integer("window_s", WINDOW_S_MIN, WINDOW_S_MAX)?;
    Ok(narrow(window_s.unwrap_or(WINDOW_S_DEFAULT).div_ceil(60)))
}

/// What the bounds of parameters keep small.
fn narrow(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
