//! Source: an upstream that a draft or a live snapshot names cannot be removed, and a change of
//! it gives every route that names it a new draft.

use std::collections::{BTreeMap, BTreeSet};

use super::ensure;
use super::expected::Expected;
use super::rules::{content, wanted};
use super::state::{RouteState, State};
use crate::content::{UpstreamContent, action_upstreams, route_config};
use crate::id::UpstreamId;
use crate::model::{RuleStatus, Upstream};
use crate::schema::{DIRTY_UPSTREAMS, UPSTREAM_ROUTES, USES, Uses};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&USES);
    expected.cover(&UPSTREAM_ROUTES);
    expected.cover(&DIRTY_UPSTREAMS);
    for ((environment, id), route) in &state.routes {
        let mut dirty = 0;
        for (upstream, mut uses) in uses_of(route)? {
            let record = state
                .upstreams
                .get(&(environment.clone(), upstream.clone()));
            uses.dirty = is_dirty(route, &upstream, uses, record);
            expected.add(&USES, (environment, id, &upstream), &uses)?;
            expected.add(&UPSTREAM_ROUTES, (environment, &upstream, id), &())?;
            if uses.dirty {
                dirty += 1;
                expected.add(&DIRTY_UPSTREAMS, (environment, id, &upstream), &())?;
            }
        }
        ensure(route.draft.dirty_upstreams == dirty, || {
            format!("route {id} has {dirty} dirty upstreams")
        })?;
    }
    Ok(())
}

fn uses_of(state: &RouteState) -> Result<BTreeMap<UpstreamId, Uses>, String> {
    let mut uses: BTreeMap<UpstreamId, Uses> = BTreeMap::new();
    if state.route.archived_at.is_some() {
        return Ok(uses);
    }
    let config = serde_json::from_str(&state.route.config).map_err(|error| error.to_string())?;
    let config = route_config(state.route.mode, &config).map_err(|error| error.to_string())?;
    let mut count = |named: BTreeSet<UpstreamId>, wanted: bool| {
        for upstream in named {
            let uses = uses.entry(upstream).or_default();
            uses.draft += 1;
            uses.wanted += u64::from(wanted);
        }
    };
    count(config.upstreams().into_iter().cloned().collect(), true);
    for rule in state
        .rules
        .iter()
        .filter(|rule| rule.status != RuleStatus::Archived)
    {
        count(
            action_upstreams(&content(rule)?.action).cloned().collect(),
            wanted(rule),
        );
    }
    for (upstream, (_, hash)) in state.live.iter().flat_map(|live| &live.upstreams) {
        uses.entry(upstream.clone()).or_default().live = Some(*hash);
    }
    Ok(uses)
}

/// Whether publishing would change what the snapshot has of the upstream.
fn is_dirty(state: &RouteState, id: &UpstreamId, uses: Uses, record: Option<&Upstream>) -> bool {
    let live = state
        .live
        .as_ref()
        .and_then(|live| live.upstreams.get(id))
        .map(|(content, _)| content.clone());
    match (uses.wanted > 0, live) {
        (true, Some(live)) => record.is_some_and(|record| published_form(record) != live),
        (true, None) => true,
        (false, live) => live.is_some(),
    }
}

fn published_form(upstream: &Upstream) -> UpstreamContent {
    UpstreamContent {
        id: upstream.id.clone(),
        name: upstream.name.clone(),
        algorithm: upstream.algorithm,
        settings: upstream.settings.clone(),
        targets: upstream.targets.clone(),
    }
}
