//! What publishes do to the requests of a route: the same load with and without them, in turn. A
//! request that fails fails the benchmark.

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

/// How many rules the route has at first. Each publish adds one.
const RULES: u64 = 1_000;

/// How long publishes are apart: what a busy team with a pipeline does, and more.
const INTERVAL: Duration = Duration::from_millis(250);

/// A round without publishes, and the next with them.
#[derive(Debug, Serialize)]
struct Pair {
    core: usize,
    quiet: Turn,
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
    let mut pairs = Vec::new();
    for core in 0..CORES {
        contender.pid.pin(core)?;
        for other in [ground.origin.pid()?, ground.node()?] {
            other.pin(CORES - 1 - core)?;
        }
        for _ in 0..options.rounds {
            let quiet = blocking(|| one(&contender, core))?;
            let before = changes.made;
            let (publishing, after) = while_publishing(changes, &contender, core).await?;
            changes = after;
            pairs.push(Pair {
                core,
                quiet,
                publishing,
                publishes: changes.made - before,
            });
        }
    }
    report(&pairs)
}

/// A turn during which the route is published over and over.
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

fn report(pairs: &[Pair]) -> Result<Value> {
    let publishes: u64 = pairs.iter().map(|pair| pair.publishes).sum();
    ensure!(publishes > 0, "nothing was published");
    let of = |figure: fn(&Turn) -> f64| {
        let quiet = median(pairs.iter().map(|pair| figure(&pair.quiet)).collect());
        let publishing = median(pairs.iter().map(|pair| figure(&pair.publishing)).collect());
        let ratios = pairs
            .iter()
            .map(|pair| figure(&pair.publishing) / figure(&pair.quiet));
        [quiet, publishing, median(ratios.collect())]
    };
    let mut table = Table::new(["", "requests/s", "p50 ms", "p99 ms"]);
    let [rate, p50, p99] = [
        of(|turn| turn.round.per_second),
        of(|turn| turn.round.p50_ms),
        of(|turn| turn.round.p99_ms),
    ];
    for (place, name) in ["quiet", "publishing", "ratio"].into_iter().enumerate() {
        let cells = [rate[place], p50[place], p99[place]].map(number);
        let [rate, p50, p99] = cells;
        table.row([name.to_owned(), rate, p50, p99]);
    }
    print!("\n{}", table.render());
    println!("{publishes} publishes of a route with more than {RULES} rules; no request failed");
    Ok(json!({
        "pairs": pairs,
        "publishes": publishes,
        "per_second_ratio": rate[2],
        "p99_ratio": p99[2],
    }))
}
