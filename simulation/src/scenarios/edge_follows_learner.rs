//! An edge that reaches nobody but a learner follows it: what is published arrives, also after the learner was away.

use std::time::Duration;

use super::script::rule;
use super::{Ask, Playing, Scenario, Script};

/// By when the edge has what was published: it tries each of the others before, and rests in between.
const FOLLOWED: Duration = Duration::from_secs(60);

/// By when the learner has what the others have.
const CAUGHT_UP: Duration = Duration::from_secs(20);

/// The edge.
const EDGE: usize = 0;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "edge-follows-learner",
    tells: "an edge reaches only a node that joined without a vote, and follows it",
    shape: |options| options.set_spares(1),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        let leader = script.leader().await?;
        let learner = script.nodes();
        let voters: Vec<usize> = (0..script.nodes()).collect();
        script.add_learner(learner).await?;
        wait_for(&script, learner, leader).await?;
        script.cut_edge(EDGE, &voters);
        follows(&script, &route, 1).await?;
        if script.observe(learner).is_none_or(|now| {
            let number = Script::number(learner);
            !now.learners.contains(&number) || now.voters.iter().flatten().any(|it| *it == number)
        }) {
            return Err("the node that joined has a vote".to_owned());
        }
        script.crash(learner);
        script
            .until("the learner is down", CAUGHT_UP, || {
                script.applied(learner).is_none()
            })
            .await?;
        wait_for(&script, learner, leader).await?;
        follows(&script, &route, 2).await?;
        script.mend_edge(EDGE, &voters);
        Ok(())
    })
}

async fn wait_for(script: &Script, learner: usize, leader: usize) -> Result<(), String> {
    let reached = script.applied(leader).unwrap_or_default();
    script.catches_up(learner, reached, CAUGHT_UP).await
}

/// Publishes, and waits until the edge serves by something newer than before.
async fn follows(script: &Script, route: &str, number: u64) -> Result<(), String> {
    let leader = script
        .leader_among(&(0..script.nodes()).collect::<Vec<_>>())
        .await?;
    let body = rule(route, &format!("followed {number}"), number);
    let change = Ask::change("POST", "/v2/rules", body, &Script::key(100 + number));
    script.done(leader, &change).await?;
    let before = script.version_at(EDGE);
    let path = format!("/v2/routes/{route}/publish");
    let publish = Ask::change("POST", path, serde_json::json!({}), &Script::key(number));
    script.done(leader, &publish).await?;
    script
        .until("the edge follows the learner", FOLLOWED, || {
            script.version_at(EDGE) > before
        })
        .await
}
