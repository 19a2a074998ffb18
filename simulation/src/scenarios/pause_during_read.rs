//! A leader stands still, to everybody else, while it is asked for a read. When it goes on another one
//! leads and has changed what is read: what it answers to a read that began after the change shows it.

use std::time::Duration;

use serde_json::json;

use super::script::{id_of, rule};
use super::{Ask, Playing, Scenario, Script};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "pause-during-read",
    tells: "a leader is paused with a read pending, and another one changes what is read",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        let leader = script.leader().await?;
        let others = script.others(leader);
        let body = rule(&route, "before", 1);
        let made = script
            .done(
                leader,
                &Ask::change("POST", "/v2/rules", body, &Script::key(1)),
            )
            .await?;
        let path = format!("/v2/rules/{}", id_of(&made)?);
        script.hold(leader, &others);
        let read = Ask::get(path.clone());
        let pending = script.ask(leader, &read);
        let changing = async {
            let next = script.leader_among(&others).await?;
            let body = json!({"name": "after"});
            let change = Ask::change("PATCH", path.clone(), body, &Script::key(2));
            script.done(next, &change).await?;
            // This one begins after the change was acknowledged.
            let late = read.clone().within(Duration::from_secs(10));
            let late = script.ask(leader, &late);
            let going_on = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                script.release(leader, &others);
            };
            let (late, ()) = futures_util::future::join(late, going_on).await;
            Ok::<_, String>(late)
        };
        let (_, late) = futures_util::future::join(pending, changing).await;
        match late? {
            Ok(answer) if answer.status == 200 && !answer.body.contains("\"after\"") => {
                Err(format!("a stale read: {}", answer.body))
            }
            _ => Ok(()),
        }
    })
}
