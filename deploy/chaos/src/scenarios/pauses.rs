//! A process that stands still and goes on, without knowing that it did.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::task::JoinSet;
use xtask::local::Name;

use super::{Stage, millis, rest, seconds};
use crate::findings::Findings;
use crate::load::evidence::Answer;
use crate::load::{Client, Load};
use crate::town::{READY_WITHIN, Town};

/// How many ask the old leader at once when it goes on.
const READERS: usize = 16;

/// P5: the leader, which is asked in the moment in which it goes on.
pub(super) async fn leader(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    rest(seconds(1)).await;
    let mut pauses = Vec::new();
    let mut answers = Vec::new();
    let lengths = stage.choose(&[1500, 2500, 4000][..], &[2_000, 10_000, 30_000]);
    for round in 0..stage.choose(3, 200) {
        let length = millis(lengths[round % lengths.len()]);
        let leader = town.leader().await?;
        pauses.push(load.now_us());
        let read = pause(&town, &load, leader, length).await?;
        stage.say(format_args!(
            "{leader} stood still for {} s; of {} reads there {} were answered",
            length.as_secs_f64(),
            read.len(),
            read.iter()
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count()
        ));
        answers.extend(read);
        town.wait_ready(leader, READY_WITHIN).await?;
        rest(millis(500)).await;
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &pauses);
    findings.gaps_at_most(seconds(3));
    let answered = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Done(_)))
        .count();
    findings.figure("direct reads of the old leader", answers.len());
    findings.figure("of them answered", answered);
    Ok(findings)
}

/// Pauses a node. Asks it for a rule that was renamed meanwhile: by requests that it finds when it goes on, and by others that
/// are sent in that moment. What they are told is judged with the rest of the load.
async fn pause(town: &Arc<Town>, load: &Load, node: Name, length: Duration) -> Result<Vec<Answer>> {
    let mut hand = load.client(town);
    let rule = hand.create().await.context("a rule to read was not made")?;
    let mut readers = Vec::new();
    for _ in 0..READERS * 2 {
        let mut reader = load.client(town);
        reader.connect(node).await;
        readers.push(reader);
    }
    town.signal(node, Signal::STOP)?;
    let paused = tokio::time::Instant::now();
    // Waits for the one that takes over, through another node, too.
    hand.go_to(other(town, node)?);
    hand.rename(&rule).await;
    tokio::time::sleep_until(paused + length).await;
    hand.rename(&rule).await;
    let waiting = readers.split_off(READERS);
    let mut reads = JoinSet::new();
    ask(&mut reads, waiting, node, &rule);
    // Long enough for the requests to lie in the node's sockets.
    rest(millis(50)).await;
    town.signal(node, Signal::CONT)?;
    ask(&mut reads, readers, node, &rule);
    Ok(reads.join_all().await)
}

fn ask(reads: &mut JoinSet<Answer>, readers: Vec<Client>, node: Name, rule: &str) {
    for mut reader in readers {
        let rule = rule.to_owned();
        reads.spawn(async move { reader.read_at(node, &rule).await });
    }
}

fn other(town: &Town, node: Name) -> Result<Name> {
    let mut others = town.nodes().filter(|other| *other != node);
    others.next().context("there is no other node")
}
