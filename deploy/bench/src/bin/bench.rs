//! The benchmarks: `vectorgate-bench NAME`. `cargo xtask bench NAME` builds what is measured first.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use bench::benchmarks::{
    api, compare, edge, failover, matching, propagation, reads, scale, signatures, trust, writes,
};
use bench::stage::House;
use clap::{Parser, Subcommand};
use xtask::repository::Repository;

/// Measures VectorGate in local processes, on loopback.
#[derive(Parser)]
#[command(name = "vectorgate-bench", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// The folder with the binaries that are measured
    #[arg(long, global = true, default_value = ".")]
    binaries: PathBuf,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Rules created, beside etcd's puts or beside another build
    Writes(writes::Options),
    /// A rule read linearizably, beside etcd's linearizable reads
    Reads(compare::Options),
    /// The commonest operations of the API, one by one
    Api(api::Options),
    /// Create, list, publish, restart and memory against the number of rules
    Scale(scale::Options),
    /// From publish to applied, at many edges
    Propagation(propagation::Options),
    /// Writes while the leader is killed
    Failover(failover::Options),
    /// Rules of one route: nanoseconds to the one that takes a request, and compiling them
    Matching(matching::Options),
    /// Signing and verifying what edges follow: microseconds
    Signatures(signatures::Options),
    /// Checking API keys, sealing secrets, signatures and TLS: microseconds
    Trust(trust::Options),
    /// Requests through an edge, beside nginx and HAProxy
    Edge(edge::Options),
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<()> {
    let house = House {
        binaries: arguments.binaries.clone(),
        folder: Repository::here()?.bench(),
        is_foreign: false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async {
        tokio::select! {
            ended = run(&house, &arguments.benchmark) => ended,
            // Leaving the other branch ends what it started.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })
}

async fn run(house: &House, benchmark: &Benchmark) -> Result<()> {
    match benchmark {
        Benchmark::Writes(options) => writes::run(house, options).await,
        Benchmark::Reads(options) => reads::run(house, options).await,
        Benchmark::Api(options) => api::run(house, options).await,
        Benchmark::Scale(options) => scale::run(house, options).await,
        Benchmark::Propagation(options) => propagation::run(house, options).await,
        Benchmark::Failover(options) => failover::run(house, options).await,
        Benchmark::Matching(options) => matching::run(house, options),
        Benchmark::Signatures(options) => signatures::run(house, options),
        Benchmark::Trust(options) => trust::run(house, options),
        Benchmark::Edge(options) => edge::run(house, options).await,
    }
}
