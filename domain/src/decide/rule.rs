//! Rules: making, changing and archiving them. Nothing here touches what is live; it becomes
//! live by publishing the route.
//!
//! | | draft | active | paused | archived |
//! |---|---|---|---|---|
//! | pause | paused | paused | – | refused |
//! | resume | – | – | active, or draft if it never was | refused |
//! | archive | archived | archived, unless live | archived, unless live | – |
//! | publish | active | active | – | – |
//! | rollback to a snapshot with it | – | – | – | active |

use injection::{Mutant, mutant};

use super::content::{Parsed, references};
use super::draft::{Drafting, RuleBefore, is_pending};
use super::history::{add_version, changed_fields, log};
use super::{Context, Judgement, check, id_taken, not_found, nothing, verdict};
use crate::command::{Actor, ArchiveRule, CreateRule, DesiredStatus, UpdateRule};
use crate::id::RuleId;
use crate::machine::Decision;
use crate::model::{Rule, RuleEvent, RuleEventKind, RuleField, RuleStatus};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{RULE_PRIORITIES, RULES};

pub(super) fn create<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateRule,
) -> Judgement {
    check::name("name", &command.name)?;
    check::priority(command.priority)?;
    check::metadata(&command.metadata)?;
    let parsed = Parsed::read(&command.criteria, &command.action)?;
    let route = context.open_route(actor, &command.route_id, Some("route_id"))?;
    if route.published.as_ref().is_some_and(|live| !live.enabled) {
        return Err(Rejection::RouteDisabled {
            route_id: route.id.to_string(),
        });
    }
    if RULES.has(context.view, (&actor.environment_id, &command.id)) {
        return Err(id_taken(&command.id));
    }
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    check_room(drafting.draft.rules)?;
    let mut rule = drafted(context, actor, command);
    check_priority_free(context, &rule)?;
    add_version(context, &mut drafting, actor, None, &mut rule);
    verdict::judge(context, &mut rule, Some(&parsed));
    drafting.rule_created(&rule, &parsed.references());
    drafting.renamed(&command.draft_id);
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::Rule(rule),
    })
}

fn drafted<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateRule,
) -> Rule {
    let mut rule = Rule {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: actor.environment_id.clone(),
        route_id: command.route_id.clone(),
        name: command.name.clone(),
        priority: command.priority,
        status: RuleStatus::Draft,
        criteria: command.criteria.clone(),
        action: command.action.clone(),
        metadata: command.metadata.clone(),
        created_at: context.at,
        updated_at: None,
        archived_at: None,
        published: None,
        pending_changes: true,
        events: Vec::new(),
        events_logged: 0,
        versions: Vec::new(),
        problems: Vec::new(),
        revision: context.revision,
    };
    log(&mut rule, RuleEventKind::Created, context.at);
    rule
}

fn check_room(rules: u64) -> Result<(), Rejection> {
    if rules < check::RULES_PER_ROUTE_MAX {
        return Ok(());
    }
    Err(Rejection::LimitExceeded {
        param: "route_id".to_owned(),
        message: format!("A route may have {} rules.", check::RULES_PER_ROUTE_MAX),
    })
}

pub(super) fn update<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateRule,
) -> Judgement {
    let before = open_rule(context, actor, &command.id)?;
    context.open_route(actor, &before.route_id, None)?;
    let mut rule = before.clone();
    apply(command, &mut rule)?;
    if changed_fields(&before, &rule).is_empty() {
        return nothing(Outcome::Rule(before));
    }
    let parsed = read_updated(command, &rule)?;
    if rule.priority != before.priority {
        check_priority_free(context, &rule)?;
    }
    let mut drafting = Drafting::of(context, &actor.environment_id, &rule.route_id)?;
    let rule = rewrite(context, &mut drafting, actor, &before, rule, parsed);
    drafting.renamed(&command.draft_id);
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::Rule(rule),
    })
}

/// Writes a rule some of whose fields were changed, with what follows from that; `parsed` is what
/// it says now.
pub(super) fn rewrite<V: View + ?Sized>(
    context: &Context<'_, V>,
    drafting: &mut Drafting<'_, '_, V>,
    actor: &Actor,
    before: &Rule,
    mut rule: Rule,
    parsed: Option<Parsed>,
) -> Rule {
    record_update(context, before, &mut rule, parsed.as_ref());
    add_version(context, drafting, actor, Some(before), &mut rule);
    rule.updated_at = Some(context.at);
    rule.revision = context.revision;
    rule.pending_changes = is_pending(&rule, || parsed.as_ref().map(|parsed| parsed.hash(&rule)));
    let named = parsed.map(|parsed| parsed.references()).unwrap_or_default();
    drafting.rule_changed(
        RuleBefore::of(before, references(before)),
        rule.clone(),
        &named,
    );
    rule
}

/// What a client gives must be readable. What is stored was, and keeps the rule from being
/// published if it is not any more, but not from being paused.
fn read_updated(command: &UpdateRule, rule: &Rule) -> Result<Option<Parsed>, Rejection> {
    if command.criteria.is_none() && command.action.is_none() {
        return Ok(Parsed::of(rule).ok());
    }
    Parsed::read(&rule.criteria, &rule.action).map(Some)
}

fn apply(command: &UpdateRule, rule: &mut Rule) -> Result<(), Rejection> {
    if let Some(name) = &command.name {
        check::name("name", name)?;
        rule.name.clone_from(name);
    }
    if let Some(priority) = command.priority {
        check::priority(priority)?;
        rule.priority = priority;
    }
    if let Some(criteria) = &command.criteria {
        rule.criteria.clone_from(criteria);
    }
    if let Some(action) = &command.action {
        rule.action.clone_from(action);
    }
    for (key, value) in &command.metadata {
        match value {
            Some(value) => rule.metadata.insert(key.clone(), value.clone()),
            None => rule.metadata.remove(key),
        };
    }
    check::metadata(&rule.metadata)?;
    rule.status = desired(rule, command.status);
    Ok(())
}

/// The status of a rule of which this is asked. Only publishing makes a draft active, so one that was
/// paused is a draft again; so is a rule whose publication lies further back than its history.
pub(super) fn desired(rule: &Rule, asked: Option<DesiredStatus>) -> RuleStatus {
    let published = |event: &RuleEvent| event.kind == RuleEventKind::Published;
    match (asked, rule.status) {
        (Some(DesiredStatus::Paused), _) => RuleStatus::Paused,
        (Some(DesiredStatus::Active), RuleStatus::Paused) => {
            if rule.published.is_some() || rule.events.iter().any(published) {
                RuleStatus::Active
            } else {
                RuleStatus::Draft
            }
        }
        (_, status) => status,
    }
}

/// What the rule's history says of an update.
pub(super) fn record_update<V: View + ?Sized>(
    context: &Context<'_, V>,
    before: &Rule,
    rule: &mut Rule,
    parsed: Option<&Parsed>,
) {
    if changed_fields(before, rule) != [RuleField::Status] {
        log(rule, RuleEventKind::Updated, context.at);
        verdict::judge(context, rule, parsed);
    }
    match (before.status, rule.status) {
        (before, RuleStatus::Paused) if before != RuleStatus::Paused => {
            log(rule, RuleEventKind::Paused, context.at)
        }
        (RuleStatus::Paused, RuleStatus::Active | RuleStatus::Draft) => {
            log(rule, RuleEventKind::Resumed, context.at)
        }
        _ => {}
    }
}

pub(super) fn archive<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &ArchiveRule,
) -> Judgement {
    let before = find_rule(context, actor, &command.id)?;
    if before.status == RuleStatus::Archived {
        return nothing(Outcome::Rule(before));
    }
    context.open_route(actor, &before.route_id, None)?;
    if before.published.is_some() && !mutant::active(Mutant::LiveArchived) {
        return Err(Rejection::RulePublished);
    }
    let mut rule = before.clone();
    rule.status = RuleStatus::Archived;
    rule.archived_at = Some(context.at);
    rule.updated_at = Some(context.at);
    rule.pending_changes = false;
    rule.revision = context.revision;
    log(&mut rule, RuleEventKind::Archived, context.at);
    let named = references(&before);
    let mut drafting = Drafting::of(context, &actor.environment_id, &rule.route_id)?;
    add_version(context, &mut drafting, actor, Some(&before), &mut rule);
    drafting.rule_changed(RuleBefore::of(&before, named.clone()), rule.clone(), &named);
    drafting.renamed(&command.draft_id);
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::Rule(rule),
    })
}

fn find_rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    id: &RuleId,
) -> Result<Rule, Rejection> {
    RULES
        .get(context.view, (&actor.environment_id, id))
        .ok_or_else(|| not_found("rule", id, None))
}

/// A rule that can still be changed.
pub(super) fn open_rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    id: &RuleId,
) -> Result<Rule, Rejection> {
    let rule = find_rule(context, actor, id)?;
    if rule.status == RuleStatus::Archived {
        return Err(Rejection::Archived {
            object: "rule".to_owned(),
        });
    }
    Ok(rule)
}

fn check_priority_free<V: View + ?Sized>(
    context: &Context<'_, V>,
    rule: &Rule,
) -> Result<(), Rejection> {
    let key = (&rule.environment_id, &rule.route_id, &rule.priority);
    match RULE_PRIORITIES.get(context.view, key) {
        Some(holder) if !mutant::active(Mutant::PriorityOutsideApply) => {
            Err(Rejection::PriorityConflict {
                priority: rule.priority.0,
                rule_id: holder.to_string(),
            })
        }
        _ => Ok(()),
    }
}
