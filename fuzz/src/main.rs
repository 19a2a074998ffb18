//! The command line of the fuzz targets; `cargo xtask fuzz` builds and starts it.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool speaks on its standard output"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use fuzz::campaign::{Failure, Report, Until, campaign, run};
use fuzz::{TARGETS, Target, corpus, targets};

/// Tries each target with what is kept for it and with mutations of that.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// How long each target is tried, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many inputs are made for each target, instead of a time
    #[arg(long, conflicts_with = "seconds")]
    inputs: Option<u64>,
    /// Only these targets
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// What the inputs follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tries this one input, with the one target that --only names
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Adds inputs that led to something new to the corpus
    #[arg(long)]
    keep: bool,
    /// Writes each input to a file before it is tried: for one that ends the process
    #[arg(long)]
    trace: bool,
    /// Where inputs that fail are written
    #[arg(long, default_value = "target/fuzz")]
    failures: PathBuf,
}

fn main() -> ExitCode {
    match run_all(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all properties held.
fn run_all(arguments: &Arguments) -> Result<bool> {
    let chosen = chosen(&arguments.only)?;
    if let Some(file) = &arguments.replay {
        let [target] = chosen[..] else {
            bail!("--replay takes the target from --only, which must name one");
        };
        return replay(target, file);
    }
    println!("seed {}", arguments.seed);
    let mut good = true;
    for target in chosen {
        good &= attempt(arguments, target)?;
    }
    Ok(good)
}

fn chosen(only: &[String]) -> Result<Vec<&'static Target>> {
    if only.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let find = |name: &String| {
        targets::find(name).with_context(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            format!("there is no target {name}; there are {}", names.join(", "))
        })
    };
    only.iter().map(find).collect()
}

fn replay(target: &Target, file: &Path) -> Result<bool> {
    let input = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    match run(target, &input) {
        Ok(run) => {
            let (millis, bytes) = (run.elapsed.as_millis(), run.allocated);
            println!("{}: holds; {millis} ms, {bytes} bytes at once", target.name);
            Ok(true)
        }
        Err(what) => {
            println!("{}: FAILED: {what}", target.name);
            Ok(false)
        }
    }
}

fn attempt(arguments: &Arguments, target: &Target) -> Result<bool> {
    let kept = corpus::of(target.name)?;
    let until = match arguments.inputs {
        Some(inputs) => Until::Inputs(inputs),
        None => Until::Elapsed(Duration::from_secs(arguments.seconds)),
    };
    let traced = arguments.failures.join(format!("{}.last", target.name));
    if arguments.trace {
        fs::create_dir_all(&arguments.failures)?;
    }
    let before = |input: &[u8]| {
        // Best effort: what it is for ends the process before anybody could be told.
        if arguments.trace {
            drop(fs::write(&traced, input));
        }
    };
    match campaign(target, &kept, arguments.seed, until, before) {
        Ok(report) => {
            tell(target, &report);
            if arguments.keep {
                let folder = corpus::folder().join(target.name);
                for input in &report.found {
                    corpus::write(&folder, input)?;
                }
            }
            Ok(true)
        }
        Err(failure) => {
            tell_failure(arguments, target, &failure)?;
            Ok(false)
        }
    }
}

fn tell(target: &Target, report: &Report) {
    let seconds = report.elapsed.as_secs_f64().max(0.001);
    #[allow(
        clippy::cast_precision_loss,
        reason = "a rate is told in round numbers"
    )]
    let rate = report.inputs as f64 / seconds;
    println!(
        "{:9} {:>9} inputs, {rate:>7.0}/s, {:>4} new kinds, slowest {:>4} ms, most {:>6} KiB at once",
        target.name,
        report.inputs,
        report.found.len(),
        report.slowest.as_millis(),
        report.largest / 1024,
    );
}

fn tell_failure(arguments: &Arguments, target: &Target, failure: &Failure) -> Result<()> {
    println!("{:9} FAILED: {}", target.name, failure.what);
    println!("          {}", target.what);
    let file = match &failure.kept {
        Some(name) => corpus::folder().join(target.name).join(name),
        None => corpus::write(&arguments.failures.join(target.name), &failure.input)?,
    };
    println!(
        "          cargo xtask fuzz --only {} --replay {}",
        target.name,
        file.display()
    );
    Ok(())
}
