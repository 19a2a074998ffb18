//! What publishing a route's draft would say, without publishing it, and what it would not say.

use super::content::{Parsed, problem};
use super::draft::is_wanted;
use super::freeze::freeze;
use super::lint::Lint;
use super::publish::check_live_hostname;
use super::{Context, not_found};
use crate::id::{EnvironmentId, RouteId, SnapshotId};
use crate::model::Route;
use crate::rejection::{Problem, Rejection};
use crate::rows::View;
use crate::schema::{ROUTES, RULE_PRIORITIES, RULES};

/// How many rules are looked at for warnings: some tens of milliseconds of work.
const LOOKED_AT_MAX: usize = 10_000;

/// What is to be said of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The draft.
    pub draft_id: SnapshotId,
    /// What keeps it from being published.
    pub errors: Vec<Problem>,
    /// What does not, and is still hardly meant.
    pub warnings: Vec<Problem>,
}

/// Looks at the draft of a route.
pub(crate) fn validate<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &RouteId,
) -> Result<Validation, Rejection> {
    let route = ROUTES
        .get(context.view, (environment, id))
        .ok_or_else(|| not_found("route", id, None))?;
    if route.archived_at.is_some() {
        return Err(Rejection::Archived {
            object: "route".to_owned(),
        });
    }
    let draft = context.draft(environment, id)?;
    let frozen = freeze(context, &route)?;
    let mut errors = frozen.problems;
    if !route.enabled && route.published.as_ref().is_some_and(|live| !live.enabled) {
        let message = "The route is disabled, and so is what is live.".to_owned();
        errors.push(problem("route_disabled", message, "enabled".to_owned()));
    }
    if let Err(conflict) = check_live_hostname(context, &route, &frozen.content) {
        let message = conflict.to_string();
        errors.push(problem("hostname_conflict", message, "hostname".to_owned()));
    }
    Ok(Validation {
        draft_id: draft.snapshot_id,
        errors,
        warnings: warnings(context, &route),
    })
}

fn warnings<V: View + ?Sized>(context: &Context<'_, V>, route: &Route) -> Vec<Problem> {
    let mut lint = Lint::default();
    let span = RULE_PRIORITIES.under((&route.environment_id, &route.id));
    let mut places = RULE_PRIORITIES.walk(context.view, span);
    for (_, id) in places.by_ref().take(LOOKED_AT_MAX) {
        let rule = RULES.get(context.view, (&route.environment_id, &id));
        let Some(rule) = rule.filter(|rule| is_wanted(rule.status)) else {
            continue;
        };
        // What cannot be read is an error, and told as one.
        if let Ok(parsed) = Parsed::of(&rule) {
            lint.rule(id, parsed.criteria);
        }
    }
    let mut warnings = lint.warnings(&route.hostname);
    if places.next().is_some() {
        let message = format!("Only the first {LOOKED_AT_MAX} rules were looked at for warnings.");
        warnings.push(problem("rules_skipped", message, "rules".to_owned()));
    }
    warnings
}
