//! Several rules at once: reordering a route's rules, and batches of changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::command::{ArchiveRule, BatchRules, Command, ReorderRules, RuleOperation, RuleOrder};
use domain::id::{RouteId, RuleId, SnapshotId};
use domain::limits::BATCH_MAX;
use domain::model::Priority;
use domain::outcome::{Applied, Outcome};
use http::StatusCode;
use serde_json::Value;

use super::Api;
use super::answer::{self, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::limits;
use super::object::RuleObject;
use super::page;
use super::pipeline::{Call, Presence};
use super::render;
use super::rules;

/// What reordering takes, and what each of its moves.
pub(crate) const REORDER_FIELDS: [&str; 2] = ["rule_ids", "moves"];
pub(crate) const MOVE_FIELDS: [&str; 2] = ["rule_id", "priority"];

/// What a batch takes.
pub(crate) const BATCH_FIELDS: [&str; 1] = ["operations"];

pub(crate) async fn reorder(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let route_id = call.id("route", RouteId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &REORDER_FIELDS)?;
    let reorder = ReorderRules {
        route_id,
        draft_id: SnapshotId::new(api.seed()),
        order: order(&mut fields)?,
    };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::ReorderRules(actor, reorder)
        })
        .await?;
    answer(applied, &caller)
}

/// The whole order, or moves.
fn order(fields: &mut Fields) -> Result<RuleOrder, ApiError> {
    match (fields.array("rule_ids")?, fields.array("moves")?) {
        (Some(ids), None) => {
            let ids = ids.into_iter().enumerate().map(rule_id);
            Ok(RuleOrder::Whole(ids.collect::<Result<_, _>>()?))
        }
        (None, Some(moves)) => {
            let moves = moves.into_iter().enumerate().map(one_move);
            Ok(RuleOrder::Moves(moves.collect::<Result<_, _>>()?))
        }
        (None, None) => Err(ApiError::missing("rule_ids")),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "moves",
            "Give one of rule_ids and moves.",
        )),
    }
}

fn rule_id((index, value): (usize, Value)) -> Result<RuleId, ApiError> {
    let param = format!("rule_ids[{index}]");
    let Value::String(text) = value else {
        return Err(ApiError::invalid(param, "Must be a string."));
    };
    RuleId::parse(&text).map_err(|_| ApiError::not_found("rule").at(param))
}

fn one_move((index, value): (usize, Value)) -> Result<(RuleId, Priority), ApiError> {
    let path = format!("moves[{index}]");
    let mut fields = Fields::of(value, &path, &MOVE_FIELDS)?;
    let id = fields.id("rule_id", "rule", RuleId::parse)?;
    let priority = rules::priority(&mut fields)?;
    Ok((
        fields.required("rule_id", id)?,
        fields.required("priority", priority)?,
    ))
}

pub(crate) async fn batch(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &BATCH_FIELDS)?;
    let items = fields.array("operations")?;
    let items = fields.required("operations", items)?;
    // Before they are looked at: each may be wrong in words of its own.
    if items.len() > BATCH_MAX {
        let message = format!("There must be 1 to {BATCH_MAX} of them.");
        return Err(ApiError::invalid("operations", message).into());
    }
    let (mut operations, mut errors) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match operation(&api, item, &format!("operations[{index}]")) {
            Ok(operation) => operations.push(operation),
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = ApiError::several(errors) {
        return Err(error.into());
    }
    for (route, (index, count)) in new_rules(&operations) {
        limits::of_route(&api, &caller, &call.course.standings, route, count)
            .await
            .map_err(|error| error.within(&format!("operations[{index}]")))?;
    }
    let batch = BatchRules { operations };
    let applied = api
        .propose(&caller, &call, |actor| Command::BatchRules(actor, batch))
        .await?;
    answer(applied, &caller)
}

/// The routes that get new rules: which operation is the first to make one, and how many do.
fn new_rules(operations: &[RuleOperation]) -> BTreeMap<&RouteId, (usize, u32)> {
    let mut routes = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if let RuleOperation::Create(rule) = operation {
            routes.entry(&rule.route_id).or_insert((index, 0)).1 += 1;
        }
    }
    routes
}

/// What an operation of a batch does.
#[derive(Clone, Copy)]
enum Op {
    Create,
    Update,
    Archive,
}

const OPS: [(&str, Op); 3] = [
    ("create", Op::Create),
    ("update", Op::Update),
    ("archive", Op::Archive),
];

fn operation(api: &Api, item: Value, path: &str) -> Result<RuleOperation, ApiError> {
    let named = item.get("op").and_then(Value::as_str);
    let mut known = vec!["op"];
    match OPS.iter().find(|(name, _)| Some(*name) == named) {
        Some((_, Op::Create)) => known.extend(rules::CREATED),
        Some((_, Op::Update)) => known.extend(["id"].iter().chain(&rules::UPDATED)),
        Some((_, Op::Archive)) => known.push("id"),
        // What is wrong with `op` is said before anything about the other fields.
        None => known.extend(["id", "status"].iter().chain(&rules::CREATED)),
    }
    let mut fields = Fields::of(item, path, &known)?;
    let op = fields.choice("op", &OPS)?;
    match fields.required("op", op)? {
        Op::Create => rules::created(api, &mut fields).map(RuleOperation::Create),
        Op::Update => {
            let id = changed(&mut fields)?;
            rules::updated(api, id, &mut fields).map(RuleOperation::Update)
        }
        Op::Archive => Ok(RuleOperation::Archive(ArchiveRule {
            id: changed(&mut fields)?,
            draft_id: SnapshotId::new(api.seed()),
        })),
    }
}

/// Which rule an operation changes.
fn changed(fields: &mut Fields) -> Result<RuleId, ApiError> {
    let id = fields.id("id", "rule", RuleId::parse)?;
    fields.required("id", id)
}

fn answer(applied: Applied, caller: &Caller) -> Answered {
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Rules(rules) => Some(page::complete(rules, |bytes, rule| {
            render::append(bytes, &RuleObject::new(rule, &caller.environment));
        })),
        _ => None,
    })
}
