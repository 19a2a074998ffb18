//! `failover`: the leader is killed again and again while clients create rules through all nodes.
//! A client that hears nothing, or that the fate of its write is open, asks the next node with the
//! same idempotency key. Measured is the longest time without any acknowledged write after each
//! kill; at the end every rule that was asked for must be there exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use http::{Method, StatusCode};
use serde::Serialize;
use tokio::task::JoinSet;
use xtask::local::Name;
use xtask::local::files::uuid;
use xtask::local::process::End;

use super::{blocking, objects};
use crate::client::{RestClient, Target};
use crate::figures::{self, Table, median, number};
use crate::stage::{House, Stage};

/// A node that lives answers within ten seconds; a client is less patient, since asking another
/// node with the same key is safe.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Between attempts, so that a cluster without a leader is not flooded.
const PAUSE: Duration = Duration::from_millis(10);

/// A write that is not acknowledged by then ends the benchmark: the cluster has not recovered.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// How much is done.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// How often the leader is killed
    #[arg(long, default_value_t = 20)]
    pub kills: usize,
    /// Clients that create rules all the while
    #[arg(long, default_value_t = 16)]
    pub clients: usize,
    /// Seconds between a kill and the restart, and between that and the next kill
    #[arg(long, default_value_t = 3)]
    pub pause_seconds: u64,
}

/// What one kill did.
#[derive(Clone, Debug, Serialize)]
struct Kill {
    node: String,
    gap_ms: f64,
}

/// What is there at the end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Accounts {
    acknowledged: usize,
    present: usize,
    missing: usize,
    doubled: usize,
    not_asked_for: usize,
}

#[derive(Serialize)]
struct Rows {
    gap_p50_ms: f64,
    gap_max_ms: f64,
    kills: Vec<Kill>,
    accounts: Accounts,
}

/// A rule that the cluster said it has.
struct Acknowledged {
    rule_id: String,
    at: Instant,
}

/// Measures and reports.
///
/// # Errors
/// When the cluster does not recover, or a rule is missing or there twice.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    let folder = blocking(|| house.empty_folder("failover"))?;
    let stage = blocking(|| Stage::three_nodes(house, &folder))?;
    let mut client = stage.client().await?;
    let upstream_id = objects::upstream(&mut client).await?;
    let mut writers = JoinSet::new();
    let stop = Arc::new(AtomicBool::new(false));
    for number in 0..options.clients {
        let route_id = objects::route(
            &mut client,
            &format!("f{number}.bench.example"),
            &upstream_id,
        )
        .await?;
        let writer = Writer::new(
            stage.target().clone(),
            number,
            route_id,
            upstream_id.clone(),
        );
        writers.spawn(writer.write_until(Arc::clone(&stop)));
    }
    println!(
        "{} clients create rules; the leader is killed {} times",
        options.clients, options.kills
    );
    let kills = kill_leaders(&stage, options).await?;
    stop.store(true, Ordering::Relaxed);
    let acknowledged = collect(writers).await?;
    let kills = gaps(&kills, &acknowledged);
    let accounts = account(&stage, &acknowledged).await?;
    report(house, options, kills, accounts)
}

async fn kill_leaders(stage: &Stage, options: &Options) -> Result<Vec<(Name, Instant)>> {
    let pause = Duration::from_secs(options.pause_seconds);
    let mut kills = Vec::new();
    tokio::time::sleep(pause).await;
    for number in 1..=options.kills {
        let leader = blocking(|| stage.cluster().leader())?;
        blocking(|| stage.cluster().stop(leader, End::Killed))?;
        kills.push((leader, Instant::now()));
        tokio::time::sleep(pause).await;
        blocking(|| stage.cluster().start(leader))?;
        let ready = blocking(|| stage.cluster().wait_ready(leader))?;
        println!(
            "kill {number}: {leader}, ready again {} ms after its restart",
            ready.as_millis()
        );
        tokio::time::sleep(pause).await;
    }
    Ok(kills)
}

/// A client that creates rules in a route of its own.
struct Writer {
    target: Target,
    number: usize,
    route_id: String,
    upstream_id: String,
    node: usize,
    connection: Option<RestClient>,
}

impl Writer {
    fn new(target: Target, number: usize, route_id: String, upstream_id: String) -> Self {
        Self {
            target,
            number,
            route_id,
            upstream_id,
            node: number,
            connection: None,
        }
    }

    async fn write_until(mut self, stop: Arc<AtomicBool>) -> Result<Vec<Acknowledged>> {
        let mut acknowledged = Vec::new();
        for count in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            acknowledged.push(self.create(count).await?);
        }
        Ok(acknowledged)
    }

    async fn create(&mut self, count: u64) -> Result<Acknowledged> {
        let name = format!("client-{}-rule-{count}", self.number);
        let body = objects::rule_body(&self.route_id, &self.upstream_id, count, &name);
        let key = uuid()?;
        let began = Instant::now();
        let mut last = String::new();
        while began.elapsed() < WRITE_DEADLINE {
            match tokio::time::timeout(ATTEMPT, self.attempt(&body, &key)).await {
                Ok(Ok(Some(rule_id))) => {
                    return Ok(Acknowledged {
                        rule_id,
                        at: Instant::now(),
                    });
                }
                Ok(Ok(None)) => "the cluster was not available".clone_into(&mut last),
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(_) => "no answer".clone_into(&mut last),
            }
            self.connection = None;
            self.node += 1;
            tokio::time::sleep(PAUSE).await;
        }
        bail!(
            "rule {name} was not acknowledged within {} s; last: {last}",
            WRITE_DEADLINE.as_secs()
        )
    }

    /// The rule's id, or `None` when another node should be asked.
    async fn attempt(&mut self, body: &bytes::Bytes, key: &str) -> Result<Option<String>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.target.client(self.node).await?),
        };
        let answer = connection
            .send(Method::POST, "/v2/rules", body.clone(), Some(key))
            .await?;
        match answer.status() {
            StatusCode::CREATED => objects::id(&serde_json::from_slice(answer.body())?).map(Some),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT => Ok(None),
            status => bail!(
                "a rule was refused: {status} {}",
                String::from_utf8_lossy(answer.body())
            ),
        }
    }
}

async fn collect(mut writers: JoinSet<Result<Vec<Acknowledged>>>) -> Result<Vec<Acknowledged>> {
    let mut all = Vec::new();
    while let Some(ended) = writers.join_next().await {
        all.extend(ended.context("a client panicked")??);
    }
    all.sort_by_key(|acknowledged| acknowledged.at);
    Ok(all)
}

/// For each kill, the longest time between two acknowledgements, from the last one before it to the
/// first one after the next kill.
fn gaps(kills: &[(Name, Instant)], acknowledged: &[Acknowledged]) -> Vec<Kill> {
    let times: Vec<Instant> = acknowledged
        .iter()
        .map(|acknowledged| acknowledged.at)
        .collect();
    let gap = |index: usize| {
        let from = times
            .partition_point(|at| *at < kills[index].1)
            .saturating_sub(1);
        let to = kills.get(index + 1).map_or(times.len(), |(_, next)| {
            times.partition_point(|at| at < next)
        });
        let window = times.get(from..to).unwrap_or_default();
        window
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or_default()
    };
    let kill = |(index, (node, _)): (usize, &(Name, Instant))| Kill {
        node: node.to_string(),
        gap_ms: gap(index).as_secs_f64() * 1000.0,
    };
    kills.iter().enumerate().map(kill).collect()
}

/// Compares what was acknowledged with what is there.
async fn account(stage: &Stage, acknowledged: &[Acknowledged]) -> Result<Accounts> {
    let mut client = stage.client().await?;
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut present: BTreeMap<String, ()> = BTreeMap::new();
    let mut path = "/v2/rules?limit=100".to_owned();
    loop {
        let page = client.get(&path).await?;
        for rule in page["data"].as_array().context("a page without data")? {
            *names
                .entry(rule["name"].as_str().unwrap_or_default().to_owned())
                .or_default() += 1;
            present.insert(objects::id(rule)?, ());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v2/rules?limit=100&cursor={cursor}");
    }
    let missing = acknowledged
        .iter()
        .filter(|rule| !present.contains_key(&rule.rule_id))
        .count();
    Ok(Accounts {
        acknowledged: acknowledged.len(),
        present: present.len(),
        missing,
        doubled: names.values().filter(|count| **count > 1).count(),
        not_asked_for: (present.len() + missing).saturating_sub(acknowledged.len()),
    })
}

fn report(house: &House, options: &Options, kills: Vec<Kill>, accounts: Accounts) -> Result<()> {
    let gaps: Vec<f64> = kills.iter().map(|kill| kill.gap_ms).collect();
    let gap_max_ms = gaps.iter().copied().fold(0.0, f64::max);
    let rows = Rows {
        gap_p50_ms: median(gaps),
        gap_max_ms,
        kills,
        accounts,
    };
    let mut table = Table::new(["write gap after the leader's death", "ms"]);
    table.row(["p50".to_owned(), number(rows.gap_p50_ms)]);
    table.row(["max".to_owned(), number(rows.gap_max_ms)]);
    print!("\n{}", table.render());
    let Accounts {
        acknowledged,
        present,
        missing,
        doubled,
        not_asked_for,
    } = accounts;
    println!(
        "\n{acknowledged} rules acknowledged, {present} present: {missing} missing, {doubled} doubled"
    );
    figures::write(&house.figures("failover"), "failover", options, &rows)?;
    if missing + doubled + not_asked_for > 0 {
        bail!("the cluster does not hold exactly what it acknowledged: {accounts:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_the_longest_silence_from_before_a_kill_to_the_next() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let acknowledged: Vec<Acknowledged> = [0, 10, 500, 510, 1000, 1300]
            .map(|ms| Acknowledged {
                rule_id: String::new(),
                at: at(ms),
            })
            .into_iter()
            .collect();
        let kills = [(Name::node(1), at(20)), (Name::node(2), at(1010))];
        let gaps: Vec<f64> = gaps(&kills, &acknowledged)
            .iter()
            .map(|kill| kill.gap_ms)
            .collect();
        assert_eq!(gaps, [490.0, 300.0]);
    }
}
