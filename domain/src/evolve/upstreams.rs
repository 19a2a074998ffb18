//! Upstreams, and which route uses which.

use super::counts::count;
use crate::id::{EnvironmentId, RouteId, UpstreamId};
use crate::model::Upstream;
use crate::rows::Rows;
use crate::schema::{DIRTY_UPSTREAMS, UPSTREAM_ROUTES, UPSTREAMS, UPSTREAMS_BY_TIME, USES, Uses};

pub(super) fn created(rows: &mut impl Rows, upstream: &Upstream) {
    count(rows, &upstream.environment_id, |counts| {
        counts.upstreams += 1
    });
    changed(rows, upstream);
    UPSTREAMS_BY_TIME.put(
        rows,
        (&upstream.environment_id, &upstream.created_at, &upstream.id),
        &(),
    );
}

pub(super) fn changed(rows: &mut impl Rows, upstream: &Upstream) {
    UPSTREAMS.put(rows, (&upstream.environment_id, &upstream.id), upstream);
}

pub(super) fn deleted(rows: &mut impl Rows, upstream: &Upstream) {
    count(rows, &upstream.environment_id, |counts| {
        counts.upstreams -= 1
    });
    UPSTREAMS.delete(rows, (&upstream.environment_id, &upstream.id));
    UPSTREAMS_BY_TIME.delete(
        rows,
        (&upstream.environment_id, &upstream.created_at, &upstream.id),
    );
}

pub(super) fn uses_changed(
    rows: &mut impl Rows,
    key: (&EnvironmentId, &RouteId, &UpstreamId),
    before: Uses,
    after: Uses,
) {
    let (environment, route, upstream) = key;
    match (before.any(), after.any()) {
        (_, true) => USES.put(rows, key, &after),
        (true, false) => USES.delete(rows, key),
        (false, false) => {}
    }
    match (before.any(), after.any()) {
        (false, true) => UPSTREAM_ROUTES.put(rows, (environment, upstream, route), &()),
        (true, false) => UPSTREAM_ROUTES.delete(rows, (environment, upstream, route)),
        _ => {}
    }
    match (before.dirty, after.dirty) {
        (false, true) => DIRTY_UPSTREAMS.put(rows, key, &()),
        (true, false) => DIRTY_UPSTREAMS.delete(rows, key),
        _ => {}
    }
}
