//! A forwarded write is done and its answer is lost on the way back; the client tries again at another
//! node with the same key. There is one rule, and everybody is told of that one.

use std::time::Duration;

use super::script::{id_of, rule};
use super::{Ask, Playing, Scenario, Script};

/// How long the client waits for the answer that is lost.
const IMPATIENCE: Duration = Duration::from_millis(1_500);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "reply-lost",
    tells: "the answer to a forwarded write is lost, and it is tried again elsewhere with its key",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        let leader = script.leader().await?;
        let others = script.others(leader);
        let (follower, third) = (others[0], others[1]);
        // The stream to the leader is open from now on.
        let first = rule(&route, "opens the stream", 1);
        script
            .done(
                follower,
                &Ask::change("POST", "/v2/rules", first, &Script::key(1)),
            )
            .await?;
        let body = rule(&route, "answer lost", 2);
        let write = Ask::change("POST", "/v2/rules", body, &Script::key(2));
        script.cut_one_way(leader, follower);
        let lost = script
            .ask(follower, &write.clone().within(IMPATIENCE))
            .await;
        if let Ok(answer) = &lost
            && answer.status < 500
        {
            return Err(format!("an answer came through a cut link: {answer:?}"));
        }
        let made = id_of(&script.done(third, &write).await?)?;
        script.mend_one_way(leader, follower);
        let again = id_of(&script.done(follower, &write).await?)?;
        if made != again {
            return Err(format!("one key made {made} and {again}"));
        }
        Ok(())
    })
}
