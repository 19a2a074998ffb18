//! Networks that lose packets: all between some hosts, those of one direction, some everywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use xtask::local::Name;
use xtask::local::files::uuid;

use super::{Stage, millis, rest, seconds};
use crate::blocking;
use crate::client::{Answer, Call, Failure};
use crate::findings::{Findings, ms};
use crate::load::{Load, Options, upstream};
use crate::machine::namespaces;
use crate::town::{READY_WITHIN, Town};

/// Within this a node without a quorum says so.
const SAYS_SO_WITHIN: Duration = Duration::from_secs(2);

/// How long after the cut the leader may still take itself for one: its lease, and what it has begun by then.
const LEASE: Duration = Duration::from_millis(1000);

/// For answers that take too long to be told from none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the packets of each host.
const LOSS_PERCENT: u8 = 30;

/// P6: the leader is cut off from all other nodes; clients still reach it.
pub(super) async fn minority(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    let rule = load.client(&town).create().await.unwrap_or_default();
    rest(seconds(1)).await;
    let mut cuts = Vec::new();
    let mut told = Told::default();
    for _ in 0..stage.choose(2, 10) {
        let leader = town.leader().await?;
        cuts.push(load.now_us());
        town.isolate(leader, town.nodes())?;
        rest(LEASE).await;
        let asked = ask(&town, leader, &rule, stage.choose(10, 50)).await?;
        let new = town.leader_but(Some(leader), READY_WITHIN).await?;
        stage.say(format_args!(
            "{leader} cut off, {new} leads; {} answers of {leader}, the last within {}",
            asked.count,
            ms(asked.slowest)
        ));
        told = told.and(asked);
        town.heal()?;
        town.bring_up(READY_WITHIN).await?;
        rest(millis(500)).await;
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &cuts);
    findings.gaps_at_most(seconds(3));
    findings.figure("answers of the leader cut off", told.count);
    findings.figure("the slowest of them", ms(told.slowest));
    findings.figure("to say that it is alive, at most", ms(told.breath));
    findings.in_time(told.slowest <= SAYS_SO_WITHIN + told.breath, || {
        format!("the leader cut off took {} to say so", ms(told.slowest))
    });
    findings.violations.extend(told.wrong);
    Ok(findings)
}

/// What a node without a quorum answered.
#[derive(Debug, Default)]
struct Told {
    count: usize,
    slowest: Duration,
    /// The longest that it took for an answer that needs nothing: the machine's part in the others.
    breath: Duration,
    wrong: Vec<String>,
}

impl Told {
    fn and(mut self, other: Self) -> Self {
        self.count += other.count;
        self.slowest = self.slowest.max(other.slowest);
        self.breath = self.breath.max(other.breath);
        self.wrong.extend(other.wrong);
        self
    }

    fn add(&mut self, took: Duration, answered: Result<Answer, Failure>) {
        self.count += 1;
        self.slowest = self.slowest.max(took);
        match answered {
            Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {}
            Ok(answer) => self.wrong.push(format!(
                "a node without a quorum answered {} {}, Retry-After {:?}",
                answer.status,
                answer.error_code(),
                answer.header("retry-after")
            )),
            Err(failure) => self.wrong.push(format!(
                "a node without a quorum did not answer: {failure:?}"
            )),
        }
    }
}

/// Asks a node for reads and writes, at the same time.
async fn ask(town: &Arc<Town>, node: Name, rule: &str, times: usize) -> Result<Told> {
    let mut asking = JoinSet::new();
    let mut breath = Duration::ZERO;
    for _ in 0..times {
        let read = Call::get(format!("/v2/rules/{rule}"));
        let write = Call::post("/v2/upstreams", &upstream(), &uuid()?);
        for call in [read, write] {
            let town = Arc::clone(town);
            asking.spawn(async move {
                let began = Instant::now();
                let answered = town.target().call(town.http(node), &call, PATIENCE).await;
                (began.elapsed(), answered)
            });
        }
        breath = breath.max(town.breath(node).await.unwrap_or_default());
        rest(millis(100)).await;
    }
    let mut told = Told {
        breath,
        ..Told::default()
    };
    for (took, answered) in asking.join_all().await {
        told.add(took, answered);
    }
    Ok(told)
}

/// P7: each pair of nodes, in each direction.
pub(super) async fn one_way(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let load = Load::start(&town).await?;
    rest(millis(500)).await;
    let mut cuts = Vec::new();
    let mut most = 0;
    let mut restless = Vec::new();
    for from in town.nodes() {
        for to in town.nodes().filter(|to| *to != from) {
            let before = term(&town).await;
            let leader = town.leader().await?;
            cuts.push(load.now_us());
            town.cut(from, to)?;
            rest(stage.choose(seconds(3), seconds(60))).await;
            let elections = term(&town).await.saturating_sub(before);
            town.heal()?;
            most = most.max(elections);
            if elections > 2 {
                restless.push(format!("{from} to {to}: {elections} elections"));
            }
            stage.say(format_args!(
                "nothing from {from} to {to} while {leader} led: {elections} elections"
            ));
            town.bring_up(READY_WITHIN).await?;
        }
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &cuts);
    findings.gaps_at_most(seconds(5));
    findings.figure("elections during a cut, at most", most);
    findings.late.extend(restless);
    Ok(findings)
}

/// The highest term that a node tells of.
async fn term(town: &Town) -> u64 {
    let mut highest = 0;
    for node in town.nodes() {
        let standing = town.standing(node).await;
        highest = highest.max(standing.map_or(0, |standing| standing.term));
    }
    highest
}

/// P8: every host loses packets that are sent to it.
pub(super) async fn lossy(stage: &Stage) -> Result<Findings> {
    let town = stage.town().await?;
    let options = Options {
        patience: seconds(5),
        ..Options::default()
    };
    let load = Load::start_with(&town, options).await?;
    rest(millis(500)).await;
    let began = load.now_us();
    blocking(|| {
        let mut nodes = town.nodes();
        nodes.try_for_each(|node| namespaces::lose(&node.to_string(), LOSS_PERCENT))?;
        namespaces::lose(namespaces::CLIENT, LOSS_PERCENT)
    })?;
    rest(stage.choose(seconds(15), seconds(600))).await;
    let ended = load.now_us();
    town.heal()?;
    town.bring_up(READY_WITHIN).await?;
    rest(seconds(1)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[began]);
    let during = record
        .operations
        .iter()
        .filter(|operation| (began..ended).contains(&operation.began_us));
    let (good, all) = during.fold((0, 0), |(good, all), operation| {
        let is_good = operation.done && operation.took() <= seconds(30);
        (good + usize::from(is_good), all + 1)
    });
    findings.none_failed(&record);
    findings.figure("operations begun meanwhile", all);
    findings.figure("of them answered within 30 s", good);
    findings.demand(all > 0, || "no operation was begun".to_owned());
    findings.in_time(good * 100 >= all * 99, || {
        format!("{good} of {all} operations succeeded")
    });
    Ok(findings)
}
