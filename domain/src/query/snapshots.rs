//! Snapshots, manifests and chunks.

use crate::content::{RouteEntry, route_key};
use crate::id::{EnvironmentId, RouteId, SnapshotId};
use crate::model::{Manifest, ManifestVersion, Snapshot, SnapshotVersion};
use crate::query::page::Page;
use crate::query::signing::epoch;
use crate::rows::View;
use crate::schema::{MANIFESTS, SNAPSHOT_VERSIONS, SNAPSHOTS, SNAPSHOTS_BY_TIME, get_chunk};
use crate::table::after as key_after;
use crate::time::{Revision, Timestamp};
use crate::tree::{self, ChunkSource, Hash, TreeKind};

/// The chunks of a view.
#[derive(Debug)]
pub struct ViewChunks<'a, V: ?Sized>(pub &'a V);

impl<V: View + ?Sized> ChunkSource for ViewChunks<'_, V> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        chunk(self.0, hash)
    }
}

/// A snapshot.
pub fn snapshot(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &SnapshotId,
) -> Option<Snapshot> {
    SNAPSHOTS.get(view, (environment, id))
}

/// A route's snapshot with this version.
pub fn snapshot_by_version(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    route: &RouteId,
    version: SnapshotVersion,
) -> Option<Snapshot> {
    let id = SNAPSHOT_VERSIONS.get(view, (environment, route, &version))?;
    snapshot(view, environment, &id)
}

/// Snapshots by (publication, identifier), newest first, from before the given place on. Those of one
/// route are ordered by version, which is the same order and has no ties: several publications may
/// share a moment of the log's time.
pub fn snapshots_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    route: Option<&RouteId>,
    after: Option<(Timestamp, SnapshotId)>,
    limit: usize,
) -> Page<Snapshot> {
    let wanted = limit.saturating_add(1);
    let ids: Vec<SnapshotId> = match route {
        Some(route) => {
            let mut span = SNAPSHOT_VERSIONS.under((environment, route));
            if let Some((_, id)) = &after {
                // Snapshots are never removed, so one that is not there was never shown.
                let version = snapshot(view, environment, id).map(|after| after.version);
                let version = version.unwrap_or(SnapshotVersion(0));
                span.until = SNAPSHOT_VERSIONS.key((environment, route, &version));
            }
            let rows = SNAPSHOT_VERSIONS.scan_back(view, &span, wanted);
            rows.into_iter().map(|(_, id)| id).collect()
        }
        None => {
            let mut span = SNAPSHOTS_BY_TIME.under((environment,));
            if let Some((at, id)) = &after {
                span.until = SNAPSHOTS_BY_TIME.key((environment, at, id));
            }
            let rows = SNAPSHOTS_BY_TIME.scan_back(view, &span, wanted);
            rows.into_iter().map(|((_, _, id), ())| id).collect()
        }
    };
    Page::of(ids, limit, view, |id| snapshot(view, environment, id))
}

/// An environment's current manifest; before the first publication version 0 of an empty tree.
pub fn manifest(view: &(impl View + ?Sized), environment: &EnvironmentId) -> Manifest {
    MANIFESTS
        .get(view, (environment,))
        .unwrap_or_else(|| Manifest {
            environment_id: environment.clone(),
            epoch: epoch(view),
            version: ManifestVersion(0),
            root: Hash::EMPTY_TREE,
            updated_at: Timestamp(0),
            revision: Revision(0),
            previous: Hash([0; 32]),
        })
}

/// The routes that a manifest names, by identifier, from after the given one on.
pub fn manifest_routes_page(
    view: &(impl View + ?Sized),
    manifest: &Manifest,
    after: Option<&RouteId>,
    limit: usize,
) -> Page<RouteEntry> {
    let (chunks, mut items) = (ViewChunks(view), Vec::new());
    let mut from = after.map_or_else(Vec::new, |id| key_after(&route_key(id)));
    while items.len() <= limit {
        let found = match tree::first_from(&chunks, TreeKind::Routes, manifest.root, &from) {
            Ok(found) => found,
            Err(error) => {
                view.broken(&error.to_string());
                None
            }
        };
        let Some((key, value)) = found else {
            break;
        };
        match RouteEntry::decode(&value) {
            Ok(entry) => items.push(entry),
            Err(error) => view.broken(&error.to_string()),
        }
        from = key_after(&key);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    Page { items, has_more }
}

/// A chunk.
pub fn chunk(view: &(impl View + ?Sized), hash: &Hash) -> Option<Vec<u8>> {
    get_chunk(view, hash)
}
