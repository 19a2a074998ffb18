//! Routes and their indexes.

use crate::event::RoutePlace;
use crate::id::{EnvironmentId, RouteId};
use crate::model::Route;
use crate::rows::Rows;
use crate::schema::{HOSTNAMES, LIVE_HOSTNAMES, ROUTE_COUNTS, ROUTES, ROUTES_BY_TIME};
use crate::table::Table;

pub(super) fn created(rows: &mut impl Rows, route: &Route) {
    ROUTES_BY_TIME.put(
        rows,
        (&route.environment_id, &false, &route.created_at, &route.id),
        &(),
    );
    count(rows, &route.environment_id, 1);
    put(rows, &RoutePlace::default(), route);
}

pub(super) fn changed(rows: &mut impl Rows, before: &RoutePlace, after: &Route) {
    if !before.archived && after.archived_at.is_some() {
        ROUTES_BY_TIME.delete(
            rows,
            (&after.environment_id, &false, &after.created_at, &after.id),
        );
        ROUTES_BY_TIME.put(
            rows,
            (&after.environment_id, &true, &after.created_at, &after.id),
            &(),
        );
        count(rows, &after.environment_id, -1);
    }
    put(rows, before, after);
}

fn put(rows: &mut impl Rows, before: &RoutePlace, route: &Route) {
    let after = RoutePlace::of(route);
    let hostnames = [
        (HOSTNAMES, &before.hostname, &after.hostname),
        (LIVE_HOSTNAMES, &before.live_hostname, &after.live_hostname),
    ];
    for (table, before, after) in hostnames {
        move_hostname(rows, &table, route, before.as_ref(), after.as_ref());
    }
    ROUTES.put(rows, (&route.environment_id, &route.id), route);
}

fn move_hostname(
    rows: &mut impl Rows,
    table: &Table<(EnvironmentId, String), RouteId>,
    route: &Route,
    before: Option<&String>,
    after: Option<&String>,
) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        table.delete(rows, (&route.environment_id, before));
    }
    if let Some(after) = after {
        table.put(rows, (&route.environment_id, after), &route.id);
    }
}

fn count(rows: &mut impl Rows, environment: &EnvironmentId, change: i64) {
    let routes = ROUTE_COUNTS.get(rows, (environment,)).unwrap_or(0);
    ROUTE_COUNTS.put(rows, (environment,), &routes.saturating_add_signed(change));
}
