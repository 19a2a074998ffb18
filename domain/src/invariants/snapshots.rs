//! Source: snapshots are immutable versions that only grow, one of them is active, and edges
//! follow the environment's manifest to it.

use std::collections::BTreeMap;

use super::ensure;
use super::expected::Expected;
use super::state::{RouteState, State};
use crate::content::{RouteEntry, load_routes};
use crate::id::{EnvironmentId, RouteId};
use crate::model::{Manifest, ManifestVersion, SnapshotState, SnapshotVersion};
use crate::query::ViewChunks;
use crate::schema::{
    MANIFEST_ROOTS, MANIFEST_ROOTS_KEPT, ROUTE_SNAPSHOTS, SNAPSHOT_VERSIONS, SNAPSHOTS_BY_TIME,
};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&SNAPSHOT_VERSIONS);
    expected.cover(&SNAPSHOTS_BY_TIME);
    expected.cover(&ROUTE_SNAPSHOTS);
    expected.cover(&MANIFEST_ROOTS);
    for ((environment, id), snapshot) in &state.snapshots {
        expected.add(
            &SNAPSHOT_VERSIONS,
            (environment, &snapshot.route_id, &snapshot.version),
            id,
        )?;
        expected.add(
            &SNAPSHOTS_BY_TIME,
            (environment, &snapshot.published_at, id),
            &(),
        )?;
        expected.add(
            &ROUTE_SNAPSHOTS,
            (environment, &snapshot.route_id, &snapshot.published_at, id),
            &(),
        )?;
    }
    for ((environment, id), route) in &state.routes {
        check_versions(state, environment, id, route)?;
    }
    for (environment, manifest) in &state.manifests {
        check_manifest(state, environment, manifest, expected)?;
    }
    let published = state
        .routes
        .iter()
        .filter(|(_, route)| route.live.is_some());
    published
        .map(|((environment, _), _)| environment)
        .try_for_each(|environment| {
            ensure(state.manifests.contains_key(environment), || {
                format!("{environment} has no manifest")
            })
        })
}

fn check_versions(
    state: &State,
    environment: &EnvironmentId,
    id: &RouteId,
    route: &RouteState,
) -> Result<(), String> {
    let snapshots: BTreeMap<_, _> = state
        .snapshots
        .iter()
        .filter(|((of, _), snapshot)| of == environment && snapshot.route_id == *id)
        .map(|(_, snapshot)| (snapshot.version, snapshot))
        .collect();
    let count = snapshots.len() as u64;
    let versions: Vec<_> = (1..=count).map(SnapshotVersion).collect();
    ensure(snapshots.keys().copied().eq(versions), || {
        format!("route {id}: versions have a gap")
    })?;
    ensure(route.draft.next_version.0 == count + 1, || {
        format!("route {id}: the draft's version is wrong")
    })?;
    let active: Vec<_> = snapshots
        .values()
        .filter(|snapshot| snapshot.state == SnapshotState::Published)
        .collect();
    match (&route.route.published, active.as_slice()) {
        (None, []) => ensure(count == 0, || {
            format!("route {id}: snapshots, but none is active")
        }),
        (Some(live), [active]) => {
            let said = (&live.snapshot_id, live.version, live.head, live.at);
            let is = (&active.id, active.version, active.head, active.published_at);
            ensure(said == is, || {
                format!("route {id}: the active snapshot is not as it says")
            })?;
            ensure(active.version.0 == count, || {
                format!("route {id}: the active version is not the newest")
            })
        }
        (_, active) => Err(format!("route {id}: {} snapshots are active", active.len())),
    }
}

fn check_manifest(
    state: &State,
    environment: &EnvironmentId,
    manifest: &Manifest,
    expected: &mut Expected,
) -> Result<(), String> {
    let oldest = manifest
        .version
        .0
        .saturating_sub(MANIFEST_ROOTS_KEPT - 1)
        .max(1);
    for version in (oldest..=manifest.version.0).map(ManifestVersion) {
        let root = state.roots.get(&(environment.clone(), version));
        let root = root.ok_or_else(|| {
            format!(
                "{environment}: the root of manifest {} is missing",
                version.0
            )
        })?;
        expected.add(&MANIFEST_ROOTS, (environment, &version), root)?;
    }
    let current = state.roots.get(&(environment.clone(), manifest.version));
    ensure(current == Some(&manifest.root), || {
        format!("{environment}: the manifest's root is not the newest")
    })?;
    let published = state.routes.iter().filter(|((of, _), route)| {
        of == environment && route.route.archived_at.is_none() && route.live.is_some()
    });
    let said: Vec<_> = published.filter_map(|(_, route)| entry(route)).collect();
    let is: Result<Vec<_>, _> = load_routes(&ViewChunks(&state.rows), manifest.root).collect();
    let is = is.map_err(|error| format!("{environment}: {error}"))?;
    ensure(said == is, || {
        format!("{environment}: the manifest has {is:?}, routes say {said:?}")
    })
}

fn entry(state: &RouteState) -> Option<RouteEntry> {
    let live = state.route.published.as_ref()?;
    Some(RouteEntry {
        route_id: state.route.id.clone(),
        hostname: live.hostname.clone(),
        enabled: live.enabled,
        snapshot_id: live.snapshot_id.clone(),
        version: live.version,
        head: live.head,
        purges: state.route.purges.clone(),
    })
}
