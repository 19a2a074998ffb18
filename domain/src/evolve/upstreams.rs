//! Upstreams with their shifts, and which route uses which.

use super::counts::count;
use crate::id::{EnvironmentId, RouteId, UpstreamId};
use crate::model::{Shift, Upstream};
use crate::rows::Rows;
use crate::schema::{
    DIRTY_UPSTREAMS, RUNNING_SHIFTS, UPSTREAM_ROUTES, UPSTREAM_SHIFTS, UPSTREAMS,
    UPSTREAMS_BY_TIME, USES, Uses,
};

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
    let key = (&upstream.environment_id, &upstream.id);
    UPSTREAMS.delete(rows, key);
    UPSTREAM_SHIFTS.delete(rows, key);
    RUNNING_SHIFTS.delete(rows, key);
    UPSTREAMS_BY_TIME.delete(
        rows,
        (&upstream.environment_id, &upstream.created_at, &upstream.id),
    );
}

pub(super) fn shift_changed(rows: &mut impl Rows, shift: &Shift) {
    let key = (&shift.environment_id, &shift.upstream_id);
    UPSTREAM_SHIFTS.put(rows, key, shift);
    if shift.is_running() {
        RUNNING_SHIFTS.put(rows, key, &());
    } else {
        RUNNING_SHIFTS.delete(rows, key);
    }
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
