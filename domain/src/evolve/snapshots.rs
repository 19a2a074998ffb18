//! Snapshots and manifests; their chunks are kept by events of their own.

use super::counts::count;
use crate::model::{Manifest, ManifestVersion, Snapshot};
use crate::rows::Rows;
use crate::schema::{
    MANIFEST_ROOTS, MANIFESTS, ROUTE_SNAPSHOTS, SNAPSHOT_VERSIONS, SNAPSHOTS, SNAPSHOTS_BY_TIME,
};

pub(super) fn published(rows: &mut impl Rows, snapshot: &Snapshot) {
    let (environment, route, id) = (&snapshot.environment_id, &snapshot.route_id, &snapshot.id);
    count(rows, environment, |counts| counts.snapshots += 1);
    SNAPSHOT_VERSIONS.put(rows, (environment, route, &snapshot.version), id);
    SNAPSHOTS_BY_TIME.put(rows, (environment, &snapshot.published_at, id), &());
    ROUTE_SNAPSHOTS.put(rows, (environment, route, &snapshot.published_at, id), &());
    changed(rows, snapshot);
}

pub(super) fn changed(rows: &mut impl Rows, snapshot: &Snapshot) {
    SNAPSHOTS.put(rows, (&snapshot.environment_id, &snapshot.id), snapshot);
}

pub(super) fn manifest_moved(
    rows: &mut impl Rows,
    manifest: &Manifest,
    dropped: Option<ManifestVersion>,
) {
    MANIFESTS.put(rows, (&manifest.environment_id,), manifest);
    MANIFEST_ROOTS.put(
        rows,
        (&manifest.environment_id, &manifest.version),
        &manifest.root,
    );
    if let Some(version) = dropped {
        MANIFEST_ROOTS.delete(rows, (&manifest.environment_id, &version));
    }
}
