//! From a wish to the one step that the leader takes for it, or the reason why not. Pure: the view is
//! the leader's, taken after a quorum confirmed that it leads.
//!
//! Two rules stand behind the refusals. *No step may end where fewer voters answer than have to
//! agree*: openraft would take it, and writes would stop. *A leader does not take its own vote away*:
//! it hands leadership over first, and the next leader takes the step, because a leader that is not
//! among the voters any more and dies before the others know leaves them waiting for it.

use std::collections::BTreeSet;

use raft_store::types::{Member, NodeId};

use super::refusal::Refusal;
use super::view::{View, majority};
use crate::settings::{self, SettingsError};

/// How many entries a member may lack that is to vote or to lead: a fraction of a second of writes.
pub(super) const LAG_MAX: u64 = 1_000;

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Add(Member),
    Promote(NodeId),
    Demote(NodeId),
    Remove(NodeId),
    Replace { id: NodeId, with: NodeId },
    Transfer(Option<NodeId>),
    Prefer(Option<String>),
}

/// What the leader does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is so already.
    Nothing(String),
    Step(Step),
    /// The leader's own vote goes: this voter leads first, and is asked again.
    HandOverFirst(NodeId),
}

/// One step. Each is finished by whoever leads, should its leader die in the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Add(Member),
    Promote(NodeId),
    Demote(NodeId),
    /// Retires the number, takes the vote away if there is one, and removes the member.
    Remove(NodeId),
    /// The same, and gives the vote to another.
    Replace {
        id: NodeId,
        with: NodeId,
    },
    Transfer(NodeId),
    Prefer(Option<String>),
}

/// Plans.
pub(super) fn plan(view: &View, wish: &Wish) -> Result<Plan, Refusal> {
    match wish {
        Wish::Add(member) => add(view, member),
        Wish::Promote(id) => promote(view, *id),
        Wish::Demote(id) => demote(view, *id),
        Wish::Remove(id) => remove(view, *id),
        Wish::Replace { id, with } => replace(view, *id, *with),
        Wish::Transfer(to) => transfer(view, *to),
        Wish::Prefer(region) => prefer(view, region.as_deref()),
    }
}

/// The members that are retired and still there: their removal was interrupted. One of them is
/// removed next, if that can be done now.
pub(super) fn interrupted(view: &View) -> Option<Result<Plan, Refusal>> {
    let id = view
        .retired
        .iter()
        .copied()
        .find(|id| view.members.contains_key(id))?;
    Some(take_out(view, id, Step::Remove(id)))
}

fn add(view: &View, member: &Member) -> Result<Plan, Refusal> {
    settings::check_member(member).map_err(|error| match error {
        SettingsError::Field { field, reason } => Refusal::Invalid { field, reason },
        other => Refusal::Invalid {
            field: "member".to_owned(),
            reason: other.to_string(),
        },
    })?;
    if view.retired.contains(&member.id) {
        return Err(Refusal::UsedBefore { id: member.id });
    }
    if let Some(known) = view.members.get(&member.id) {
        if known.member == *member {
            return Ok(Plan::Nothing(format!("{member} is a member already")));
        }
        return Err(Refusal::AlreadyMember {
            id: member.id,
            internal: known.member.internal.clone(),
        });
    }
    let addresses = |member: &Member| {
        [
            member.internal.clone(),
            member.rest.clone(),
            member.publisher.clone(),
        ]
    };
    for (id, known) in &view.members {
        let theirs = addresses(&known.member);
        if let Some(address) = addresses(member)
            .into_iter()
            .find(|address| theirs.contains(address))
        {
            return Err(Refusal::AddressTaken { address, by: *id });
        }
    }
    can_change(view)?;
    Ok(Plan::Step(Step::Add(member.clone())))
}

fn promote(view: &View, id: NodeId) -> Result<Plan, Refusal> {
    staying(view, id)?;
    if view.is_voter(id) {
        return Ok(Plan::Nothing(format!("node {id} is a voter already")));
    }
    can_change(view)?;
    caught_up(view, id)?;
    let mut voters = view.voters.clone();
    voters.insert(id);
    keeps_quorum(view, &voters)?;
    Ok(Plan::Step(Step::Promote(id)))
}

fn demote(view: &View, id: NodeId) -> Result<Plan, Refusal> {
    staying(view, id)?;
    if !view.is_voter(id) {
        return Ok(Plan::Nothing(format!("node {id} is a learner already")));
    }
    can_change(view)?;
    take_out(view, id, Step::Demote(id))
}

fn remove(view: &View, id: NodeId) -> Result<Plan, Refusal> {
    if !view.members.contains_key(&id) && view.retired.contains(&id) {
        return Ok(Plan::Nothing(format!("node {id} was removed already")));
    }
    member(view, id)?;
    can_change(view)?;
    take_out(view, id, Step::Remove(id))
}

fn replace(view: &View, id: NodeId, with: NodeId) -> Result<Plan, Refusal> {
    if id == with {
        return Err(Refusal::ReplacesItself { id });
    }
    let is_gone = !view.members.contains_key(&id) && view.retired.contains(&id);
    if is_gone && view.is_voter(with) {
        return Ok(Plan::Nothing(format!(
            "node {with} has taken the place of node {id}"
        )));
    }
    staying(view, id)?;
    staying(view, with)?;
    can_change(view)?;
    if view.is_voter(with) {
        return Err(Refusal::VotesAlready { id, with });
    }
    if !view.is_voter(id) {
        // A learner's place is no vote: the new one is there already.
        return Ok(Plan::Step(Step::Remove(id)));
    }
    caught_up(view, with)?;
    let mut voters = view.voters.clone();
    voters.remove(&id);
    voters.insert(with);
    keeps_quorum(view, &voters)?;
    if id == view.leader {
        return hand_over_first(view, id);
    }
    Ok(Plan::Step(Step::Replace { id, with }))
}

fn transfer(view: &View, to: Option<NodeId>) -> Result<Plan, Refusal> {
    let Some(to) = to else {
        let heir = view.heir(None).ok_or(Refusal::NoHeir)?;
        return Ok(Plan::Step(Step::Transfer(heir)));
    };
    staying(view, to)?;
    if to == view.leader {
        return Ok(Plan::Nothing(format!("node {to} leads already")));
    }
    if !view.is_voter(to) {
        return Err(Refusal::NotAVoter { id: to });
    }
    // Who is elected by half of a joint membership would have to finish it.
    if view.unfinished {
        return Err(Refusal::Unfinished);
    }
    caught_up(view, to)?;
    Ok(Plan::Step(Step::Transfer(to)))
}

fn prefer(view: &View, region: Option<&str>) -> Result<Plan, Refusal> {
    if view.preferred_region.as_deref() == region {
        let already = region.map_or_else(
            || "no region is preferred".to_owned(),
            |region| format!("the region {region} is preferred already"),
        );
        return Ok(Plan::Nothing(already));
    }
    let regions: BTreeSet<&str> = view.voters.iter().map(|id| view.region(*id)).collect();
    if let Some(region) = region
        && !regions.contains(region)
    {
        return Err(Refusal::NoVoterThere {
            region: region.to_owned(),
            regions: regions.into_iter().collect::<Vec<_>>().join(", "),
        });
    }
    Ok(Plan::Step(Step::Prefer(region.map(str::to_owned))))
}

/// Takes a member out of the voters, if it is one, by a step of that kind.
fn take_out(view: &View, id: NodeId, step: Step) -> Result<Plan, Refusal> {
    if !view.is_voter(id) {
        return Ok(Plan::Step(step));
    }
    let mut voters = view.voters.clone();
    voters.remove(&id);
    if voters.is_empty() {
        return Err(Refusal::LastVoter { id });
    }
    keeps_quorum(view, &voters)?;
    if id == view.leader {
        return hand_over_first(view, id);
    }
    Ok(Plan::Step(step))
}

fn hand_over_first(view: &View, leaving: NodeId) -> Result<Plan, Refusal> {
    let heir = view.heir(Some(leaving)).ok_or(Refusal::NoHeir)?;
    Ok(Plan::HandOverFirst(heir))
}

fn member(view: &View, id: NodeId) -> Result<(), Refusal> {
    if view.members.contains_key(&id) {
        return Ok(());
    }
    let members: Vec<String> = view.members.keys().map(ToString::to_string).collect();
    Err(Refusal::UnknownMember {
        id,
        members: members.join(", "),
    })
}

/// A member that is not on its way out.
fn staying(view: &View, id: NodeId) -> Result<(), Refusal> {
    member(view, id)?;
    if view.retired.contains(&id) {
        return Err(Refusal::BeingRemoved { id });
    }
    Ok(())
}

/// Whether the membership can be changed at all.
fn can_change(view: &View) -> Result<(), Refusal> {
    if view.unfinished {
        return Err(Refusal::Unfinished);
    }
    let (alive, needed) = count(view, &view.voters);
    if alive < needed {
        return Err(Refusal::NoQuorum {
            alive,
            voters: view.voters.len(),
            needed,
            silent: silent(view, &view.voters),
        });
    }
    Ok(())
}

fn keeps_quorum(view: &View, voters: &BTreeSet<NodeId>) -> Result<(), Refusal> {
    let (alive, needed) = count(view, voters);
    if alive < needed {
        return Err(Refusal::WouldLoseQuorum {
            alive,
            voters: voters.len(),
            needed,
            silent: silent(view, voters),
        });
    }
    Ok(())
}

fn count(view: &View, voters: &BTreeSet<NodeId>) -> (usize, usize) {
    (view.alive(voters).count(), majority(voters.len()))
}

fn silent(view: &View, voters: &BTreeSet<NodeId>) -> String {
    let silent: Vec<String> = voters
        .iter()
        .filter(|id| !view.is_alive(**id))
        .map(|id| format!("node {id}"))
        .collect();
    silent.join(" and ")
}

fn caught_up(view: &View, id: NodeId) -> Result<(), Refusal> {
    if !view.is_alive(id) {
        return Err(Refusal::Silent { id });
    }
    match view.lag(id) {
        None => Err(Refusal::NothingYet { id }),
        Some(entries) if entries > LAG_MAX => Err(Refusal::Lags {
            id,
            entries,
            max: LAG_MAX,
        }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
