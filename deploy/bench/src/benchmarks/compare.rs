//! VectorGate and another system under the same load: as many clients on either, each with a
//! connection of its own, clients spread over all members; rounds of either in turn, and the median
//! of each figure.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::figures::{Table, median, median_round, number};
use crate::load::{Client, Round, run};

/// Before a number of clients is measured, either system takes its load for so long uncounted.
const WARM_UP: Duration = Duration::from_millis(500);

/// How much is measured.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    pub clients: Vec<usize>,
    /// Rounds of either system, in turn; the median counts
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
}

/// The figures for a number of clients.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How many.
    pub clients: usize,
    /// Of us.
    pub vectorgate: Round,
    /// Of the other system.
    pub other: Round,
    /// The median over the rounds of our requests per second by the other's.
    pub ratio: f64,
    /// Every round of us.
    pub vectorgate_rounds: Vec<Round>,
    /// Every round of the other system.
    pub other_rounds: Vec<Round>,
}

/// Measures each number of clients on both.
///
/// # Errors
/// When a request fails.
pub async fn measure<A: Client, B: Client>(
    options: &Options,
    vectorgate: impl AsyncFn(usize) -> Result<A>,
    other: impl AsyncFn(usize) -> Result<B>,
) -> Result<Vec<Row>> {
    let length = Duration::from_secs(options.seconds);
    let mut rows = Vec::new();
    for &clients in &options.clients {
        let (_, mut ours) = run(connect(clients, &vectorgate).await?, WARM_UP).await?;
        let (_, mut theirs) = run(connect(clients, &other).await?, WARM_UP).await?;
        let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let round;
            (round, ours) = run(ours, length).await?;
            our_rounds.push(round);
            let round;
            (round, theirs) = run(theirs, length).await?;
            their_rounds.push(round);
        }
        rows.push(row(clients, our_rounds, their_rounds));
        println!("{clients} clients measured");
    }
    Ok(rows)
}

async fn connect<C>(count: usize, make: &impl AsyncFn(usize) -> Result<C>) -> Result<Vec<C>> {
    let mut clients = Vec::with_capacity(count);
    for index in 0..count {
        clients.push(make(index).await?);
    }
    Ok(clients)
}

fn row(clients: usize, vectorgate_rounds: Vec<Round>, other_rounds: Vec<Round>) -> Row {
    let ratios = vectorgate_rounds
        .iter()
        .zip(&other_rounds)
        .map(|(ours, theirs)| ours.per_second / theirs.per_second);
    Row {
        clients,
        vectorgate: median_round(&vectorgate_rounds),
        other: median_round(&other_rounds),
        ratio: median(ratios.collect()),
        vectorgate_rounds,
        other_rounds,
    }
}

/// The figures as a table; `other` is the name of the other system.
#[must_use]
pub fn table(rows: &[Row], other: &str, unit: &str) -> String {
    let [ours, theirs] = ["VectorGate", other].map(|system| format!("{system} {unit}/s"));
    let mut table = Table::new([
        "clients", &ours, "p50 ms", "p99 ms", &theirs, "p50 ms", "p99 ms", "ratio",
    ]);
    for row in rows {
        let (us, them) = (row.vectorgate, row.other);
        table.row([
            row.clients.to_string(),
            number(us.per_second),
            number(us.p50_ms),
            number(us.p99_ms),
            number(them.per_second),
            number(them.p50_ms),
            number(them.p99_ms),
            format!("{:.2}x", row.ratio),
        ]);
    }
    table.render()
}
