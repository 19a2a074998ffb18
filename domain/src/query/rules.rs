//! Rules. The index has them by status, so a list over several statuses merges one range each.

use crate::id::{EnvironmentId, RouteId, RuleId};
use crate::model::{Priority, Rule, RuleStatus};
use crate::query::page::{Page, merged};
use crate::rows::View;
use crate::schema::{ROUTE_RULES_BY_STATUS, RULES, RULES_BY_STATUS};
use crate::table::{Span, after as key_after};

/// Which rules a list has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFilter {
    /// The environment.
    pub environment_id: EnvironmentId,
    /// Only this route's.
    pub route_id: Option<RouteId>,
    /// Only those with this status; archived ones too, if that is what is asked for.
    pub status: Option<RuleStatus>,
    /// Without a status: archived ones too.
    pub include_archived: bool,
}

impl RuleFilter {
    fn statuses(&self) -> Vec<RuleStatus> {
        let wanted = |status: &RuleStatus| match self.status {
            Some(wanted) => *status == wanted,
            None => self.include_archived || *status != RuleStatus::Archived,
        };
        RuleStatus::ALL.into_iter().filter(wanted).collect()
    }
}

/// A rule.
pub fn rule(view: &(impl View + ?Sized), environment: &EnvironmentId, id: &RuleId) -> Option<Rule> {
    RULES.get(view, (environment, id))
}

/// Rules by (priority, identifier), from after the given place on.
pub fn rules_page(
    view: &(impl View + ?Sized),
    filter: &RuleFilter,
    after: Option<(Priority, RuleId)>,
    limit: usize,
) -> Page<Rule> {
    let ids = match &filter.route_id {
        Some(route) => of_route(view, filter, route, after.as_ref(), limit),
        None => of_environment(view, filter, after.as_ref(), limit),
    };
    Page::of(ids, limit, view, |id| {
        rule(view, &filter.environment_id, id)
    })
}

fn of_route(
    view: &(impl View + ?Sized),
    filter: &RuleFilter,
    route: &RouteId,
    after: Option<&(Priority, RuleId)>,
    limit: usize,
) -> Vec<RuleId> {
    let environment = &filter.environment_id;
    let spans = filter.statuses().into_iter().map(|status| {
        let Span { from, until } = ROUTE_RULES_BY_STATUS.under((environment, route, &status));
        let from = match after {
            Some((priority, id)) => {
                key_after(&ROUTE_RULES_BY_STATUS.key((environment, route, &status, priority, id)))
            }
            None => from,
        };
        Span { from, until }
    });
    let keys = merged(
        view,
        &ROUTE_RULES_BY_STATUS,
        spans,
        limit,
        |(_, _, _, priority, id)| (*priority, id.clone()),
    );
    keys.into_iter().map(|(_, _, _, _, id)| id).collect()
}

fn of_environment(
    view: &(impl View + ?Sized),
    filter: &RuleFilter,
    after: Option<&(Priority, RuleId)>,
    limit: usize,
) -> Vec<RuleId> {
    let environment = &filter.environment_id;
    let spans = filter.statuses().into_iter().map(|status| {
        let Span { from, until } = RULES_BY_STATUS.under((environment, &status));
        let from = match after {
            Some((priority, id)) => {
                key_after(&RULES_BY_STATUS.key((environment, &status, priority, id)))
            }
            None => from,
        };
        Span { from, until }
    });
    let keys = merged(
        view,
        &RULES_BY_STATUS,
        spans,
        limit,
        |(_, _, priority, id)| (*priority, id.clone()),
    );
    keys.into_iter().map(|(_, _, _, id)| id).collect()
}
