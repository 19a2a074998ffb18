//! Rules and their indexes.

use super::counts::count;
use crate::event::RulePlace;
use crate::model::{Rule, RuleStatus};
use crate::rows::Rows;
use crate::schema::{DIRTY_RULES, ROUTE_RULES_BY_STATUS, RULE_PRIORITIES, RULES, RULES_BY_STATUS};

pub(super) fn created(rows: &mut impl Rows, rule: &Rule) {
    let place = RulePlace::of(rule);
    count(rows, &rule.environment_id, |counts| counts.rules += 1);
    list(rows, rule, place);
    hold_priority(rows, rule);
    RULES.put(rows, (&rule.environment_id, &rule.id), rule);
}

pub(super) fn changed(rows: &mut impl Rows, before: RulePlace, rule: &Rule) {
    let after = RulePlace::of(rule);
    let archived = |place: RulePlace| place.status == RuleStatus::Archived;
    match (archived(before), archived(after)) {
        (false, true) => count(rows, &rule.environment_id, |counts| counts.rules -= 1),
        (true, false) => count(rows, &rule.environment_id, |counts| counts.rules += 1),
        _ => {}
    }
    if (before.status, before.priority) != (after.status, after.priority) {
        unlist(rows, rule, before);
        list(rows, rule, after);
        release_priority(rows, rule, before);
        hold_priority(rows, rule);
    }
    mark(rows, rule, before);
    RULES.put(rows, (&rule.environment_id, &rule.id), rule);
}

fn list(rows: &mut impl Rows, rule: &Rule, place: RulePlace) {
    let (environment, route, id) = (&rule.environment_id, &rule.route_id, &rule.id);
    RULES_BY_STATUS.put(rows, (environment, &place.status, &place.priority, id), &());
    ROUTE_RULES_BY_STATUS.put(
        rows,
        (environment, route, &place.status, &place.priority, id),
        &(),
    );
}

fn unlist(rows: &mut impl Rows, rule: &Rule, place: RulePlace) {
    let (environment, route, id) = (&rule.environment_id, &rule.route_id, &rule.id);
    RULES_BY_STATUS.delete(rows, (environment, &place.status, &place.priority, id));
    ROUTE_RULES_BY_STATUS.delete(
        rows,
        (environment, route, &place.status, &place.priority, id),
    );
}

fn hold_priority(rows: &mut impl Rows, rule: &Rule) {
    if rule.status != RuleStatus::Archived {
        RULE_PRIORITIES.put(
            rows,
            (&rule.environment_id, &rule.route_id, &rule.priority),
            &rule.id,
        );
    }
}

/// Lets go of the priority that the rule had, unless an earlier event of the same step has
/// given it to another rule.
fn release_priority(rows: &mut impl Rows, rule: &Rule, before: RulePlace) {
    let key = (&rule.environment_id, &rule.route_id, &before.priority);
    if before.status != RuleStatus::Archived
        && RULE_PRIORITIES.get(rows, key).as_ref() == Some(&rule.id)
    {
        RULE_PRIORITIES.delete(rows, key);
    }
}

/// A rule in draft is always pending, and found by its status.
fn mark(rows: &mut impl Rows, rule: &Rule, before: RulePlace) {
    let marked = |place: RulePlace| place.pending && place.status != RuleStatus::Draft;
    let key = (&rule.environment_id, &rule.route_id, &rule.id);
    match (marked(before), marked(RulePlace::of(rule))) {
        (false, true) => DIRTY_RULES.put(rows, key, &()),
        (true, false) => DIRTY_RULES.delete(rows, key),
        _ => {}
    }
}
