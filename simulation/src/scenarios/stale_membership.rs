//! A leader dies to the others with a change of the voters in its log that nobody else has. The others go on without it, change
//! the voters otherwise, and purge what it lacks; it comes back by a checkpoint, which covers the place of its own change and
//! tells of a membership that stands earlier in the log. From then on that one counts for it: if it went on to count votes by
//! the change that was lost, three of five could elect it, while two of the three that really vote go on.

use std::time::Duration;

use node::consensus::membership::ClusterRequest;
use tokio::time::sleep;

use super::{Playing, Scenario, Script};

/// By when the one that was away has a checkpoint.
const INSTALLED: Duration = Duration::from_secs(20);

/// How long those without a majority are left to themselves: several elections.
const APART: Duration = Duration::from_secs(6);

/// So many writes are enough for some checkpoints.
const WRITES_MAX: u64 = 400;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale-membership",
    tells: "a checkpoint takes the place of a change of the voters that only one node had",
    shape: |options| {
        options.voters = 5;
        options.set_spares(0);
        options.raft.checkpoint_every = 20;
        options.raft.kept = 0;
        // Long enough to cut a link while a message is under way.
        options.latency_min = Duration::from_millis(5);
        options.latency_max = Duration::from_millis(15);
    },
    play,
};

/// Who is who.
struct Roles {
    former: usize,
    leader: usize,
    /// Votes with the leader to the end.
    partner: usize,
    /// Keeps its vote, and is cut off with the former leader.
    third: usize,
    /// Loses its vote.
    fourth: usize,
}

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        let roles = change_twice(&script).await?;
        let Roles {
            former,
            leader,
            partner,
            third,
            fourth,
        } = roles;
        purge_what_it_lacks(&script, &roles, &route).await?;
        if !script.is_changing(former) {
            return Err("the former leader lost its change before it was to".to_owned());
        }
        let installed = script.fleet.disk(former).adoptions();
        let reached = script.applied(leader).unwrap_or_default();
        script.mend(former, &[leader]);
        script
            .until("the former leader is given a checkpoint", INSTALLED, || {
                script.fleet.disk(former).adoptions() > installed
                    && script
                        .applied(former)
                        .is_some_and(|applied| applied >= reached)
            })
            .await?;
        // From now on these two get nothing more, and the former leader soon has what they have.
        for cut_off in [third, fourth] {
            script.cut(cut_off, &[leader, partner]);
        }
        script
            .until("the former leader has it all", INSTALLED, || {
                let last = script.last(former);
                [third, fourth]
                    .iter()
                    .all(|other| script.last(*other) <= last)
            })
            .await?;
        script.cut(former, &[leader]);
        for other in [third, fourth] {
            script.mend(former, &[other]);
        }
        stay_apart(&script, &roles, &route).await?;
        for other in [leader, partner] {
            script.mend(former, &[other]);
        }
        for cut_off in [third, fourth] {
            script.mend(cut_off, &[leader, partner]);
        }
        script.leader().await?;
        script
            .create(former, &route, "goes on", WRITES_MAX + 1)
            .await?;
        Ok(())
    })
}

/// The leader begins a change that is lost; the others make other ones.
async fn change_twice(script: &Script) -> Result<Roles, String> {
    let former = script.leader().await?;
    let others = script.others(former);
    let demoted = others[0];
    let lost = ClusterRequest::Demote(Script::number(demoted));
    script.lose_change(former, &others, lost).await?;
    let leader = script.leader_among(&others).await?;
    let partner = if demoted == leader {
        others[1]
    } else {
        demoted
    };
    let mut rest = others
        .iter()
        .copied()
        .filter(|other| *other != leader && *other != partner);
    let (Some(third), Some(fourth)) = (rest.next(), rest.next()) else {
        return Err("there are too few nodes".to_owned());
    };
    for index in [former, fourth] {
        let change = ClusterRequest::Demote(Script::number(index));
        script.change(&others, &change).await?;
    }
    Ok(Roles {
        former,
        leader,
        partner,
        third,
        fourth,
    })
}

/// Writes until the leader's log begins after the end of the former leader's.
async fn purge_what_it_lacks(script: &Script, roles: &Roles, route: &str) -> Result<(), String> {
    for number in 0..WRITES_MAX {
        if script.purged(roles.leader) > script.last(roles.former) {
            return Ok(());
        }
        let name = format!("purged {number}");
        script.create(roles.leader, route, &name, number).await?;
    }
    Err("the leader purged nothing".to_owned())
}

/// Two of three voters go on; the other three nodes can elect nobody.
async fn stay_apart(script: &Script, roles: &Roles, route: &str) -> Result<(), String> {
    let without = [roles.former, roles.third, roles.fourth];
    let rounds = 12;
    for round in 0..rounds {
        sleep(APART / rounds).await;
        for index in without {
            if script.observe(index).is_some_and(|now| now.leads) {
                return Err(format!("node {} leads without a majority", index + 1));
            }
        }
        let number = WRITES_MAX + 2 + u64::from(round);
        let name = format!("with two of three {round}");
        script.create(roles.leader, route, &name, number).await?;
    }
    Ok(())
}
