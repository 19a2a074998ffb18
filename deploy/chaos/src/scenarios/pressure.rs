//! As many writes as the machine takes.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Stage, millis, rest, seconds};
use crate::findings::Findings;
use crate::load::{Load, Options};
use crate::town::{Plan, READY_WITHIN};

/// How long is waited for enough entries.
const ENOUGH_WITHIN: Duration = seconds(120);

/// P25: with checkpoints every few seconds, and a log that is purged behind them.
pub(super) async fn writes(stage: &Stage) -> Result<Findings> {
    // How many entries the short form makes depends on the machine, and it has to purge some, too.
    let every = stage.choose(1_000, 5_000);
    let plan = Plan {
        checkpoints: Some((every, stage.choose(2_000, 100_000))),
        disk_bytes: 16 << 30,
        ..Plan::nodes(stage.nodes())
    };
    let town = stage.town_of(&plan).await?;
    let options = Options {
        clients: 64,
        pause: millis(0),
        reads: 2,
        // Lists at the end stay short.
        creations: 4,
        patience: seconds(10),
        ..Options::default()
    };
    let load = Load::start_with(&town, options).await?;
    let began = load.now_us();
    let before = highest(&town).await;
    let length = stage.choose(seconds(20), seconds(1800));
    let since = Instant::now();
    // As long as it takes for some checkpoints, where the machine is busy.
    let mut entries = 0;
    while since.elapsed() < length || (entries < 3 * every && since.elapsed() < ENOUGH_WITHIN) {
        rest(millis(500)).await;
        entries = highest(&town).await.saturating_sub(before);
    }
    let took = since.elapsed();
    let mut dead = Vec::new();
    for node in town.nodes() {
        if let Some(status) = town.ended(node)? {
            dead.push(format!("{node} ended ({status}): {}", town.log(node)));
        }
    }
    load.next_write(READY_WITHIN).await?;
    let mut lagging = Vec::new();
    let newest = highest(&town).await;
    let reached = Instant::now();
    for node in town.nodes() {
        if let Err(error) = town.wait_applied(node, newest, READY_WITHIN).await {
            lagging.push(format!("{error:#}"));
        }
    }
    let reached = reached.elapsed();
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[began]);
    findings.violations.extend(dead);
    findings.violations.extend(lagging);
    findings.gaps_at_most(seconds(3));
    findings.figure("entries", entries);
    findings.at_most("the last node had all of them after", reached, seconds(10));
    findings.figure("entries per second", entries / took.as_secs().max(1));
    findings.figure("checkpoints of each node", entries / every);
    findings.in_time(entries >= 2 * every, || {
        format!("only {entries} entries were made, which is not much of a load")
    });
    Ok(findings)
}

/// The highest revision that a node has applied.
async fn highest(town: &crate::town::Town) -> u64 {
    let mut highest = 0;
    for node in town.nodes() {
        let standing = town.standing(node).await;
        highest = highest.max(standing.map_or(0, |standing| standing.applied));
    }
    highest
}
