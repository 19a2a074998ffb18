//! Disks that fill up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::blocking;
use crate::findings::{Findings, ms};
use crate::load::{Load, Options};
use crate::town::{READY_WITHIN, Town};

/// How long a node may go on with what room it has left. RocksDB takes room for a log
/// file, some 17 MB, before it needs it.
const NOTICED_WITHIN: Duration = seconds(240);

/// How soon it should serve once its disk is free.
const SERVES_WITHIN: Duration = seconds(30);

/// How often the node is started while its disk is still full, as a supervisor would.
const RESTARTS: usize = 3;

/// The exit code for a disk that refuses.
const IO_ERROR: Option<i32> = Some(74);

/// P9: a follower's, then the leader's.
pub(super) async fn both(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    // Rules of some size, so that the room that RocksDB took before is soon used up.
    let options = Options {
        padding: 60_000,
        creations: 100,
        ..Options::default()
    };
    let load = Load::start_with(&town, options).await?;
    rest(millis(500)).await;
    let mut full = Vec::new();
    let mut violations = Vec::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..stage.choose(1, 5) {
        for victim in [town.follower().await?, town.leader().await?] {
            full.push(load.now_us());
            let served = fill(stage, &town, victim, &mut violations).await?;
            slowest = slowest.max(served);
            rest(millis(500)).await;
        }
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &full);
    findings.violations.append(&mut violations);
    findings.gaps_at_most(seconds(3));
    findings.at_most(
        "served after its disk was freed, at most",
        slowest,
        SERVES_WITHIN,
    );
    Ok(findings)
}

/// Fills a node's disk, waits for it to leave, starts it in vain, frees the disk and has it back. Says how long that last
/// took.
async fn fill(
    stage: &Stage,
    town: &Arc<Town>,
    node: Name,
    violations: &mut Vec<String>,
) -> Result<Duration> {
    let disk = town.disk(node)?;
    let began = Instant::now();
    blocking(|| disk.fill())?;
    let mut code = town.wait_ended(node, NOTICED_WITHIN).await?;
    let left_after = began.elapsed();
    let reason = town.log(node);
    if !reason.contains("No space left on device") {
        violations.push(format!(
            "{node} does not say that its disk is full: {reason}"
        ));
    }
    for _ in 0..RESTARTS {
        if code != IO_ERROR {
            violations.push(format!(
                "{node} ended with {code:?} on a full disk: {}",
                town.log(node)
            ));
        }
        rest(millis(300)).await;
        town.start(node)?;
        code = match town.wait_ended(node, seconds(3)).await {
            Ok(code) => code,
            // It can be that it needs no room at first.
            Err(_) => break,
        };
    }
    blocking(|| disk.free())?;
    let freed = Instant::now();
    // A supervisor goes on trying.
    while !town.is_running(node)? || !town.standing(node).await.is_some_and(|now| now.ready) {
        town.start(node)?;
        anyhow::ensure!(
            freed.elapsed() < READY_WITHIN,
            "{node} does not serve after its disk was freed: {}",
            town.log(node)
        );
        rest(millis(100)).await;
    }
    let served = freed.elapsed();
    stage.say(format_args!(
        "{node} left {} after its disk was full, served {} after it was freed",
        ms(left_after),
        ms(served)
    ));
    Ok(served)
}
