//! Edges without nodes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::task::JoinHandle;
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::client::through_edge;
use crate::findings::{Findings, ms};
use crate::load::{HOSTNAME, Load, Options, Signpost};
use crate::town::{POLL, Plan, READY_WITHIN, Town};

/// How long a request through an edge may take.
const ANSWER: Duration = Duration::from_secs(10);

/// P20: they are restarted while all nodes are away.
pub(super) async fn alone(stage: &Stage) -> Result<Findings> {
    let plan = Plan {
        edges: stage.choose(2, 3),
        ..Plan::nodes(stage.nodes())
    };
    let town = stage.town_of(&plan).await?;
    let load = Load::start_with(&town, away_for_long()).await?;
    let signpost = Signpost::make(&town).await?;
    signpost.publish(&town, "first").await?;
    for edge in town.edges() {
        town.wait_ready(edge, READY_WITHIN).await?;
        wait_for(&town, edge, "first", READY_WITHIN).await?;
    }
    let visitors = Visitors::start(&town);
    let nodes: Vec<Name> = town.nodes().collect();
    let away = load.now_us();
    town.kill_together(&nodes)?;
    let since = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut restarts = 0;
    while since.elapsed() < stage.choose(seconds(5), seconds(600)) {
        for edge in town.edges() {
            town.signal(edge, Signal::TERM)?;
            town.wait_ended(edge, READY_WITHIN).await?;
            town.start(edge)?;
            let served = wait_for(&town, edge, "first", READY_WITHIN).await?;
            slowest = slowest.max(served);
            restarts += 1;
            rest(millis(500)).await;
        }
    }
    stage.say(format_args!(
        "{restarts} restarts of edges without any node, served after {} at most",
        ms(slowest)
    ));
    for node in &nodes {
        town.start(*node)?;
    }
    load.next_write(READY_WITHIN).await?;
    town.bring_up(READY_WITHIN).await?;
    signpost.publish(&town, "second").await?;
    let mut followed = Duration::ZERO;
    for edge in town.edges() {
        followed = followed.max(wait_for(&town, edge, "second", READY_WITHIN).await?);
    }
    let visits = visitors.stop().await?;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[away]);
    findings.faults = restarts;
    findings.at_most(
        "restart of an edge to its first answer, at most",
        slowest,
        seconds(2),
    );
    // An edge that found nobody for a while looks again after ten seconds at most.
    findings.at_most(
        "publication after the nodes' return at edges within",
        followed,
        seconds(12),
    );
    findings.figure("requests through edges", visits.answered);
    findings.demand(visits.answered > 0, || {
        "no request got through an edge".to_owned()
    });
    findings.violations.extend(visits.wrong);
    Ok(findings)
}

/// Clients that do not give up while there is no quorum.
pub(super) fn away_for_long() -> Options {
    Options {
        gives_up: seconds(1200),
        ..Options::default()
    }
}

/// Waits until an edge answers with a text. Says how long that took, from the edge's start if it was just started.
async fn wait_for(town: &Town, edge: Name, text: &str, within: Duration) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let answered = through_edge(town.http(edge), HOSTNAME, ANSWER).await;
        if let Ok(answer) = &answered
            && answer.status == 200
            && answer.body == text
        {
            return Ok(began.elapsed());
        }
        anyhow::ensure!(
            began.elapsed() < within,
            "{edge} does not serve `{text}` after {}: {answered:?}\n{}",
            ms(within),
            town.log(edge)
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Those who send requests through edges all the while.
struct Visitors {
    stop: Arc<AtomicBool>,
    tasks: BTreeMap<Name, JoinHandle<Visits>>,
}

/// What they got.
#[derive(Debug, Default)]
struct Visits {
    answered: usize,
    wrong: Vec<String>,
}

impl Visitors {
    fn start(town: &Town) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let visit_edge = |edge| {
            let task = tokio::spawn(visit(edge, town.http(edge), Arc::clone(&stop)));
            (edge, task)
        };
        Self {
            tasks: town.edges().map(visit_edge).collect(),
            stop,
        }
    }

    async fn stop(self) -> Result<Visits> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Visits::default();
        for task in self.tasks.into_values() {
            let visits = task.await.context("a visitor panicked")?;
            all.answered += visits.answered;
            all.wrong.extend(visits.wrong);
        }
        Ok(all)
    }
}

/// An edge that is down refuses connections, and breaks those that it had; whatever it answers is the published text.
async fn visit(edge: Name, address: SocketAddr, stop: Arc<AtomicBool>) -> Visits {
    let mut visits = Visits::default();
    while !stop.load(Ordering::SeqCst) {
        if let Ok(answer) = through_edge(address, HOSTNAME, ANSWER).await {
            visits.answered += 1;
            let is_ours = answer.body == "first" || answer.body == "second";
            if answer.status != 200 || !is_ours {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                visits
                    .wrong
                    .push(format!("{edge} answered {} {body}", answer.status));
            }
        }
        rest(millis(20)).await;
    }
    visits
}
