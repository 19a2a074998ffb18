//! `edge`: what an edge does with one core, beside what nginx and `HAProxy` do with the same core,
//! the same load and the same origin; what rules cost it; what it holds in memory.
//!
//! The machine's first two cores are used: the proxy that is measured has one of them to itself, the
//! origin and the load generator share the other. A proxy is measured by itself while the others
//! are idle; proxies take turns, so that a machine that gets slower or faster does so for all of
//! them, and ratios are taken within a turn. Then cores are exchanged, since two cores of a
//! virtual machine need not be equally fast.

mod bulk;
mod ground;
mod idle;
mod kept;
mod proxies;
mod publishing;
mod rules;
mod scripts;
mod turns;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use super::blocking;
use crate::figures;
use crate::stage::House;
use ground::Ground;

/// How much is measured.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// What is measured; everything unless given
    #[arg(long = "part", value_enum)]
    pub parts: Vec<Part>,
    /// Rounds on each core; the median counts
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Connections of HTTP/1.1, with one request at a time on each
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Connections of HTTP/2
    #[arg(long, default_value_t = 8)]
    pub http2_connections: usize,
    /// Requests at a time on each connection of HTTP/2
    #[arg(long, default_value_t = 32)]
    pub streams: usize,
    /// Numbers of rules on a route
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000, 100_000])]
    pub rules: Vec<u64>,
    /// Of how many rules the paths are asked for at most
    #[arg(long, default_value_t = 100)]
    pub paths: u64,
    /// GiB that are sent through one connection
    #[arg(long, default_value_t = 10)]
    pub gibibytes: u64,
    /// Connections that are open and idle
    #[arg(long, default_value_t = 10_000)]
    pub idle: usize,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Requests per second over HTTP/1.1, beside nginx and `HAProxy`
    Http1,
    /// The same over HTTP/2
    Http2,
    /// Answers from the cache per second, beside nginx and Varnish
    Cache,
    /// Memory while much is sent through one connection
    Bulk,
    /// Memory of idle connections
    Idle,
    /// Requests per second against the number of rules, and starting with them
    Rules,
    /// Latency while the route is published, against the same in peace
    Publishing,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Cache => "cache",
            Self::Bulk => "bulk",
            Self::Idle => "idle",
            Self::Rules => "rules",
            Self::Publishing => "publishing",
        }
    }
}

/// Measures and reports.
///
/// # Errors
/// When a request fails or a process does not start.
pub async fn run(house: &House, options: &Options) -> Result<()> {
    if std::thread::available_parallelism().map_or(1, usize::from) < turns::CORES {
        bail!("this benchmark takes {} cores", turns::CORES);
    }
    let parts = if options.parts.is_empty() {
        Part::value_variants().to_vec()
    } else {
        options.parts.clone()
    };
    let folder = blocking(|| house.empty_folder("edge"))?;
    let mut ground = Ground::prepare(house, &folder).await?;
    let mut rows = Map::new();
    for part in parts {
        let row = match part {
            Part::Http1 | Part::Http2 => proxies::measure(&mut ground, options, part).await?,
            Part::Cache => kept::measure(&mut ground, options).await?,
            Part::Bulk => bulk::measure(&mut ground, options).await?,
            Part::Idle => idle::measure(&mut ground, options).await?,
            Part::Rules => rules::measure(&mut ground, options).await?,
            Part::Publishing => publishing::measure(&mut ground, options).await?,
        };
        rows.insert(part.name().to_owned(), row);
    }
    figures::write(&house.figures("edge"), "edge", options, &Value::from(rows))
}
