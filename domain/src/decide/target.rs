//! Single targets of an upstream: adding, changing and removing them. The upstream changes by it, and
//! with that the drafts of the routes that use it.

use super::upstream::{changed, find};
use super::{Context, Judgement, check, id_taken, not_found, nothing, shift};
use crate::command::{Actor, ChangeTarget, TargetChange};
use crate::id::TargetId;
use crate::machine::Decision;
use crate::model::{Target, Upstream};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;

pub(super) fn change<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &ChangeTarget,
) -> Judgement {
    let before = find(context, &actor.environment_id, &command.upstream_id)?;
    let mut upstream = before.clone();
    let outcome = match &command.change {
        TargetChange::Add(target) => {
            if upstream.targets.iter().any(|known| known.id == target.id) {
                return Err(id_taken(&target.id));
            }
            upstream.targets.push(target.clone());
            Outcome::Target(target.clone())
        }
        TargetChange::Update {
            id,
            address,
            port,
            weight,
            regions,
            drain,
        } => {
            let target = find_target(&mut upstream, id)?;
            *target = Target {
                id: id.clone(),
                address: address.clone().unwrap_or_else(|| target.address.clone()),
                port: port.unwrap_or(target.port),
                weight: weight.unwrap_or(target.weight),
                regions: regions.clone().unwrap_or_else(|| target.regions.clone()),
                drain: drain.unwrap_or(target.drain),
            };
            Outcome::Target(target.clone())
        }
        TargetChange::Remove(id) => {
            find_target(&mut upstream, id)?;
            upstream.targets.retain(|target| target.id != *id);
            let (id, at) = (id.clone(), context.at);
            Outcome::TargetDeleted { id, at }
        }
    };
    if upstream == before {
        return nothing(outcome);
    }
    if let Outcome::Target(target) = &outcome {
        check::target("", target)?;
    }
    shift::check_untouched(context, &before, &upstream)?;
    check::target_count(&upstream.targets)?;
    check::upstream_size(&upstream)?;
    let (_, events) = changed(context, upstream, command.draft_seed)?;
    Ok(Decision { events, outcome })
}

fn find_target<'u>(upstream: &'u mut Upstream, id: &TargetId) -> Result<&'u mut Target, Rejection> {
    let target = upstream.targets.iter_mut().find(|target| target.id == *id);
    target.ok_or_else(|| not_found("target", id, None))
}
