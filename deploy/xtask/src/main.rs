//! The command line of `cargo xtask`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::commands::{
    bench, caches, chaos, conformance, deploy_check, down, env, fuzz, lint, openapi, package,
    process, security, sim, status, test, up,
};
use xtask::local::Name;
use xtask::local::process::End;
use xtask::local::topology::{EDGES_MAX, NODES_MAX};
use xtask::repository::Repository;

/// Builds, runs, tests and measures VectorGate.
///
/// Sets the machine up as needed: missing Debian packages are installed with apt-get (it says which
/// before it does), RocksDB is compiled once and kept in ~/.cache/vectorgate, where build output goes
/// too.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings up a local cluster under target/local and sends a request through each edge.
    ///
    /// Builds in release, starts nodes, edges and two demonstration origins in the background,
    /// bootstraps the first workspace, creates and publishes a route for api.example.net. Leaves it
    /// running; running it again completes what is missing, or says that nothing is.
    Up {
        /// Nodes of the control plane; REST on 127.0.0.1:7101 and up [default: 3]
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
        nodes: Option<u16>,
        /// Edges of the data plane; HTTP on 127.0.0.1:8101 and up [default: 2]
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(EDGES_MAX)))]
        edges: Option<u16>,
    },
    /// Ends the local cluster.
    Down {
        /// Removes its data, keys and logs as well
        #[arg(long)]
        wipe: bool,
    },
    /// Starts one process of the local cluster again, with its data.
    Start {
        /// node-1, edge-1, origin-1 …
        name: Name,
    },
    /// Ends one process of the local cluster; it drains first.
    Stop {
        /// node-1, edge-1, origin-1 …
        name: Name,
        /// Kills it as a crash would
        #[arg(long)]
        kill: bool,
    },
    /// Shows which processes of the local cluster run.
    Status,
    /// Runs every test.
    Test {
        /// Passed on to the test runner: names of tests, options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Checks formatting, lints, documentation and dependencies.
    Lint,
    /// Holds running nodes against their OpenAPI document, by schemathesis.
    ///
    /// A cluster in peace first, then rounds of half a minute in each of which the leader is killed.
    /// Schemathesis is installed into ~/.cache/vectorgate from PyPI, once.
    Conformance {
        /// Requests made up for each operation and phase
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        examples: u32,
        /// How often the leader is killed
        #[arg(long, default_value_t = 2)]
        rounds: u32,
        /// What the made-up requests follow from
        #[arg(long, default_value_t = 1)]
        seed: u32,
        /// Succeed without a check, and say so, where schemathesis cannot be installed
        #[arg(long)]
        where_possible: bool,
    },
    /// Compares an edge's HTTP cache with nginx and Varnish, by the suite of cache-tests.fyi.
    ///
    /// The suite is installed into ~/.cache/vectorgate from npm, once; nginx and Varnish are Debian
    /// packages. Fails where the edge passes fewer of the required tests than the better of the two.
    ConformanceCache {
        /// The edge alone
        #[arg(long)]
        alone: bool,
    },
    /// Runs the simulation: --seeds N for a campaign, --seed N for one world, --reproduce N to have
    /// it told.
    #[command(disable_help_flag = true)]
    Sim {
        /// Passed on to the simulation; --help lists what it takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Tries what reads bytes from outside with made-up inputs, each target for some time.
    ///
    /// An input for which a property does not hold is written to target/fuzz/TARGET, and it says how to try
    /// it again. Without a seed each run makes other inputs; the one it has is printed.
    Fuzz {
        /// How long each target is tried
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only these, such as key,audit: snapshot, raft, rule, matcher, cursor, key, hostname, webhook, frame,
        /// audit
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// What the inputs follow from
        #[arg(long)]
        seed: Option<u64>,
        /// Tries the input in this file, with the one target of --only
        #[arg(long, requires = "only")]
        replay: Option<PathBuf>,
        /// Adds inputs that led to something new to fuzz/corpus
        #[arg(long)]
        keep: bool,
        /// Writes each input to target/fuzz/TARGET.last before it is tried: for one that ends the process
        #[arg(long)]
        trace: bool,
    },
    /// Runs the security checks and prints what came of each, and what shows it.
    ///
    /// The table of them is deploy/security.toml. Most are tests, which run in one go; a check passes if each
    /// of the tests that it names is there and passed. Fails if one fails.
    Security,
    /// Does real things to real processes: kills, power cuts, partitions, full disks, clocks that jump.
    ///
    /// Nodes and edges are hosts of their own, in network namespaces and with disks on loop devices, which takes
    /// root; where that is lacking, nothing is done, and it says so. Results go to target/chaos/chaos.json.
    Chaos {
        /// Names what there is, and does nothing
        #[arg(long)]
        list: bool,
        /// As much as a release has to stand; takes hours
        #[arg(long)]
        long: bool,
        /// Only these, such as P1,P3
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Nodes and edges as tests build them, with debug assertions, instead of in release. Figures of time
        /// are told and not judged
        #[arg(long)]
        dev: bool,
        /// Succeed without what this machine cannot do, and say so
        #[arg(long)]
        where_possible: bool,
    },
    /// Measures: writes, reads, api, scale, propagation, failover, matching, signatures, trust or edge. Results go to
    /// target/bench/NAME.json.
    Bench {
        /// With the edge that was packaged last, in the place of one built in release
        #[arg(long)]
        as_packaged: bool,
        /// Which benchmark
        #[arg(value_parser = ["writes", "reads", "api", "scale", "propagation", "failover", "matching", "signatures", "trust", "edge"])]
        name: String,
        /// Passed on to the benchmark; -- --help lists what it takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Writes docs/openapi.json anew, from the code.
    Openapi,
    /// Checks what is installed and watched: alerts and their examples, dashboards, Kubernetes resources, units,
    /// container files.
    ///
    /// Builds nothing. The tools come from Debian, PyPI and npm, once; a check whose tool cannot be had is
    /// skipped, and it says why.
    DeployCheck,
    /// Builds Debian packages of node and edge into target/packages.
    ///
    /// The edge is compiled twice: so that it counts where it goes under load, and then by what was counted. With
    /// the load between that takes some twenty minutes on two cores, which --plain saves.
    Package {
        /// With the edge as it is in release, which takes a tenth more of the processor per request
        #[arg(long)]
        plain: bool,
    },
    /// Prints the environment that builds use, for `source <(cargo xtask env)`.
    Env,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let repository = &Repository::here()?;
    match command {
        Command::Up { nodes, edges } => up::run(repository, up::Options { nodes, edges }),
        Command::Down { wipe } => down::run(repository, wipe),
        Command::Start { name } => process::start(repository, name),
        Command::Stop { name, kill } => process::stop(
            repository,
            name,
            if kill { End::Killed } else { End::Drained },
        ),
        Command::Status => status::run(repository),
        Command::Test { filter } => test::run(repository, &filter),
        Command::Lint => lint::run(repository),
        Command::Conformance {
            examples,
            rounds,
            seed,
            where_possible,
        } => conformance::run(
            repository,
            conformance::Options {
                examples,
                rounds,
                seed,
                where_possible,
            },
        ),
        Command::ConformanceCache { alone } => caches::run(repository, caches::Options { alone }),
        Command::Sim { arguments } => sim::run(repository, &arguments),
        Command::Fuzz {
            seconds,
            only,
            seed,
            replay,
            keep,
            trace,
        } => fuzz::run(
            repository,
            &fuzz::Options {
                seconds,
                only,
                seed,
                replay,
                keep,
                trace,
            },
        ),
        Command::Security => security::run(repository),
        Command::Chaos {
            list,
            long,
            only,
            dev,
            where_possible,
        } => chaos::run(
            repository,
            &chaos::Options {
                list,
                long,
                only,
                dev,
                where_possible,
            },
        ),
        Command::Bench {
            as_packaged,
            name,
            arguments,
        } => bench::run(repository, &name, as_packaged, &arguments),
        Command::Openapi => openapi::run(repository),
        Command::DeployCheck => deploy_check::run(repository),
        Command::Package { plain } => package::run(repository, plain),
        Command::Env => env::run(repository),
    }
}
