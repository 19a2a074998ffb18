//! Source: a hostname belongs to one route of an environment, plans limit the number of routes,
//! and lists show every route once.

use std::collections::BTreeMap;

use super::ensure;
use super::expected::Expected;
use super::state::{RouteState, State};
use crate::content::route_config;
use crate::schema::{HOSTNAMES, LIVE_HOSTNAMES, ROUTE_COUNTS, ROUTES_BY_TIME, UPSTREAMS_BY_TIME};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    for table in [&HOSTNAMES, &LIVE_HOSTNAMES] {
        expected.cover(table);
    }
    expected.cover(&ROUTES_BY_TIME);
    expected.cover(&ROUTE_COUNTS);
    expected.cover(&UPSTREAMS_BY_TIME);
    let mut counts = BTreeMap::new();
    for ((environment, id), RouteState { route, .. }) in &state.routes {
        let archived = route.archived_at.is_some();
        expected.add(
            &ROUTES_BY_TIME,
            (environment, &archived, &route.created_at, id),
            &(),
        )?;
        let count = counts.entry(environment).or_insert(0);
        if archived {
            continue;
        }
        *count += 1;
        expected.add(&HOSTNAMES, (environment, &route.hostname), id)?;
        if let Some(live) = route.published.as_ref().filter(|live| live.enabled) {
            expected.add(&LIVE_HOSTNAMES, (environment, &live.hostname), id)?;
        }
    }
    for (environment, count) in counts {
        expected.add(&ROUTE_COUNTS, (environment,), &count)?;
    }
    for ((environment, id), upstream) in &state.upstreams {
        expected.add(
            &UPSTREAMS_BY_TIME,
            (environment, &upstream.created_at, id),
            &(),
        )?;
    }
    state.routes.values().try_for_each(check_settings)
}

/// The settings are dirty if and only if they differ from the live ones.
fn check_settings(state: &RouteState) -> Result<(), String> {
    let (route, id) = (&state.route, &state.route.id);
    let config =
        serde_json::from_str(&route.config).map_err(|error| format!("route {id}: {error}"))?;
    let config =
        route_config(route.mode, &config).map_err(|error| format!("route {id}: {error}"))?;
    let dirty = match (&state.live, &route.published) {
        (None, None) => true,
        (Some(live), Some(published)) => {
            let head = &live.head;
            ensure(head.route_id == *id, || {
                format!("route {id}: the live head is of another route")
            })?;
            ensure(head.hostname == published.hostname, || {
                format!("route {id}: another hostname is live")
            })?;
            ensure(head.enabled == published.enabled, || {
                format!("route {id}: enabled is not as live")
            })?;
            let drafted = (&route.name, &route.hostname, route.mode, route.enabled);
            drafted != (&head.name, &head.hostname, head.mode, head.enabled)
                || config.default_upstreams != head.default_upstreams
                || config.canonical != head.config
        }
        _ => {
            return Err(format!(
                "route {id}: the live content is not where it is said to be"
            ));
        }
    };
    ensure(state.draft.dirty_settings == dirty, || {
        format!("route {id}: settings are dirty: {dirty}, not as said")
    })
}
