//! A publication is on its way to the edges, one of which is cut off, when the leader is lost and the
//! route is taken back; then whoever published tries again with his key. Whichever of the two came
//! last is what all edges serve in the end. The edge that is cut off serves what it had all the time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::script::id_of;
use super::{Ask, Playing, Scenario, Script};

const HOSTNAME: &str = "rollout.example.net";
const PATH: &str = "/rollout";

/// The edge that is cut off.
const CUT_OFF: usize = 0;

/// By when a rollback is done with a node lost.
const ROLLED_BACK: Duration = Duration::from_secs(10);

/// By when edges that hear of it follow.
const FOLLOWED: Duration = Duration::from_secs(10);

/// Pause between two looks at an edge.
const LOOK: Duration = Duration::from_millis(50);

/// How long a publication may be under way before the leader is lost, in milliseconds.
const UNDER_WAY_MS_MAX: u64 = 300;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rollback-during-rollout",
    tells: "a publication is taken back while edges take it in, one is cut off and the leader is lost",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.own_route(HOSTNAME).await?;
        let rollout = Rollout { script, route };
        let leader = rollout.script.leader().await?;
        let rule = rollout.draft(leader).await?;
        let first = rollout.script.done(leader, &rollout.publish(2)).await?;
        for edge in 0..rollout.edges() {
            rollout.follows(edge, "first").await?;
        }
        let nodes: Vec<usize> = (0..rollout.script.nodes()).collect();
        rollout.script.cut_edge(CUT_OFF, &nodes);
        rollout.mark(leader, &rule).await?;
        let expected = rollout.lose_and_take_back(&first).await?;
        let kept = rollout.served(CUT_OFF).await;
        if kept.as_deref() != Some("first") {
            return Err(format!("an edge that hears of nothing serves {kept:?}"));
        }
        for edge in (0..rollout.edges()).filter(|edge| *edge != CUT_OFF) {
            rollout.follows(edge, expected).await?;
        }
        rollout.script.mend_edge(CUT_OFF, &nodes);
        rollout.follows(CUT_OFF, expected).await?;
        rollout.stays(expected).await
    })
}

struct Rollout {
    script: Script,
    route: String,
}

impl Rollout {
    fn edges(&self) -> usize {
        self.script.fleet.options().edges
    }

    /// Makes the rule that answers.
    async fn draft(&self, leader: usize) -> Result<String, String> {
        let body = json!({
            "route_id": self.route, "name": "answers", "priority": 1,
            "match": {"path": PATH}, "action": answer("first"),
        });
        let made = Ask::change("POST", "/v2/rules", body, &Script::key(1));
        id_of(&self.script.done(leader, &made).await?)
    }

    /// Has the draft answer otherwise.
    async fn mark(&self, leader: usize, rule: &str) -> Result<(), String> {
        let body = json!({"action": answer("second")});
        let change = Ask::change("PATCH", format!("/v2/rules/{rule}"), body, &Script::key(3));
        self.script.done(leader, &change).await?;
        Ok(())
    }

    /// Publishes through the leader, which is lost meanwhile; takes the route back to `first` through
    /// one that is left, and publishes again there under the same key. Tells what has to be served.
    async fn lose_and_take_back(&self, first: &Value) -> Result<&'static str, String> {
        let script = &self.script;
        let seed = script.fleet.options().seed;
        let leader = script.leader().await?;
        let others = script.others(leader);
        let publish = self.publish(4);
        let losing = async {
            sleep(Duration::from_millis(seed * 17 % UNDER_WAY_MS_MAX)).await;
            if seed.is_multiple_of(2) {
                script.crash(leader);
            } else {
                script.cut(leader, &others);
            }
        };
        let impatient = publish.clone().within(Duration::from_secs(2));
        let (early, ()) = futures_util::future::join(script.ask(leader, &impatient), losing).await;
        let lost = Instant::now();
        // Whoever leads next: one that lost power may do so again.
        let next = others[0];
        let body = json!({"snapshot_id": id_of(first)?});
        let path = format!("/v2/routes/{}/rollback", self.route);
        let roll_back = Ask::change("POST", path, body, &Script::key(5));
        let back = script.done(next, &roll_back).await?;
        if lost.elapsed() > ROLLED_BACK {
            return Err(format!("a rollback took {:?}", lost.elapsed()));
        }
        let again = script.done(others[1], &publish).await?;
        if !seed.is_multiple_of(2) {
            script.mend(leader, &others);
        }
        if let Ok(early) = early
            && early.status < 300
            && !early.body.contains(&id_of(&again)?)
        {
            return Err(format!("one key published {} and {again}", early.body));
        }
        self.expected(first, &back, &again)
    }

    /// Which of the two came last, by their versions: a rollback before the publication came through
    /// changes nothing.
    fn expected(
        &self,
        first: &Value,
        back: &Value,
        published: &Value,
    ) -> Result<&'static str, String> {
        let version = |snapshot: &Value| snapshot["version"].as_u64().unwrap_or_default();
        let (first, back, published) = (version(first), version(back), version(published));
        if first == 0 || back < first || published <= first || published == back {
            return Err(format!(
                "versions {first}, taken back as {back}, published as {published}"
            ));
        }
        self.script.tell(&format!(
            "version {first}, taken back as {back}, published as {published}"
        ));
        Ok(if published > back { "second" } else { "first" })
    }

    /// Waits until an edge serves this.
    async fn follows(&self, edge: usize, expected: &str) -> Result<(), String> {
        let deadline = Instant::now() + FOLLOWED;
        loop {
            let served = self.served(edge).await;
            if served.as_deref() == Some(expected) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "edge {edge} serves {served:?} and not {expected} after {FOLLOWED:?}"
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// No edge goes back to anything else.
    async fn stays(&self, expected: &str) -> Result<(), String> {
        for edge in (0..self.edges()).cycle().take(5 * self.edges()) {
            let served = self.served(edge).await;
            if served.as_deref() != Some(expected) {
                return Err(format!("edge {edge} served {expected} and then {served:?}"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn served(&self, edge: usize) -> Option<String> {
        self.script.served(edge, HOSTNAME, PATH).await
    }

    fn publish(&self, key: u64) -> Ask {
        let path = format!("/v2/routes/{}/publish", self.route);
        Ask::change("POST", path, json!({}), &Script::key(key))
    }
}

fn answer(token: &str) -> Value {
    json!({
        "type": "fixed_response", "status": 200,
        "headers": {"content-type": "text/plain"}, "body": token,
    })
}
