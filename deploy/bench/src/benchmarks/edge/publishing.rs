//! What publishes do to the requests of a route: the same load in peace, with publishes that the edge
//! does not follow, and with publishes of the route, in turn. A request that fails fails the benchmark.
//!
//! Node, origin and load share the core that the edge does not have, so whatever the node does for a
//! publish delays the load as well. The publishes elsewhere show how much of the whole that is; what they
//! cost beyond it is the edge's part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::Options;
use super::ground::{Changes, Ground};
use super::turns::{CORES, Contender, Turn, one};
use crate::benchmarks::blocking;
use crate::figures::{Table, median, number};
use crate::tools::{Load, Shape};

const HOST: &str = "publishing.bench.example";
const HOST_ELSEWHERE: &str = "elsewhere.bench.example";

/// How many rules the route has at first. Each publish adds one.
const RULES: u64 = 1_000;

/// How long publishes are apart: what a busy team with a pipeline does, and more.
const INTERVAL: Duration = Duration::from_millis(250);

/// The three turns of a round.
#[derive(Debug, Serialize)]
struct Turns {
    core: usize,
    quiet: Turn,
    elsewhere: Turn,
    publishing: Turn,
    publishes: u64,
}

/// Measures.
pub(super) async fn measure(ground: &mut Ground, options: &Options) -> Result<Value> {
    let upstream = ground.upstream_id.clone();
    let route_id = ground.route(HOST, &upstream, RULES).await?;
    let contender = Contender {
        name: "VectorGate".to_owned(),
        pid: ground.edge()?,
        load: Load {
            address: ground.address()?,
            host: HOST,
            length: Duration::from_secs(options.seconds),
            core: 0,
            shape: Shape::Http1 {
                connections: options.connections,
            },
        },
    };
    let mut changes = ground.changes(route_id, RULES).await?;
    let mut others = ground.changes_elsewhere(HOST_ELSEWHERE, RULES).await?;
    let mut rounds = Vec::new();
    for core in 0..CORES {
        contender.pid.pin(core)?;
        for other in [ground.origin.pid()?, ground.node()?] {
            other.pin(CORES - 1 - core)?;
        }
        for _ in 0..options.rounds {
            let quiet = blocking(|| one(&contender, core))?;
            let (elsewhere, after) = while_publishing(others, &contender, core).await?;
            others = after;
            let before = changes.made;
            let (publishing, after) = while_publishing(changes, &contender, core).await?;
            changes = after;
            rounds.push(Turns {
                core,
                quiet,
                elsewhere,
                publishing,
                publishes: changes.made - before,
            });
        }
    }
    report(&rounds)
}

/// A turn during which a route is published over and over.
async fn while_publishing(
    mut changes: Changes,
    contender: &Contender<'_>,
    core: usize,
) -> Result<(Turn, Changes)> {
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let publisher = tokio::spawn(async move {
        while !is_over.load(Ordering::Relaxed) {
            changes.publish_one().await?;
            tokio::time::sleep(INTERVAL).await;
        }
        anyhow::Ok(changes)
    });
    let turn = blocking(|| one(contender, core));
    over.store(true, Ordering::Relaxed);
    let changes = publisher.await.context("the publisher panicked")??;
    Ok((turn?, changes))
}

/// One of a round's turns.
type Which = fn(&Turns) -> &Turn;

fn report(rounds: &[Turns]) -> Result<Value> {
    let publishes: u64 = rounds.iter().map(|round| round.publishes).sum();
    ensure!(publishes > 0, "nothing was published");
    let arms: [(&str, Which); 3] = [
        ("quiet", |round| &round.quiet),
        ("published elsewhere", |round| &round.elsewhere),
        ("published here", |round| &round.publishing),
    ];
    let mut table = Table::new(["", "requests/s", "p50 ms", "p99 ms"]);
    for (name, turn) in arms {
        let of = |figure: fn(&Turn) -> f64| {
            number(median(
                rounds.iter().map(|round| figure(turn(round))).collect(),
            ))
        };
        table.row([
            name.to_owned(),
            of(|turn| turn.round.per_second),
            of(|turn| turn.round.p50_ms),
            of(|turn| turn.round.p99_ms),
        ]);
    }
    print!("\n{}", table.render());
    let ratio = |than: Which, figure: fn(&Turn) -> f64| {
        let ratios = rounds
            .iter()
            .map(|round| figure(&round.publishing) / figure(than(round)));
        median(ratios.collect())
    };
    let p99 = |turn: &Turn| turn.round.p99_ms;
    let of_elsewhere = ratio(|round| &round.elsewhere, p99);
    let of_quiet = ratio(|round| &round.quiet, p99);
    println!(
        "p99 {} of that with the same publishes elsewhere, {} of that in peace (medians of {} rounds)",
        number(of_elsewhere),
        number(of_quiet),
        rounds.len(),
    );
    println!("{publishes} publishes of a route with more than {RULES} rules; no request failed");
    Ok(json!({
        "rounds": rounds,
        "publishes": publishes,
        "per_second_ratio": ratio(|round| &round.elsewhere, |turn| turn.round.per_second),
        "p99_ratio": of_elsewhere,
        "p99_ratio_to_quiet": of_quiet,
    }))
}
