//! A follower that was away is given a checkpoint, and dies at every step of installing it, once at
//! each. It starts again each time, with the state that it had or with the new one, and catches up.

use std::time::Duration;

use crate::fail_points::Host;
use crate::options::INSTALLING;

use super::{Playing, Scenario, Script};

/// More than some checkpoints.
const RULES: u64 = 60;

/// By when it has died everywhere and has what the others have.
const CAUGHT_UP: Duration = Duration::from_secs(60);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "dies-installing",
    tells: "a follower dies at every step of installing a checkpoint",
    shape: |options| {
        options.raft.checkpoint_every = 20;
        options.raft.kept = 0;
    },
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        let leader = script.leader().await?;
        let away = script.others(leader)[0];
        let rest = script.others(away);
        script.cut(away, &rest);
        for number in 0..RULES {
            let name = format!("missed {number}");
            script.create(leader, &route, &name, number).await?;
        }
        let reached = script.applied(leader).unwrap_or_default();
        let fail_points = script.fleet.fail_points();
        fail_points.arm(true);
        fail_points.die_at(Host::Node(away), &INSTALLING);
        script.mend(away, &rest);
        script.catches_up(away, reached, CAUGHT_UP).await?;
        let hits = fail_points.hits();
        let missed = INSTALLING
            .iter()
            .find(|point| hits.get(point).is_none_or(|hits| hits.struck == 0));
        missed.map_or(Ok(()), |point| Err(format!("it did not die at {point}")))
    })
}
