//! Snapshots, manifests and chunks.

use crate::id::{EnvironmentId, RouteId, SnapshotId};
use crate::model::{Epoch, Manifest, ManifestVersion, Snapshot, SnapshotVersion};
use crate::query::page::Page;
use crate::rows::View;
use crate::schema::{
    MANIFESTS, ROUTE_SNAPSHOTS, SNAPSHOT_VERSIONS, SNAPSHOTS, SNAPSHOTS_BY_TIME, get_chunk,
};
use crate::time::{Revision, Timestamp};
use crate::tree::{ChunkSource, Hash};

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

/// Snapshots by (publication, identifier), newest first, from before the given place on.
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
            let mut span = ROUTE_SNAPSHOTS.under((environment, route));
            if let Some((at, id)) = &after {
                span.until = ROUTE_SNAPSHOTS.key((environment, route, at, id));
            }
            let rows = ROUTE_SNAPSHOTS.scan_back(view, &span, wanted);
            rows.into_iter().map(|((_, _, _, id), ())| id).collect()
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
            epoch: Epoch(1),
            version: ManifestVersion(0),
            root: Hash::EMPTY_TREE,
            updated_at: Timestamp(0),
            revision: Revision(0),
        })
}

/// A chunk.
pub fn chunk(view: &(impl View + ?Sized), hash: &Hash) -> Option<Vec<u8>> {
    get_chunk(view, hash)
}
