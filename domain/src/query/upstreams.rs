//! Upstreams.

use crate::id::{EnvironmentId, UpstreamId};
use crate::model::Upstream;
use crate::query::page::{Page, merged};
use crate::rows::View;
use crate::schema::{UPSTREAMS, UPSTREAMS_BY_TIME};
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
