//! A follower is away for so long that the others have purged all that it lacks. It comes back by a
//! checkpoint, and takes part: with the former leader gone the rest go on.

use std::time::Duration;

use super::{Playing, Scenario, Script};

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
            let name = format!("purged {number}");
            script.create(leader, &route, &name, number).await?;
        }
        let reached = script.applied(leader).unwrap_or_default();
        script.mend(away, &rest);
        script.catches_up(away, reached, CAUGHT_UP).await?;
        let former = script.leader().await?;
        script.crash(former);
        // Whoever leads next: the former leader may do so again.
        let next = script.others(former)[0];
        script.create(next, &route, "goes on", RULES).await
    })
}
