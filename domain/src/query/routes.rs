//! Routes with their drafts.

use crate::id::{EnvironmentId, RouteId};
use crate::model::{Route, RouteDraft};
use crate::query::page::{Page, merged};
use crate::rows::View;
use crate::schema::{DRAFTS, ROUTES, ROUTES_BY_TIME};
use crate::table::{Span, after as key_after};
use crate::time::Timestamp;

/// A route and its draft.
pub fn route(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &RouteId,
) -> Option<(Route, RouteDraft)> {
    let route = ROUTES.get(view, (environment, id))?;
    let draft = DRAFTS.get(view, (environment, id))?;
    Some((route, draft.shown()))
}

/// Routes by (creation, identifier), from after the given place on.
pub fn routes_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    include_archived: bool,
    after: Option<(Timestamp, RouteId)>,
    limit: usize,
) -> Page<(Route, RouteDraft)> {
    let sets: &[bool] = if include_archived {
        &[false, true]
    } else {
        &[false]
    };
    let spans = sets.iter().map(|archived| {
        let Span { from, until } = ROUTES_BY_TIME.under((environment, archived));
        let from = match &after {
            Some((created, id)) => {
                key_after(&ROUTES_BY_TIME.key((environment, archived, created, id)))
            }
            None => from,
        };
        Span { from, until }
    });
    let keys = merged(
        view,
        &ROUTES_BY_TIME,
        spans,
        limit,
        |(_, _, created, id)| (*created, id.clone()),
    );
    Page::of(keys, limit, view, |(_, _, _, id)| {
        route(view, environment, id)
    })
}
