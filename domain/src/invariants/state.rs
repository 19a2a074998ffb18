//! All records, read once.

use std::collections::BTreeMap;

use super::ensure;
use crate::content::{
    RouteContent, RuleContent, UpstreamContent, load_head, load_rules, load_upstreams,
};
use crate::id::{EnvironmentId, RouteId, RuleId, SnapshotId, UpstreamId};
use crate::model::{Manifest, ManifestVersion, Route, Rule, Snapshot, Upstream};
use crate::query::ViewChunks;
use crate::rows::{MemoryRows, View};
use crate::schema::{
    CHUNKS, CLOCK, DRAFTS, Draft, LogClock, MANIFEST_ROOTS, MANIFESTS, ROUTES, RULES, SNAPSHOTS,
    UPSTREAMS,
};
use crate::table::after;
use crate::tree::{Hash, TreeError};

/// A route with everything about it.
pub(super) struct RouteState {
    pub(super) route: Route,
    pub(super) draft: Draft,
    pub(super) rules: Vec<Rule>,
    pub(super) live: Option<LiveState>,
}

/// The content of a live snapshot, with each part's hash.
pub(super) struct LiveState {
    pub(super) head: RouteContent,
    pub(super) rules: BTreeMap<RuleId, (RuleContent, Hash)>,
    pub(super) upstreams: BTreeMap<UpstreamId, (UpstreamContent, Hash)>,
}

/// All records.
pub(super) struct State {
    /// A copy of all rows, for what is not read here.
    pub(super) rows: MemoryRows,
    pub(super) clock: LogClock,
    pub(super) routes: BTreeMap<(EnvironmentId, RouteId), RouteState>,
    pub(super) upstreams: BTreeMap<(EnvironmentId, UpstreamId), Upstream>,
    pub(super) snapshots: BTreeMap<(EnvironmentId, SnapshotId), Snapshot>,
    pub(super) manifests: BTreeMap<EnvironmentId, Manifest>,
    pub(super) roots: BTreeMap<(EnvironmentId, ManifestVersion), Hash>,
    pub(super) chunks: BTreeMap<Hash, Vec<u8>>,
}

impl State {
    pub(super) fn read(view: &(impl View + ?Sized)) -> Result<Self, String> {
        let rows = read_rows(view);
        let chunks = CHUNKS.all();
        let chunks = rows
            .scan(&chunks.from, &chunks.until, usize::MAX)
            .into_iter()
            .map(|(key, bytes)| {
                let address: [u8; 32] = key[1..]
                    .try_into()
                    .map_err(|_| "chunks: a key is no hash".to_owned())?;
                ensure(Hash::of(&bytes) == Hash(address), || {
                    format!("chunk {} has another hash", Hash(address))
                })?;
                Ok((Hash(address), bytes))
            });
        Ok(Self {
            clock: CLOCK.get(&rows, ()).unwrap_or(LogClock::START),
            routes: read_routes(&rows)?,
            upstreams: UPSTREAMS.walk(&rows, UPSTREAMS.all()).collect(),
            snapshots: SNAPSHOTS.walk(&rows, SNAPSHOTS.all()).collect(),
            manifests: MANIFESTS
                .walk(&rows, MANIFESTS.all())
                .map(|((id,), manifest)| (id, manifest))
                .collect(),
            roots: MANIFEST_ROOTS.walk(&rows, MANIFEST_ROOTS.all()).collect(),
            chunks: chunks.collect::<Result<_, String>>()?,
            rows,
        })
    }
}

/// How many rows are read at a time.
const PAGE: usize = 1024;

fn read_rows(view: &(impl View + ?Sized)) -> MemoryRows {
    let mut rows = MemoryRows::default();
    let mut from = Vec::new();
    loop {
        let page = view.scan(&from, &[0xff], PAGE);
        let last = page
            .last()
            .filter(|_| page.len() == PAGE)
            .map(|(key, _)| after(key));
        rows.0.extend(page);
        match last {
            Some(next) => from = next,
            None => return rows,
        }
    }
}

fn read_routes(
    rows: &MemoryRows,
) -> Result<BTreeMap<(EnvironmentId, RouteId), RouteState>, String> {
    let mut routes = BTreeMap::new();
    for (key, route) in ROUTES.walk(rows, ROUTES.all()) {
        let draft = DRAFTS
            .get(rows, (&key.0, &key.1))
            .ok_or_else(|| format!("route {} has no draft", key.1))?;
        let live = read_live(rows, &route).map_err(|error| format!("route {}: {error}", key.1))?;
        ensure(
            key == (route.environment_id.clone(), route.id.clone()),
            || format!("route {} is elsewhere", key.1),
        )?;
        routes.insert(
            key,
            RouteState {
                route,
                draft,
                rules: Vec::new(),
                live,
            },
        );
    }
    for (key, rule) in RULES.walk(rows, RULES.all()) {
        ensure(
            key == (rule.environment_id.clone(), rule.id.clone()),
            || format!("rule {} is elsewhere", key.1),
        )?;
        let route = routes.get_mut(&(rule.environment_id.clone(), rule.route_id.clone()));
        route
            .ok_or_else(|| format!("rule {} has no route", rule.id))?
            .rules
            .push(rule);
    }
    Ok(routes)
}

fn read_live(rows: &MemoryRows, route: &Route) -> Result<Option<LiveState>, TreeError> {
    let Some(published) = &route.published else {
        return Ok(None);
    };
    let chunks = ViewChunks(rows);
    let head = load_head(&chunks, published.head)?;
    let rules = load_rules(&chunks, head.rules).map(|rule| {
        let rule = rule?;
        let hash = Hash::of(&rule.encode());
        Ok((rule.id.clone(), (rule, hash)))
    });
    let rules = rules.collect::<Result<_, TreeError>>()?;
    let upstreams = load_upstreams(&chunks, head.upstreams).map(|upstream| {
        let upstream = upstream?;
        let hash = Hash::of(&upstream.encode());
        Ok((upstream.id.clone(), (upstream, hash)))
    });
    let upstreams = upstreams.collect::<Result<_, TreeError>>()?;
    Ok(Some(LiveState {
        head,
        rules,
        upstreams,
    }))
}
