//! An API key is revoked while a node is cut off. Until it hears of that the node cannot write or read
//! linearizably for anybody, and serves stale reads alone; once it is back it refuses the key soon.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::script::id_of;
use super::{Ask, Playing, Scenario, Script};

/// By when a node that is back refuses the key.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "key-revoked-in-partition",
    tells: "a key is revoked while a node is cut off, which refuses it soon after it is back",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let leader = script.leader().await?;
        let others = script.others(leader);
        let cut_off = others[0];
        let body = json!({"type": "live", "name": "to be revoked"});
        let made = script
            .done(
                leader,
                &Ask::change("POST", "/v2/api_keys", body, &Script::key(1)),
            )
            .await?;
        let (id, key) = (
            id_of(&made)?,
            made["key"].as_str().unwrap_or_default().to_owned(),
        );
        script
            .done(cut_off, &Ask::get("/v2/routes").by(&key))
            .await?;
        let rest = script.others(cut_off);
        script.cut(cut_off, &rest);
        let revoke = Ask::change(
            "DELETE",
            format!("/v2/api_keys/{id}"),
            json!({}),
            &Script::key(2),
        );
        script.done(leader, &revoke.without_body()).await?;
        let read = Ask::get("/v2/routes").by(&key);
        if let Ok(answer) = script.ask(cut_off, &read).await
            && answer.status < 300
        {
            return Err(format!(
                "a linearizable read after the revocation: {answer:?}"
            ));
        }
        script.mend(cut_off, &rest);
        let deadline = Instant::now() + REFUSED_WITHIN;
        loop {
            let stale = script.ask(cut_off, &read.clone().stale()).await;
            if stale.as_ref().is_ok_and(|answer| answer.status == 401) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{REFUSED_WITHIN:?} after it is back: {stale:?}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
}
