//! Syncs that fail or take long.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::findings::{Findings, ms, quantile, sorted_ms};
use crate::load::evidence::{Answer, Attempt};
use crate::load::{Load, Record};
use crate::machine::tracer::{Fault, Tracer};
use crate::town::{POLL, READY_WITHIN, Town};

/// How much longer a slow sync takes.
const SLOW: Duration = Duration::from_millis(500);

/// A moment on the wall clock and in the load, to tell one from the other.
struct Moment {
    wall: SystemTime,
    us: u64,
}

impl Moment {
    fn now(load: &Load) -> Self {
        Self {
            wall: SystemTime::now(),
            us: load.now_us(),
        }
    }

    /// Microseconds of the load at a time of the wall clock.
    fn us_at(&self, wall: SystemTime) -> u64 {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        match wall.duration_since(self.wall) {
            Ok(later) => self.us + micros(later),
            Err(earlier) => self.us.saturating_sub(micros(earlier.duration())),
        }
    }
}

/// P10: one of the leader's fails.
pub(super) async fn failing(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    let mut failures = Vec::new();
    let mut violations = Vec::new();
    let mut late = Vec::new();
    let mut victims = Vec::new();
    for _ in 0..stage.choose(2, 20) {
        rest(seconds(1)).await;
        let leader = town.leader().await?;
        let moment = Moment::now(&load);
        let (failed, exited) = fail(&town, leader).await?;
        let failed_us = moment.us_at(failed);
        failures.push(failed_us);
        victims.push((leader, failed_us));
        let exit = exited.duration_since(failed).unwrap_or_default();
        let code = town.wait_ended(leader, seconds(1)).await?;
        if exit > seconds(1) || code != Some(74) {
            let said = format!(
                "{leader} ended with {code:?}, {} after its sync failed",
                ms(exit)
            );
            if code == Some(74) {
                late.push(said);
            } else {
                violations.push(said);
            }
        }
        let new = town.leader_but(Some(leader), READY_WITHIN).await?;
        town.start(leader)?;
        let back = town.wait_ready(leader, READY_WITHIN).await?;
        stage.say(format_args!(
            "{leader} ended {} after its sync failed; {new} leads; back {} after its restart",
            ms(exit),
            ms(back)
        ));
    }
    rest(millis(500)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &failures);
    findings.gaps_at_most(seconds(3));
    findings.violations.append(&mut violations);
    findings.late.append(&mut late);
    for (node, failed_us) in victims {
        let acknowledged = acknowledged_after(&record, node, failed_us);
        findings.demand(acknowledged == 0, || {
            format!("{node} acknowledged {acknowledged} writes that came after its sync had failed")
        });
    }
    Ok(findings)
}

/// Has a sync of a node's fail. Says when it failed, and when the node was gone.
async fn fail(town: &Town, node: Name) -> Result<(SystemTime, SystemTime)> {
    let notes = town.folder().root().join(format!("{node}.strace"));
    drop(std::fs::remove_file(&notes));
    let mut tracer = Tracer::attach(town.pid(node)?, Fault::Fail, &notes)?;
    let began = Instant::now();
    let failed = loop {
        if let Some(failed) = tracer.first_hit()? {
            break failed;
        }
        anyhow::ensure!(began.elapsed() < READY_WITHIN, "{node} syncs nothing");
        tokio::time::sleep(POLL).await;
    };
    town.wait_ended(node, READY_WITHIN).await?;
    Ok((failed, SystemTime::now()))
}

/// How many writes a node acknowledged that were sent to it in the half second after a moment, before it can have
/// been started again.
fn acknowledged_after(record: &Record, node: Name, after_us: u64) -> usize {
    let window = after_us..after_us + 500_000;
    let is_one = |attempt: &&Attempt| {
        attempt.node == node.number
            && attempt.asked.is_write()
            && window.contains(&attempt.sent_us)
            && matches!(attempt.answer, Answer::Done(_))
    };
    record.attempts.iter().filter(is_one).count()
}

/// P11: all of the leader's take long.
pub(super) async fn slow(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    rest(seconds(1)).await;
    let leader = town.leader().await?;
    let notes = town.folder().root().join("slow.strace");
    let began = load.now_us();
    let mut tracer = Tracer::attach(town.pid(leader)?, Fault::Delay(SLOW), &notes)?;
    let since = Instant::now();
    let length = stage.choose(seconds(12), seconds(60));
    let mut stepped_down = None;
    while since.elapsed() < length {
        if stepped_down.is_none()
            && let Some((now, _)) = town.current_leader().await
            && now != leader
        {
            stepped_down = Some(since.elapsed());
        }
        rest(millis(100)).await;
    }
    let hits = tracer.hits();
    tracer.first_hit()?.context("no sync was slow")?;
    drop(tracer);
    let ended = load.now_us();
    town.bring_up(READY_WITHIN).await?;
    rest(seconds(1)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[began]);
    let writes = record.operations.iter().filter(|done| done.write);
    let during = writes.filter(|done| (began..ended).contains(&done.began_us));
    let latencies = sorted_ms(during.map(crate::load::Operation::took));
    let p99 = quantile(&latencies, 0.99);
    findings.figure("slow syncs", hits);
    findings.figure("p99 of writes meanwhile", format!("{p99:.0} ms"));
    let told = stepped_down.map_or_else(
        || "never".to_owned(),
        |after| format!("after {}", ms(after)),
    );
    findings.figure("another node led", told);
    let is_quick = stepped_down.is_some_and(|after| after <= seconds(10)) || p99 <= 2000.0;
    findings.in_time(is_quick, || {
        format!("the leader stayed, and the p99 of writes is {p99:.0} ms")
    });
    Ok(findings)
}
