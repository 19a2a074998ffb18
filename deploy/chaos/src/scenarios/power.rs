//! Power cuts: what was not synced is gone.

use std::time::Instant;

use anyhow::Result;
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::findings::{Findings, ms};
use crate::load::Load;
use crate::town::READY_WITHIN;

/// P3: one node after the other, then all at once.
pub(super) async fn cuts(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    let nodes: Vec<Name> = town.nodes().collect();
    let mut cuts = Vec::new();
    let mut longest = std::time::Duration::ZERO;
    let singles = nodes.iter().cycle().take(stage.choose(4, 50));
    let rounds = singles.map(|node| vec![*node]);
    let together = (0..stage.choose(2, 10)).map(|_| nodes.clone());
    for victims in rounds.chain(together) {
        rest(millis(1000)).await;
        cuts.push(load.now_us());
        town.cut_power(&victims)?;
        let restarted = Instant::now();
        for node in &victims {
            town.start(*node)?;
        }
        for node in &victims {
            // Without a hand.
            town.wait_ready(*node, READY_WITHIN).await?;
        }
        longest = longest.max(restarted.elapsed());
        let names: Vec<String> = victims.iter().map(ToString::to_string).collect();
        stage.say(format_args!(
            "{}: back after {}",
            names.join(", "),
            ms(restarted.elapsed())
        ));
    }
    rest(millis(500)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &cuts);
    findings.at_most("ready again after, at most", longest, seconds(10));
    Ok(findings)
}
