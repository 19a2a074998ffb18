//! A leader that is cut off with writes under way answers each of them: none is stranded with nobody
//! left to answer it.

use std::time::Duration;

use futures_util::future::join_all;

use super::script::rule;
use super::{Ask, Playing, Scenario, Script};

/// How many writes are under way.
const WRITES: u64 = 8;

/// By when each is answered: the proposals' own deadline, and some time to tell.
const ANSWERED: Duration = Duration::from_secs(12);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stranded-writers",
    tells: "a leader loses its leadership with writes under way, and each is answered",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        let leader = script.leader().await?;
        let others = script.others(leader);
        script.cut(leader, &others);
        let writes: Vec<Ask> = (0..WRITES)
            .map(|number| {
                let body = rule(&route, &format!("stranded {number}"), number);
                Ask::change("POST", "/v2/rules", body, &Script::key(number)).within(ANSWERED)
            })
            .collect();
        let answers = join_all(writes.iter().map(|write| script.ask(leader, write))).await;
        script.leader_among(&others).await?;
        script.mend(leader, &others);
        for answer in answers {
            match answer {
                Ok(answer) if answer.status == 503 => {}
                other => return Err(format!("a leader without a quorum answered {other:?}")),
            }
        }
        for write in &writes {
            script.done(others[0], write).await?;
        }
        Ok(())
    })
}
