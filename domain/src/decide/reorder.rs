//! Reordering the rules of a route: several priorities change at once, so that no order of single
//! changes has to be found in which none collides.

use std::collections::BTreeMap;

use super::check::AnswerSize;
use super::content::Parsed;
use super::draft::Drafting;
use super::rule::rewrite;
use super::{Context, Judgement, check, not_found, nothing};
use crate::command::{Actor, ReorderRules, RuleOrder};
use crate::id::RuleId;
use crate::machine::Decision;
use crate::model::{Priority, Route, Rule, RuleStatus};
use crate::outcome::Outcome;
use crate::rejection::{RefusedItem, Rejection};
use crate::rows::View;
use crate::schema::{RULE_PRIORITIES, RULES};

/// A rule and the priority that it gets.
type Move = (Rule, Priority);

pub(super) fn reorder<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &ReorderRules,
) -> Judgement {
    let route = context.open_route(actor, &command.route_id, None)?;
    let mut moves = match &command.order {
        RuleOrder::Whole(ids) => whole(context, &route, ids)?,
        RuleOrder::Moves(moves) => some(context, &route, moves)?,
    };
    moves.sort_by_key(|(_, priority)| *priority);
    if moves
        .iter()
        .all(|(rule, priority)| rule.priority == *priority)
    {
        return nothing(Outcome::Rules(
            moves.into_iter().map(|(rule, _)| rule).collect(),
        ));
    }
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    let mut rules = Vec::with_capacity(moves.len());
    for (before, priority) in moves {
        if before.priority == priority {
            rules.push(before);
            continue;
        }
        let after = Rule {
            priority,
            ..before.clone()
        };
        let parsed = Parsed::of(&after).ok();
        rules.push(rewrite(
            context,
            &mut drafting,
            actor,
            &before,
            after,
            parsed,
        ));
    }
    drafting.renamed(&command.draft_id);
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::Rules(rules),
    })
}

fn invalid(param: &str, message: String) -> Rejection {
    Rejection::InvalidParameter {
        param: param.to_owned(),
        message,
    }
}

/// A rule of the route that can be moved; `param` names it.
fn movable<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    id: &RuleId,
    param: &str,
) -> Result<Rule, Rejection> {
    let rule = RULES
        .get(context.view, (&route.environment_id, id))
        .ok_or_else(|| not_found("rule", id, Some(param)))?;
    if rule.route_id != route.id {
        return Err(invalid(param, "The rule is of another route.".to_owned()));
    }
    if rule.status == RuleStatus::Archived {
        return Err(invalid(param, "The rule is archived.".to_owned()));
    }
    Ok(rule)
}

/// The whole order: each of the route's rules once, and the priorities that they have shared out
/// anew, ascending.
fn whole<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    ids: &[RuleId],
) -> Result<Vec<Move>, Rejection> {
    check::count("rule_ids", ids.len(), check::REORDERED_MAX)?;
    let (mut rules, mut size) = (BTreeMap::new(), AnswerSize::default());
    let mut order = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let param = format!("rule_ids[{index}]");
        let rule = movable(context, route, id, &param)?;
        size.add("rule_ids", &rule)?;
        if rules.insert(id, rule.priority).is_some() {
            return Err(invalid(&param, "The rule is named twice.".to_owned()));
        }
        order.push(rule);
    }
    let draft = context.draft(&route.environment_id, &route.id)?;
    if draft.rules != rules.len() as u64 {
        let message = format!(
            "Name all {} rules of the route that are not archived; these are {}.",
            draft.rules,
            rules.len()
        );
        return Err(invalid("rule_ids", message));
    }
    let mut priorities: Vec<_> = rules.into_values().collect();
    priorities.sort_unstable();
    Ok(order.into_iter().zip(priorities).collect())
}

/// Some rules with the priorities that they are to have.
fn some<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    moves: &[(RuleId, Priority)],
) -> Result<Vec<Move>, Rejection> {
    check::count("moves", moves.len(), check::REORDERED_MAX)?;
    let mut places = BTreeMap::new();
    for (index, (id, _)) in moves.iter().enumerate() {
        if places.insert(id, index).is_some() {
            let param = format!("moves[{index}].rule_id");
            return Err(invalid(&param, "The rule is named twice.".to_owned()));
        }
    }
    let mut found = Vec::with_capacity(moves.len());
    let mut taken = BTreeMap::new();
    let (mut refused, mut size) = (Vec::new(), AnswerSize::default());
    for (index, (id, priority)) in moves.iter().enumerate() {
        let rule = movable(context, route, id, &format!("moves[{index}].rule_id"))?;
        size.add("moves", &rule)?;
        let checked = check::priority(*priority).and_then(|()| {
            let stays = |holder: &RuleId| !places.contains_key(holder);
            let key = (&route.environment_id, &route.id, priority);
            let holder = RULE_PRIORITIES.get(context.view, key).filter(stays);
            match holder.or_else(|| taken.insert(*priority, id.clone())) {
                Some(holder) => Err(Rejection::PriorityConflict {
                    priority: priority.0,
                    rule_id: holder.to_string(),
                }),
                None => Ok(()),
            }
        });
        if let Err(rejection) = checked {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            refused.push(RefusedItem { index, rejection });
        }
        found.push((rule, *priority));
    }
    if refused.is_empty() {
        return Ok(found);
    }
    Err(Rejection::Items {
        list: "moves".to_owned(),
        refused,
    })
}
