//! Members that come and go while clients work.

use anyhow::{Context as _, Result};
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::findings::{Findings, ms};
use crate::load::{Load, Options};
use crate::town::{By, READY_WITHIN, Town};

/// P17: one is added, one replaced, one removed, again and again; in turn the leader and another one, and by subcommands and
/// on the operators' socket.
pub(super) async fn changed(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let options = Options {
        pause: stage.choose(millis(30), millis(14)),
        ..Options::default()
    };
    let load = Load::start_with(&town, options).await?;
    rest(seconds(1)).await;
    let mut changes = Vec::new();
    let mut gone = Vec::new();
    for round in 0..stage.choose(2, 50) {
        let by = [By::Subcommand, By::Socket][round % 2];
        changes.push(load.now_us());
        let added = town.newcomer().await?;
        town.add_member(by, added).await?;
        town.wait_ready(added, READY_WITHIN).await?;
        town.take_in(added);
        town.promote_member(by, added).await?;

        let (replaced, removed) = leavers(&town, round).await?;
        changes.push(load.now_us());
        let new = town.newcomer().await?;
        town.replace_member(by, replaced, new).await?;
        town.wait_ready(new, READY_WITHIN).await?;
        town.take_in(new);

        rest(millis(500)).await;
        changes.push(load.now_us());
        town.remove_member(by, removed).await?;
        load.next_write(READY_WITHIN).await?;
        let first = town.dismiss(replaced).await?;
        let second = town.dismiss(removed).await?;
        stage.say(format_args!(
            "round {}, by {by:?}: {added} added, {new} in the place of {replaced}, {removed} removed; the last of them ended \
             after {}",
            round + 1,
            ms(first + second)
        ));
        gone.extend([replaced, removed]);
    }
    let mut wrong = members_as_expected(&town).await?;
    for node in &gone {
        if !town.refuses_number(node.number).await? {
            wrong.push(format!("the number of {node} could be used again"));
        }
    }
    rest(millis(500)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &changes);
    findings.violations.append(&mut wrong);
    findings.gaps_at_most(seconds(1));
    findings.figure("members that left", gone.len());
    findings.none_failed(&record);
    findings.retries_at_most(&record, 3);
    Ok(findings)
}

/// Who is replaced and who is removed in a round: the leader is one of them, in turn.
async fn leavers(town: &Town, round: usize) -> Result<(Name, Name)> {
    let leader = town.leader().await?;
    let other = town.nodes().find(|node| *node != leader);
    let other = other.context("there is no other node")?;
    Ok(if round.is_multiple_of(2) {
        (leader, other)
    } else {
        (other, leader)
    })
}

/// All nodes of the town vote, each tells so, and there is no other member.
async fn members_as_expected(town: &Town) -> Result<Vec<String>> {
    let expected: Vec<u16> = town.nodes().map(|node| node.number).collect();
    let mut wrong = Vec::new();
    for at in town.nodes() {
        let mut members = town.members(at).await?;
        members.sort_by_key(|member| member.id);
        let numbers: Vec<u16> = members.iter().map(|member| member.id).collect();
        let all_vote = members.iter().all(|member| member.role != "learner");
        if numbers != expected || !all_vote {
            wrong.push(format!(
                "{at} tells of the members {members:?}, where {expected:?} should vote"
            ));
        }
    }
    Ok(wrong)
}
