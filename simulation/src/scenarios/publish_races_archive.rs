//! A rule is published and archived at the same time, at different nodes; then it is taken out of what
//! is live, and archived while a rollback brings it back. Now and then the leader is lost meanwhile.
//! Whoever comes first wins: a rule is never archived and live, and a refused archive means that it
//! is live.

use std::time::Duration;

use serde_json::{Value, json};

use super::script::{id_of, rule};
use super::{Ask, Playing, Scenario, Script};
use crate::http::Response;

/// How often it is played over.
const ROUNDS: u64 = 8;

/// In every so manieth round the leader is cut off.
const CUT_EVERY: u64 = 3;

/// By how much the archive begins after the publication at most, in milliseconds.
const APART_MS_MAX: u64 = 40;

/// How long an answer may take before it is asked for again.
const IMPATIENCE: Duration = Duration::from_secs(2);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "publish-races-archive",
    tells: "a rule is archived while it is published, and while a rollback brings it back",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let race = Race {
            route: script.own_route("archive.example.net").await?,
            script,
        };
        race.publish_alone().await?;
        for round in 0..ROUNDS {
            race.play(round).await?;
        }
        Ok(())
    })
}

struct Race {
    script: Script,
    route: String,
}

/// What is asked for at the same time.
struct Pair {
    change: Ask,
    archive: Ask,
}

impl Race {
    /// Something is live that every rollback can go back to.
    async fn publish_alone(&self) -> Result<(), String> {
        let leader = self.script.leader().await?;
        let body = rule(&self.route, "always live", 0);
        let made = Ask::change("POST", "/v2/rules", body, &Script::key(1));
        self.script.done(leader, &made).await?;
        self.script.done(leader, &self.publish(2)).await?;
        Ok(())
    }

    async fn play(&self, round: u64) -> Result<(), String> {
        let key = |number| 100 * (round + 1) + number;
        let leader = self.script.leader().await?;
        let body = rule(&self.route, &format!("raced {round}"), round + 1);
        let made = Ask::change("POST", "/v2/rules", body, &Script::key(key(0)));
        let id = id_of(&self.script.done(leader, &made).await?)?;
        let first = Pair {
            change: self.publish(key(1)),
            archive: archive(&id, key(2)),
        };
        self.race(round, &first).await?;
        if self.judge(&id).await? == "archived" {
            return Ok(());
        }
        // It is live: out of it, and then both at once.
        let (_, with_it) = self.active().await?;
        let leader = self.script.leader().await?;
        let out = self.roll_back(json!({"steps": 1}), key(3));
        self.script.done(leader, &out).await?;
        let second = Pair {
            change: self.roll_back(json!({"snapshot_id": with_it}), key(4)),
            archive: archive(&id, key(5)),
        };
        self.race(round + 1, &second).await?;
        self.judge(&id).await?;
        Ok(())
    }

    /// Asks for both at once, at different nodes, and until both outcomes are known.
    async fn race(&self, round: u64, pair: &Pair) -> Result<(), String> {
        let script = &self.script;
        let leader = script.leader().await?;
        let others = script.others(leader);
        let seed = script.fleet.options().seed;
        let (one, other) = if (seed + round).is_multiple_of(2) {
            (leader, others[0])
        } else {
            (others[0], leader)
        };
        let wait = Duration::from_millis((seed * 7 + round * 13) % APART_MS_MAX);
        let first = pair.change.clone().within(IMPATIENCE);
        let second = pair.archive.clone().within(IMPATIENCE);
        let archiving = async {
            tokio::time::sleep(wait).await;
            script.ask(other, &second).await
        };
        let cutting = async {
            if (seed + round).is_multiple_of(CUT_EVERY) {
                tokio::time::sleep(wait * 2).await;
                script.cut(leader, &others);
            }
        };
        // What these say is asked for again; the outcome alone counts.
        let _ = futures_util::future::join3(script.ask(one, &first), archiving, cutting).await;
        let from = others[others.len() - 1];
        let changed = script.known(from, &pair.change).await?;
        let archived = script.known(from, &pair.archive).await?;
        if (seed + round).is_multiple_of(CUT_EVERY) {
            script.mend(leader, &others);
        }
        told(&changed, &archived)
    }

    /// How the rule stands, which has to agree with what is live.
    async fn judge(&self, id: &str) -> Result<String, String> {
        let leader = self.script.leader().await?;
        let rule = self
            .script
            .done(leader, &Ask::get(format!("/v2/rules/{id}")))
            .await?;
        let status = rule["status"].as_str().unwrap_or_default().to_owned();
        let (active, snapshot) = self.active().await?;
        let is_live = active.contains(id);
        if (status == "archived") == is_live {
            return Err(format!(
                "{id} is {status}, and the active snapshot {snapshot} {} it",
                if is_live { "has" } else { "lacks" }
            ));
        }
        Ok(status)
    }

    /// The active snapshot: its content as text, and its identifier.
    async fn active(&self) -> Result<(String, String), String> {
        let leader = self.script.leader().await?;
        let read = |path: String| async move { self.script.done(leader, &Ask::get(path)).await };
        let route = read(format!("/v2/routes/{}", self.route)).await?;
        let active = route["active_snapshot_id"].as_str().unwrap_or_default();
        let snapshot: Value = read(format!("/v2/snapshots/{active}?include=content")).await?;
        Ok((snapshot["content"].to_string(), active.to_owned()))
    }

    fn publish(&self, key: u64) -> Ask {
        let path = format!("/v2/routes/{}/publish", self.route);
        Ask::change("POST", path, json!({}), &Script::key(key))
    }

    fn roll_back(&self, body: Value, key: u64) -> Ask {
        let path = format!("/v2/routes/{}/rollback", self.route);
        Ask::change("POST", path, body, &Script::key(key))
    }
}

fn archive(id: &str, key: u64) -> Ask {
    let path = format!("/v2/rules/{id}");
    Ask::change("DELETE", path, json!({}), &Script::key(key)).without_body()
}

/// A change of what is live comes through; an archive does, or is refused because the rule is
/// live.
fn told(changed: &Response, archived: &Response) -> Result<(), String> {
    if changed.status >= 300 {
        return Err(format!("what is live could not be changed: {changed:?}"));
    }
    if archived.status >= 300 && archived.status != 422 {
        return Err(format!("a rule was not archived: {archived:?}"));
    }
    Ok(())
}
