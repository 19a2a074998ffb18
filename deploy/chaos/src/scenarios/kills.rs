//! Processes that end: by `kill -9`, one or all of them, and in good order.

use std::time::Instant;

use anyhow::Result;
use rustix::process::Signal;
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::findings::{Findings, ms, quantile, sorted_ms};
use crate::load::Load;
use crate::town::READY_WITHIN;

/// P1: the leader, again and again.
pub(super) async fn leader(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    rest(seconds(1)).await;
    let mut kills = Vec::new();
    for number in 1..=stage.choose(5, 100) {
        let leader = town.leader().await?;
        kills.push(load.now_us());
        town.kill(leader)?;
        let gap = load.next_write(READY_WITHIN).await?;
        rest(stage.choose(millis(800), seconds(3))).await;
        town.start(leader)?;
        let back = town.wait_ready(leader, READY_WITHIN).await?;
        stage.say(format_args!(
            "kill {number}: {leader}; a new write after {}, back {} after its restart",
            ms(gap),
            ms(back)
        ));
        rest(stage.choose(millis(700), seconds(4))).await;
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &kills);
    findings.gaps_at_most(seconds(3));
    if stage.choose(false, true) {
        let (p50, p99) = (findings.gap(0.5), findings.gap(0.99));
        findings.in_time(p50 <= 1000.0, || format!("the gap's median is {p50:.0} ms"));
        findings.in_time(p99 <= 2000.0, || format!("the gap's p99 is {p99:.0} ms"));
    }
    findings.none_failed(&record);
    findings.retries_at_most(&record, 3);
    Ok(findings)
}

/// P2: all of them at once.
pub(super) async fn all(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    let nodes: Vec<Name> = town.nodes().collect();
    let mut kills = Vec::new();
    let mut served = Vec::new();
    for number in 1..=stage.choose(3, 20) {
        rest(millis(1500)).await;
        kills.push(load.now_us());
        town.kill_together(&nodes)?;
        let restarted = Instant::now();
        for node in &nodes {
            town.start(*node)?;
        }
        load.next_write(READY_WITHIN).await?;
        served.push(restarted.elapsed());
        stage.say(format_args!(
            "kill {number}: served again after {}",
            ms(restarted.elapsed())
        ));
    }
    town.bring_up(READY_WITHIN).await?;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &kills);
    let slowest = served.into_iter().max().unwrap_or_default();
    findings.at_most("served again after, at most", slowest, seconds(10));
    Ok(findings)
}

/// P4: each in turn, as for an upgrade.
pub(super) async fn rolling(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    let mut restarts = Vec::new();
    let mut codes = Vec::new();
    for _ in 0..stage.choose(1, 10) {
        // The leader among them, which has to hand over.
        for node in town.nodes() {
            rest(millis(1500)).await;
            restarts.push(load.now_us());
            let began = Instant::now();
            town.signal(node, Signal::TERM)?;
            let code = town.wait_ended(node, READY_WITHIN).await?;
            codes.push(code);
            let drained = began.elapsed();
            town.start(node)?;
            let back = town.wait_ready(node, READY_WITHIN).await?;
            stage.say(format_args!(
                "{node} drained within {}, back {} after its restart",
                ms(drained),
                ms(back)
            ));
        }
    }
    rest(seconds(1)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &restarts);
    let unclean = codes.iter().filter(|code| **code != Some(0)).count();
    findings.demand(unclean == 0, || format!("nodes ended with {codes:?}"));
    findings.none_failed(&record);
    // Where the machine is busy, a node may be answered too late to hand over in time, and clients meet an election.
    findings.retries_at_most(&record, 1);
    let latencies = sorted_ms(record.operations.iter().map(crate::load::Operation::took));
    let p99 = quantile(&latencies, 0.99);
    findings.figure("p99 of all operations", format!("{p99:.0} ms"));
    findings.in_time(p99 <= 1000.0, || {
        format!("the p99 of all operations is {p99:.0} ms")
    });
    Ok(findings)
}
