//! Runs simulations: one seed in this process, or many, each in a process of its own.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "what a run came to is this program's output"
)]

use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use injection::Mutant;
use simulation::gate::{self, Gate};
use simulation::history::Answer;
use simulation::options::Options;
use simulation::run::{self, Verdict};

/// Runs three nodes and two edges in a simulated world under faults drawn from a seed, and checks
/// what their clients saw.
#[derive(Debug, Parser)]
#[command(name = "simulation", version)]
struct Arguments {
    /// Run this seed.
    #[arg(long, conflicts_with = "seeds", required_unless_present_any = ["seeds", "mutants"])]
    seed: Option<u64>,
    /// Run so many seeds, each in a process of its own.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// For how long faults strike, in simulated seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Give the product this bug (M01, M02, …).
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
    /// Look for these bugs, or for all, with so many seeds each as --seeds says (200), and write down
    /// which were found.
    #[arg(long, value_parser = mutant, num_args = 0.., conflicts_with_all = ["seed", "mutant"])]
    mutants: Option<Vec<Mutant>>,
}

fn mutant(id: &str) -> Result<Mutant, String> {
    Mutant::find(id).ok_or_else(|| {
        let ids: Vec<_> = Mutant::ALL.iter().map(|mutant| mutant.id()).collect();
        format!("there are {}", ids.join(", "))
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let passed = match (arguments.seed, arguments.mutants) {
        (Some(seed), _) => one(seed, arguments.seconds, arguments.mutant),
        (None, Some(mutants)) => look_for(Gate {
            mutants: if mutants.is_empty() {
                Mutant::ALL.to_vec()
            } else {
                mutants
            },
            from: arguments.from,
            seeds: arguments.seeds.unwrap_or(200),
            seconds: arguments.seconds,
        }),
        (None, None) => many(
            arguments.from,
            arguments.seeds.unwrap_or_default(),
            arguments.seconds,
        ),
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the mutation gate. It is passed if all are found, or all but two of a full run.
fn look_for(gate: Gate) -> bool {
    let found = gate::run(&gate, |found| {
        let by = match &found.by {
            Some((seed, checks)) => format!("found by seed {seed}: {checks:?}"),
            None => "NOT found".to_owned(),
        };
        println!(
            "{}: {by}; {} seeds, {:.0} s of CPU time",
            found.mutant, found.seeds, found.cpu_s
        );
    });
    let all = match found {
        Ok(all) => all,
        Err(error) => {
            println!("the mutants cannot be run: {error}");
            return false;
        }
    };
    if gate.mutants.len() == Mutant::ALL.len()
        && let Err(error) = gate::write_page(&gate, &all)
    {
        println!("{} cannot be written: {error}", gate::TABLE);
    }
    let missed = all.iter().filter(|found| found.by.is_none()).count();
    println!("{} of {} mutants were found", all.len() - missed, all.len());
    missed <= usize::from(all.len() == Mutant::ALL.len()) * gate::MISSED_MAX
}

fn one(seed: u64, seconds: u64, mutant: Option<Mutant>) -> bool {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .init();
    }
    let mut options = Options::draw(seed, Duration::from_secs(seconds));
    options.mutant = mutant;
    println!("{options}");
    let Verdict {
        history,
        violations,
        hits,
    } = run::run(&options);
    let count = |wanted: fn(&Answer) -> bool| {
        history
            .attempts
            .iter()
            .filter(|a| wanted(&a.answer))
            .count()
    };
    println!(
        "attempts {}: done {}, refused {}, unavailable {}, unknown {}; probes {}; manifests {}; outages told {}",
        history.attempts.len(),
        count(|answer| matches!(answer, Answer::Done(_))),
        count(|answer| matches!(answer, Answer::Refused { .. })),
        count(|answer| matches!(answer, Answer::Unavailable { .. } | Answer::NotSent)),
        count(|answer| matches!(answer, Answer::Unknown(_))),
        history.probes.len(),
        history.manifests.len(),
        history
            .finals
            .values()
            .map(|state| state.outages.len())
            .max()
            .unwrap_or(0),
    );
    let hits: Vec<String> = hits
        .into_iter()
        .map(|(point, hits)| format!("{point} {}/{}", hits.struck, hits.passed))
        .collect();
    println!("fail points (struck/passed): {}", hits.join(", "));
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    println!("trace {}", history.trace_hash());
    violations.is_empty()
}

fn many(from: u64, seeds: u64, seconds: u64) -> bool {
    let Ok(this) = std::env::current_exe() else {
        return false;
    };
    let mut failed = Vec::new();
    for seed in from..from.saturating_add(seeds) {
        let arguments = [
            "--seed".to_owned(),
            seed.to_string(),
            "--seconds".to_owned(),
            seconds.to_string(),
        ];
        let passed = match Command::new(&this).args(&arguments).output() {
            Ok(output) if output.status.success() => true,
            Ok(output) => {
                println!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                false
            }
            Err(error) => {
                println!("seed {seed} could not be run: {error}");
                false
            }
        };
        println!("seed {seed}: {}", if passed { "passed" } else { "FAILED" });
        if !passed {
            failed.push(seed);
        }
    }
    println!(
        "{} of {seeds} seeds passed; failed: {failed:?}",
        seeds - failed.len() as u64
    );
    failed.is_empty()
}
