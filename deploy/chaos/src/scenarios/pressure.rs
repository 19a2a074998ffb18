//! As many writes as the machine takes.

use anyhow::Result;

use super::{Stage, millis, rest, seconds};
use crate::findings::Findings;
use crate::load::{Load, Options};
use crate::town::Plan;

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
    rest(length).await;
    let entries = highest(&town).await.saturating_sub(before);
    let mut dead = Vec::new();
    for node in town.nodes() {
        if let Some(status) = town.ended(node)? {
            dead.push(format!("{node} ended ({status}): {}", town.log(node)));
        }
    }
    load.next_write(seconds(10)).await?;
    let mut lagging = Vec::new();
    let newest = highest(&town).await;
    for node in town.nodes() {
        if let Err(error) = town.wait_applied(node, newest, seconds(10)).await {
            lagging.push(format!("{error:#}"));
        }
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[began]);
    findings.violations.extend(dead);
    findings.violations.extend(lagging);
    findings.gaps_at_most(seconds(3));
    findings.figure("entries", entries);
    findings.figure("entries per second", entries / length.as_secs().max(1));
    findings.figure("checkpoints of each node", entries / every);
    findings.demand(entries >= 2 * every, || {
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
