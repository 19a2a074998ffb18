//! A follower is away for so long that the others have purged all that it lacks. It comes back by a
//! checkpoint, and takes part: with the former leader gone the rest go on.

use std::time::Duration;

use super::script::rule;
use super::{Ask, Playing, Scenario, Script};

/// More than some checkpoints.
const RULES: u64 = 60;

/// By when it has what the others have.
const CAUGHT_UP: Duration = Duration::from_secs(20);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "purged-leader",
    tells: "a follower comes back to a leader that has purged its log",
    shape: |options| options.raft.checkpoint_every = 20,
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
            let body = rule(&route, &format!("purged {number}"), number);
            let write = Ask::change("POST", "/v2/rules", body, &Script::key(number));
            script.done(leader, &write).await?;
        }
        let reached = script.applied(leader).unwrap_or_default();
        script.mend(away, &rest);
        script
            .until("the one that was away has it all", CAUGHT_UP, || {
                script
                    .applied(away)
                    .is_some_and(|applied| applied >= reached)
            })
            .await?;
        let former = script.leader().await?;
        script.crash(former);
        let survivors = script.others(former);
        let next = script.leader_among(&survivors).await?;
        let body = rule(&route, "goes on", RULES);
        let write = Ask::change("POST", "/v2/rules", body, &Script::key(RULES));
        script.done(next, &write).await?;
        Ok(())
    })
}
