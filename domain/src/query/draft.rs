//! What a route's draft would be as a snapshot, for comparing it with others, and what publishing it
//! would say.

use std::collections::BTreeMap;

use crate::decide::{self, Context, Frozen, Validation, freeze};
use crate::id::{EnvironmentId, RouteId};
use crate::query::log_time;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::ROUTES;
use crate::time::Revision;
use crate::tree::Hash;

/// The head that publishing a route's draft would give, and the chunks of it that may not be
/// stored. Parts that could not be published are as they are in the active snapshot. A route that
/// does not exist gives [`Hash::EMPTY_TREE`]. The cost follows what has changed since the last publish.
pub fn draft_head(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    route: &RouteId,
) -> (Hash, BTreeMap<Hash, Vec<u8>>) {
    let nothing = (Hash::EMPTY_TREE, BTreeMap::new());
    let Some(route) = ROUTES.get(view, (environment, route)) else {
        return nothing;
    };
    let context = Context {
        view,
        at: log_time(view),
        revision: Revision(0),
    };
    freeze(&context, &route).map_or(nothing, |Frozen { head, chunks, .. }| (head, chunks))
}

/// What publishing a route's draft would say.
///
/// # Errors
/// When there is no such route, or it is archived.
pub fn validate(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    route: &RouteId,
) -> Result<Validation, Rejection> {
    let context = Context {
        view,
        at: log_time(view),
        revision: Revision(0),
    };
    decide::validate(&context, environment, route)
}
