//! A quorum that is gone for a while.

use std::time::Instant;

use anyhow::{Context as _, Result};
use xtask::local::Name;
use xtask::local::files::uuid;

use super::edges::away_for_long;
use super::{Stage, millis, rest, seconds};
use crate::client::Call;
use crate::findings::{Findings, ms};
use crate::load::{Load, upstream};
use crate::town::READY_WITHIN;

/// P26: all nodes but one are away.
pub(super) async fn lost(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start_with(&town, away_for_long()).await?;
    let rule = load
        .client(&town)
        .create()
        .await
        .context("no rule was made")?;
    rest(seconds(1)).await;
    let last = Name::node(1);
    let others: Vec<Name> = town.nodes().filter(|node| *node != last).collect();
    let lost = load.now_us();
    town.kill_together(&others)?;
    rest(seconds(1)).await;
    let path = format!("/v2/rules/{rule}");
    let mut wrong = Vec::new();
    let mut slowest = std::time::Duration::ZERO;
    // What the machine adds to any answer.
    let mut breath = std::time::Duration::ZERO;
    let mut ages = Vec::new();
    let until = Instant::now() + stage.choose(seconds(5), seconds(600));
    while Instant::now() < until {
        let write = Call::post("/v2/upstreams", &upstream(), &uuid()?);
        for call in [Call::get(&path), write] {
            let began = Instant::now();
            let asked = town
                .target()
                .call(town.http(last), &call, seconds(60))
                .await;
            slowest = slowest.max(began.elapsed());
            match asked {
                Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {}
                other => wrong.push(format!("without a quorum, {call:?} gave {other:?}")),
            }
        }
        breath = breath.max(town.breath(last).await.unwrap_or_default());
        let stale = Call::get(&path).stale();
        match town
            .target()
            .call(town.http(last), &stale, seconds(60))
            .await
        {
            Ok(answer) if answer.status == 200 => {
                let age = answer.header("vectorgate-staleness-ms").map(str::to_owned);
                ages.push(age.and_then(|age| age.parse::<u64>().ok()));
            }
            other => wrong.push(format!("without a quorum, a stale read gave {other:?}")),
        }
        rest(millis(100)).await;
    }
    let restarted = Instant::now();
    for node in &others {
        town.start(*node)?;
    }
    load.next_write(READY_WITHIN).await?;
    let recovered = restarted.elapsed();
    town.bring_up(READY_WITHIN).await?;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[lost]);
    findings.violations.append(&mut wrong);
    findings.figure("slowest 503", ms(slowest));
    findings.figure("stale reads", ages.len());
    findings.at_most("served again after", recovered, seconds(10));
    findings.in_time(slowest <= seconds(2) + breath, || {
        format!("a 503 took {}", ms(slowest))
    });
    let oldest = ages.iter().flatten().max().copied().unwrap_or_default();
    findings.figure("oldest stale read says", format!("{oldest} ms"));
    findings.demand(oldest >= 1000 && ages.iter().all(Option::is_some), || {
        format!("stale reads do not say how old they are: {ages:?}")
    });
    Ok(findings)
}
