//! All nodes are restarted as for an upgrade, one after the other, the leader among them, each once the one before is ready again.
//! Whoever asks another node once where the first did not answer is answered: no request fails.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::sleep;

use super::script::rule;
use super::{Ask, Playing, Scenario, Script};
use crate::world::Order;

/// How many ask.
const WORKERS: u64 = 4;

/// Pause of each between two requests: together they stay below what a key may.
const PAUSE: Duration = Duration::from_millis(220);

/// By when a node that was told to stop has ended, and by when it is ready again.
const ENDED: Duration = Duration::from_secs(40);
const READY: Duration = Duration::from_secs(20);

/// How long whoever asks waits for an answer.
const PATIENCE: Duration = Duration::from_secs(12);

/// Rules of different workers have numbers of their own.
const NUMBERS: u64 = 5_000;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rolling-restart",
    tells: "nodes are restarted one after the other, and no request fails that is tried again once",
    shape: |_| (),
    play,
};

fn play(script: Script) -> Playing {
    Box::pin(async move {
        let route = script.route().await?;
        script.leader().await?;
        let over = Cell::new(false);
        let restarts = async {
            let restarted = restart_all(&script).await;
            over.set(true);
            restarted
        };
        let workers = (0..WORKERS).map(|worker| work(&script, &route, worker, &over));
        let (restarted, worked) = join(restarts, join_all(workers)).await;
        restarted?;
        let mut done = 0;
        for worked in worked {
            done += worked?;
        }
        script.tell(&format!("{done} requests were answered"));
        if done < 10 * WORKERS {
            return Err(format!("only {done} requests were made"));
        }
        Ok(())
    })
}

async fn restart_all(script: &Script) -> Result<(), String> {
    for index in 0..script.nodes() {
        sleep(PAUSE * 10).await;
        script.tell(&format!("node {} is told to stop", index + 1));
        script.fleet.order(index, Order::ShutDown);
        script
            .until("it ends", ENDED, || script.applied(index).is_none())
            .await?;
        script
            .until("it runs again", READY, || script.applied(index).is_some())
            .await?;
        let ready = Ask::get("/readyz");
        script.done(index, &ready).await?;
    }
    Ok(())
}

/// Makes rules through one node after the other, and says how many.
async fn work(script: &Script, route: &str, worker: u64, over: &Cell<bool>) -> Result<u64, String> {
    let nodes = script.nodes();
    let mut at = usize::try_from(worker).unwrap_or_default() % nodes;
    let mut done = 0;
    while !over.get() {
        let number = worker * NUMBERS + done;
        let body = rule(route, &format!("restarted {number}"), number);
        let write = Ask::change("POST", "/v2/rules", body, &Script::key(number)).within(PATIENCE);
        let first = script.ask(at, &write).await;
        if !is_done(&first) {
            let next = (at + 1) % nodes;
            let second = script.ask(next, &write).await;
            if !is_done(&second) {
                return Err(format!(
                    "a request failed twice: node {} gave {first:?}, node {} gave {second:?}",
                    at + 1,
                    next + 1
                ));
            }
            at = next;
        }
        done += 1;
        sleep(PAUSE).await;
    }
    Ok(done)
}

fn is_done<E>(answer: &Result<crate::http::Response, E>) -> bool {
    matches!(answer, Ok(answer) if (200..300).contains(&answer.status))
}
