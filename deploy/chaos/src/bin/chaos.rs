//! The scenarios: `vectorgate-chaos`. `cargo xtask chaos` builds what they are played with first.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use chaos::machine::{self, namespaces, tools};
use chaos::report::{self, Played};
use chaos::scenarios::{self, ALL, Scenario};
use chaos::town::Site;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use xtask::local::Name;
use xtask::report::line;
use xtask::repository::Repository;

/// Does real things to real processes of VectorGate, and checks what their clients are told.
#[derive(Parser)]
#[command(name = "vectorgate-chaos", max_term_width = 100)]
struct Arguments {
    /// Names what there is, and does nothing
    #[arg(long)]
    list: bool,
    /// As much as a release has to stand; takes hours
    #[arg(long)]
    long: bool,
    /// Only these, such as P1,P3
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The folder with the binaries of node and edge
    #[arg(long, default_value = ".")]
    binaries: PathBuf,
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
    if arguments.list {
        for scenario in ALL {
            line(format_args!("{:<4} {}", scenario.id, scenario.about));
        }
        return Ok(());
    }
    let chosen = choose(&arguments.only)?;
    let folder = Repository::here()?.chaos();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    let site = Site {
        binaries: std::path::absolute(&arguments.binaries).context("where the binaries are")?,
        folder,
    };
    let played = play(&chosen, &site, arguments.long)?;
    report::table(&played);
    report::write(&site.folder.join("chaos.json"), arguments.long, &played)?;
    let failed: Vec<&str> = played
        .iter()
        .filter(|played| played.has_failed())
        .map(|played| played.id)
        .collect();
    if !failed.is_empty() {
        bail!(
            "these scenarios failed: {}; their towns' logs are in {}",
            failed.join(", "),
            site.folder.display()
        );
    }
    Ok(())
}

fn choose(only: &[String]) -> Result<Vec<&'static Scenario>> {
    if let Some(unknown) = only
        .iter()
        .find(|id| !ALL.iter().any(|scenario| scenario.id == id.as_str()))
    {
        bail!("there is no scenario {unknown}; --list names those that there are");
    }
    let is_chosen =
        |scenario: &&Scenario| only.is_empty() || only.iter().any(|id| id == scenario.id);
    Ok(ALL.iter().filter(is_chosen).collect())
}

fn play(chosen: &[&'static Scenario], site: &Site, long: bool) -> Result<Vec<Played>> {
    if let Some(reason) = tools::missing() {
        let skip =
            |scenario: &&Scenario| Played::skipped((scenario.id, scenario.title), reason.clone());
        return Ok(chosen.iter().map(skip).collect());
    }
    machine::clear(&site.folder)?;
    let cleared = Clearing(site);
    let names = (1..=NODES_MAX)
        .map(Name::node)
        .chain((1..=EDGES_MAX).map(Name::edge));
    let hosts: Vec<_> = names.map(|name| (name.to_string(), name.host())).collect();
    // Before there are other threads: all of them are on the client's host.
    namespaces::make(&hosts)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime")?;
    let played = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).context("signals")?;
        tokio::select! {
            played = play_all(chosen, site, long) => Ok(played),
            // Leaving the other branch ends what it started.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    });
    drop(runtime);
    drop(cleared);
    played
}

/// Nodes of the long form, and one more to replace another.
const NODES_MAX: u16 = 6;

/// Edges of the long form.
const EDGES_MAX: u16 = 3;

async fn play_all(chosen: &[&'static Scenario], site: &Site, long: bool) -> Vec<Played> {
    let mut all = Vec::new();
    for scenario in chosen {
        let played = scenarios::play(scenario, site, long).await;
        played.tell();
        all.push(played);
    }
    all
}

/// Takes everything away at the end, however that comes about.
struct Clearing<'a>(&'a Site);

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        if let Err(error) = machine::clear(&self.0.folder) {
            xtask::report::warn(format_args!(
                "something is left behind: {error:#}; the next run tries again"
            ));
        }
    }
}
