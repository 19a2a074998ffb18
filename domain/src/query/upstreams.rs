//! Upstreams.

use std::collections::BTreeMap;

use crate::id::{EnvironmentId, UpstreamId};
use crate::model::{Outage, Shift, Upstream};
use crate::query::page::{Page, merged};
use crate::rows::View;
use crate::schema::{
    RUNNING_SHIFTS, UPSTREAM_OUTAGES, UPSTREAM_ROUTES, UPSTREAM_SHIFTS, UPSTREAMS,
    UPSTREAMS_BY_TIME, USES,
};
use crate::table::after as key_after;
use crate::time::Timestamp;

/// An upstream.
pub fn upstream(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &UpstreamId,
) -> Option<Upstream> {
    UPSTREAMS.get(view, (environment, id))
}

/// The latest shift of an upstream, if it ever had one.
pub fn shift(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    upstream: &UpstreamId,
) -> Option<Shift> {
    UPSTREAM_SHIFTS.get(view, (environment, upstream))
}

/// All shifts that are running, in whatever environment.
pub fn running_shifts(view: &(impl View + ?Sized)) -> Vec<Shift> {
    let running = RUNNING_SHIFTS.walk(view, RUNNING_SHIFTS.all());
    running
        .filter_map(|((environment, upstream), ())| shift(view, &environment, &upstream))
        .collect()
}

/// Whether a live snapshot has an upstream. The cost follows the number of routes that use it.
pub fn is_upstream_live(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &UpstreamId,
) -> bool {
    let span = UPSTREAM_ROUTES.under((environment, id));
    let mut routes = UPSTREAM_ROUTES.walk(view, span);
    routes.any(|((_, _, route), ())| {
        let uses = USES.get(view, (environment, &route, id));
        uses.is_some_and(|uses| uses.live.is_some())
    })
}

/// Where an upstream is out of use, by region.
pub fn upstream_outages(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &UpstreamId,
) -> BTreeMap<String, Outage> {
    let span = UPSTREAM_OUTAGES.under((environment, id));
    let rows = UPSTREAM_OUTAGES.walk(view, span);
    rows.map(|((_, _, region), outage)| (region, outage))
        .collect()
}

/// Where upstreams of an environment are out of use, by upstream and region.
pub fn all_outages(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
) -> BTreeMap<(UpstreamId, String), Outage> {
    let span = UPSTREAM_OUTAGES.under((environment,));
    let rows = UPSTREAM_OUTAGES.walk(view, span);
    rows.map(|((_, upstream, region), outage)| ((upstream, region), outage))
        .collect()
}

/// Upstreams by (creation, identifier), from after the given place on.
pub fn upstreams_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    after: Option<(Timestamp, UpstreamId)>,
    limit: usize,
) -> Page<Upstream> {
    let mut span = UPSTREAMS_BY_TIME.under((environment,));
    if let Some((created, id)) = &after {
        span.from = key_after(&UPSTREAMS_BY_TIME.key((environment, created, id)));
    }
    let keys = merged(
        view,
        &UPSTREAMS_BY_TIME,
        [span],
        limit,
        |(_, created, id)| (*created, id.clone()),
    );
    Page::of(keys, limit, view, |(_, _, id)| {
        upstream(view, environment, id)
    })
}
