//! Source: rules run in the order of priorities that are unique, archiving takes a rule out of
//! everything, and `pending_changes` says whether publishing would change it.

use serde_json::Value;

use super::ensure;
use super::expected::Expected;
use super::state::{LiveState, RouteState, State};
use crate::content::{Action, Criteria, RuleContent, rule_key};
use crate::model::{Rule, RuleEventKind, RuleStatus};
use crate::schema::{DIRTY_RULES, ROUTE_RULES_BY_STATUS, RULE_PRIORITIES, RULES_BY_STATUS};
use crate::tree::{self, Chunks, Edits, Hash, TreeKind};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&RULE_PRIORITIES);
    expected.cover(&RULES_BY_STATUS);
    expected.cover(&ROUTE_RULES_BY_STATUS);
    expected.cover(&DIRTY_RULES);
    for route in state.routes.values() {
        for rule in &route.rules {
            derive_rule(rule, expected)?;
            check_pending(rule, route.live.as_ref())?;
        }
        check_route(route)?;
    }
    Ok(())
}

fn derive_rule(rule: &Rule, expected: &mut Expected) -> Result<(), String> {
    let (environment, route, id) = (&rule.environment_id, &rule.route_id, &rule.id);
    expected.add(
        &RULES_BY_STATUS,
        (environment, &rule.status, &rule.priority, id),
        &(),
    )?;
    expected.add(
        &ROUTE_RULES_BY_STATUS,
        (environment, route, &rule.status, &rule.priority, id),
        &(),
    )?;
    if rule.status != RuleStatus::Archived {
        expected.add(&RULE_PRIORITIES, (environment, route, &rule.priority), id)?;
    }
    if rule.pending_changes && rule.status != RuleStatus::Draft {
        expected.add(&DIRTY_RULES, (environment, route, id), &())?;
    }
    check_verdict(rule)?;
    ensure(
        rule.status != RuleStatus::Draft || (rule.pending_changes && rule.published.is_none()),
        || format!("rule {id} is in draft, but there is nothing to publish"),
    )?;
    ensure(
        (rule.status == RuleStatus::Archived) == rule.archived_at.is_some(),
        || format!("rule {id}: archived, but not both in status and time"),
    )
}

/// What validation found is what the rule's history says of it, as far back as it goes.
fn check_verdict(rule: &Rule) -> Result<(), String> {
    use RuleEventKind::{Created, Updated, Validated, ValidationFailed};
    let mut kinds = rule.events.iter().rev().map(|event| event.kind);
    let last = kinds.find(|kind| matches!(kind, Created | Updated | Validated | ValidationFailed));
    let agrees = match last {
        Some(Validated) => rule.problems.is_empty(),
        Some(ValidationFailed) => !rule.problems.is_empty(),
        Some(_) => false,
        None => true,
    };
    ensure(agrees, || {
        format!("rule {}: {last:?}, but {:?}", rule.id, rule.problems)
    })
}

fn check_pending(rule: &Rule, live: Option<&LiveState>) -> Result<(), String> {
    let id = &rule.id;
    let live = live.and_then(|live| live.rules.get(id));
    match (live, &rule.published) {
        (None, None) => {}
        (Some((content, hash)), Some(published)) => {
            ensure(published.content == *hash, || {
                format!("rule {id}: another content is live than it says")
            })?;
            ensure(published.priority == content.priority, || {
                format!("rule {id}: another priority is live")
            })?;
            ensure(rule.status != RuleStatus::Archived, || {
                format!("rule {id} is archived and live")
            })?;
        }
        _ => {
            return Err(format!(
                "rule {id}: live: {}, not as it says",
                live.is_some()
            ));
        }
    }
    let drafted = if wanted(rule) {
        Some(content(rule)?)
    } else {
        None
    };
    let pending = drafted.as_ref() != live.map(|(content, _)| content);
    ensure(rule.pending_changes == pending, || {
        format!("rule {id}: pending: {pending}, not as it says")
    })
}

fn check_route(state: &RouteState) -> Result<(), String> {
    let id = &state.route.id;
    let open = state
        .rules
        .iter()
        .filter(|rule| rule.status != RuleStatus::Archived)
        .count() as u64;
    ensure(state.draft.rules == open, || {
        format!("route {id} has {open} rules, not {}", state.draft.rules)
    })?;
    let dirty = state
        .rules
        .iter()
        .filter(|rule| rule.pending_changes)
        .count() as u64;
    ensure(state.draft.dirty_rules == dirty, || {
        format!("route {id} has {dirty} dirty rules")
    })?;
    let Some(live) = &state.live else {
        return Ok(());
    };
    let count = live.rules.len() as u64;
    ensure(live.head.rule_count == count, || {
        format!("route {id}: {count} rules are live")
    })?;
    ensure(
        live.rules
            .keys()
            .all(|id| state.rules.iter().any(|rule| rule.id == *id)),
        || format!("route {id}: a rule is live that does not exist"),
    )?;
    let drafted = drafted_root(state)?;
    ensure((drafted == live.head.rules) == (dirty == 0), || {
        format!(
            "route {id}: the tree made anew is {drafted}, the live one {}",
            live.head.rules
        )
    })
}

/// The tree of the drafted rules, made from nothing.
fn drafted_root(state: &RouteState) -> Result<Hash, String> {
    let mut edits = Edits::new();
    for rule in state.rules.iter().filter(|rule| wanted(rule)) {
        edits.insert(
            rule_key(rule.priority, &rule.id),
            Some(content(rule)?.encode()),
        );
    }
    let edited = tree::edit(&Chunks::new(), TreeKind::Rules, Hash::EMPTY_TREE, &edits);
    edited
        .map(|edited| edited.root)
        .map_err(|error| error.to_string())
}

pub(super) fn wanted(rule: &Rule) -> bool {
    matches!(rule.status, RuleStatus::Draft | RuleStatus::Active)
}

/// What would be published of a rule.
pub(super) fn content(rule: &Rule) -> Result<RuleContent, String> {
    let bad = |error: String| format!("rule {}: {error}", rule.id);
    let read =
        |text: &str| serde_json::from_str::<Value>(text).map_err(|error| bad(error.to_string()));
    Ok(RuleContent {
        id: rule.id.clone(),
        priority: rule.priority,
        name: rule.name.clone(),
        criteria: Criteria::from_json(&read(&rule.criteria)?)
            .map_err(|error| bad(error.to_string()))?,
        action: Action::from_json(&read(&rule.action)?).map_err(|error| bad(error.to_string()))?,
        metadata: rule.metadata.clone(),
    })
}
