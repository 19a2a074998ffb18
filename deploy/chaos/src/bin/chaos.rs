//! The scenarios: `vectorgate-chaos`. `cargo xtask chaos` builds what they are played with first.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use chaos::machine::lock::{self, Lock};
use chaos::machine::{self, namespaces, tools};
use chaos::report::{self, Played};
use chaos::scenarios::{self, ALL, Form, Scenario};
use chaos::town::Site;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
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
    /// Figures of time are told and not judged: for machines that others use, too
    #[arg(long)]
    untimed: bool,
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
    let form = Form {
        long: arguments.long,
        timed: !arguments.untimed,
    };
    let played = play(&chosen, &site, form)?;
    report::table(&played);
    report::note_times(form.timed, &played);
    report::write(&site.folder.join("chaos.json"), form, &played)?;
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

fn play(chosen: &[&'static Scenario], site: &Site, form: Form) -> Result<Vec<Played>> {
    let skipped = |reason: &str| -> Result<Vec<Played>> {
        let skip = |scenario: &&Scenario| {
            Played::skipped((scenario.id, scenario.title), reason.to_owned())
        };
        Ok(chosen.iter().map(skip).collect())
    };
    if let Some(reason) = tools::forbidden() {
        return skipped(&reason);
    }
    // Hosts and disks are the machine's, and go by the same names in each run.
    let _alone = match lock::take()? {
        Lock::Taken(lock) => lock,
        Lock::Elsewhere => {
            return skipped("another run of these scenarios goes on and does not end");
        }
    };
    if let Some(reason) = tools::missing() {
        return skipped(&reason);
    }
    machine::clear(&site.folder)?;
    let cleared = Clearing(site);
    // Before there are other threads: all of them are on the client's host.
    namespaces::make()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime")?;
    let played = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).context("signals")?;
        tokio::select! {
            played = play_all(chosen, site, form) => Ok(played),
            // Leaving the other branch ends what it started.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    });
    drop(runtime);
    drop(cleared);
    played
}

async fn play_all(chosen: &[&'static Scenario], site: &Site, form: Form) -> Vec<Played> {
    let mut all = Vec::new();
    for scenario in chosen {
        let played = scenarios::play(scenario, site, form).await;
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
