//! The mutation gate: each mutant is run over what campaigns are made of, seeds and now and then a
//! directed scenario, until the simulation finds something wrong, or a limit is reached. What does not
//! find its mutants would not find such bugs either.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use injection::Mutant;

use crate::scenarios;

/// One of so many runs is a directed scenario, each in its turn.
const SCENARIO_EVERY: u64 = 4;

/// Where the table goes, in the repository.
pub const TABLE: &str = "docs/mutants.md";

/// How many of all mutants may stay unfound.
pub const MISSED_MAX: usize = 2;

/// How the gate is run.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The mutants that are looked for.
    pub mutants: Vec<Mutant>,
    /// The first seed.
    pub from: u64,
    /// With so many runs each at most, each with a seed of its own.
    pub seeds: u64,
    /// For how long faults strike in each, in simulated seconds.
    pub seconds: u64,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Which.
    pub mutant: Mutant,
    /// The run that found it, and the checks that failed there.
    pub by: Option<(Run, BTreeSet<String>)>,
    /// How many runs were made.
    pub seeds: u64,
    /// What that took, in seconds of CPU time.
    pub cpu_s: f64,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The name of the scenario, where it is one and not random faults.
    pub scenario: Option<&'static str>,
}

impl Run {
    /// The run that has this seed.
    fn of(seed: u64) -> Self {
        let turn = usize::try_from(seed / SCENARIO_EVERY).unwrap_or_default();
        let scenario = &scenarios::ALL[turn % scenarios::ALL.len()];
        Self {
            seed,
            scenario: seed.is_multiple_of(SCENARIO_EVERY).then_some(scenario.name),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scenario {
            Some(scenario) => write!(f, "scenario {scenario}, seed {}", self.seed),
            None => write!(f, "seed {}", self.seed),
        }
    }
}

/// Runs the gate, tells of each mutant, and gives what became of all.
///
/// # Errors
/// When the simulation cannot be started.
pub fn run(gate: &Gate, mut tell: impl FnMut(&Found)) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for mutant in &gate.mutants {
        let found = look_for(*mutant, gate)?;
        tell(&found);
        all.push(found);
    }
    Ok(all)
}

/// Makes runs beside each other, in the order of their seeds, until one finds the mutant.
fn look_for(mutant: Mutant, gate: &Gate) -> io::Result<Found> {
    let before_s = cpu_of_children_s();
    let next = AtomicU64::new(gate.from);
    let done = AtomicBool::new(false);
    let seeds = AtomicU64::new(0);
    let found: Mutex<Vec<(Run, BTreeSet<String>)>> = Mutex::default();
    let broken: Mutex<Option<io::Error>> = Mutex::default();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= gate.from.saturating_add(gate.seeds) {
                        return;
                    }
                    let run = Run::of(seed);
                    match finds(mutant, run, gate.seconds) {
                        Ok(checks) => {
                            seeds.fetch_add(1, Ordering::Relaxed);
                            if !checks.is_empty() {
                                done.store(true, Ordering::Relaxed);
                                lock(&found).push((run, checks));
                            }
                        }
                        Err(error) => {
                            done.store(true, Ordering::Relaxed);
                            *lock(&broken) = Some(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = lock(&broken).take() {
        return Err(error);
    }
    let by = lock(&found).iter().min_by_key(|(run, _)| *run).cloned();
    Ok(Found {
        mutant,
        by,
        seeds: seeds.into_inner(),
        cpu_s: cpu_of_children_s() - before_s,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The checks that fail in one run because of the mutant; none where it passes, or fails without the
/// mutant as well.
fn finds(mutant: Mutant, run: Run, seconds: u64) -> io::Result<BTreeSet<String>> {
    let checks = run_one(Some(mutant), run, seconds)?;
    if checks.is_empty() || run_one(None, run, seconds)?.is_empty() {
        return Ok(checks);
    }
    Ok(BTreeSet::new())
}

/// The checks that fail in one run; none where it passes.
fn run_one(mutant: Option<Mutant>, run: Run, seconds: u64) -> io::Result<BTreeSet<String>> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--seed", &run.seed.to_string()])
        .args(["--seconds", &seconds.to_string()]);
    if let Some(mutant) = mutant {
        command.args(["--mutant", mutant.id()]);
    }
    if let Some(scenario) = run.scenario {
        command.args(["--scenario", scenario]);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let errors = child.stderr.take();
    let errors = thread::spawn(move || {
        let mut text = String::new();
        errors.map_or(Ok(0), |mut errors| errors.read_to_string(&mut text))?;
        Ok::<_, io::Error>(text)
    });
    let mut printed = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut printed)?;
    }
    let passed = child.wait()?.success();
    let errors = errors.join().unwrap_or_else(|_| Ok(String::new()))?;
    if passed {
        return Ok(BTreeSet::new());
    }
    Ok(failed_checks(&printed, &errors))
}

/// The names of the checks that failed, of what a run that did not pass printed.
fn failed_checks(printed: &str, errors: &str) -> BTreeSet<String> {
    let violations = printed
        .lines()
        .filter_map(|line| line.strip_prefix("VIOLATION "));
    let mut checks: BTreeSet<String> = violations
        .map(|violation| violation.split(": ").next().unwrap_or(violation).to_owned())
        .map(|check| without_digits(&check))
        .collect();
    if checks.is_empty() {
        let what = if errors.contains("panicked") {
            "an assertion"
        } else {
            "the run ended early"
        };
        checks.insert(what.to_owned());
    }
    checks
}

/// Halts name their node, which says nothing about the mutant.
fn without_digits(check: &str) -> String {
    match check.split_once(" halted") {
        Some(_) => "a node halts".to_owned(),
        None => check.to_owned(),
    }
}

/// CPU time of all processes that this one started and that have ended, in seconds.
fn cpu_of_children_s() -> f64 {
    // Linux counts in hundredths there, on all machines that this runs on.
    const TICKS_A_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before may contain anything; behind it are numbers.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let field = |at: usize| {
        let text = fields.get(at).copied().unwrap_or_default();
        text.parse::<f64>().unwrap_or_default()
    };
    (field(13) + field(14)) / TICKS_A_SECOND
}

/// The table as a page of the documentation.
#[must_use]
pub fn page(gate: &Gate, all: &[Found]) -> String {
    let caught = all.iter().filter(|found| found.by.is_some()).count();
    let mut text = String::from(
        "# Mutants\n\n\
         Bugs that are built into the product on purpose, one at a time, in test builds alone: what the\n\
         simulation does not find of these, it would not find if it were written by accident. `cargo xtask\n\
         sim --mutants` runs each over seed after seed until something is wrong, and writes this page.\n\n",
    );
    let _ = writeln!(
        text,
        "{caught} of {} are found within {} runs of {} simulated seconds of faults, each with a seed of its\n\
         own; one of four is a directed scenario. Runs are made beside each other; the CPU time is that of\n\
         all that were made.\n",
        all.len(),
        gate.seeds,
        gate.seconds
    );
    text.push_str(
        "| mutant | what it breaks | found by | runs | CPU s |\n|---|---|---|---:|---:|\n",
    );
    for Found {
        mutant,
        by,
        seeds,
        cpu_s,
    } in all
    {
        let by = match by {
            Some((run, checks)) => {
                let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
                format!("{} ({run})", checks.join("; "))
            }
            None => format!("nothing yet; expected: {}", mutant.seen_by()),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {by} | {seeds} | {cpu_s:.0} |",
            mutant.id(),
            mutant.breaks()
        );
    }
    text
}

/// Writes the table, where the working directory is that of the repository.
///
/// # Errors
/// When it cannot be written.
pub fn write_page(gate: &Gate, all: &[Found]) -> io::Result<()> {
    if !Path::new(TABLE).parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    std::fs::write(TABLE, page(gate, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_failed_are_read_from_what_a_run_printed() {
        let printed =
            "seed 1\nVIOLATION reads are linearizable: a: b\nVIOLATION node-2 halted: the disk\n";
        let checks: Vec<String> = failed_checks(printed, "").into_iter().collect();
        assert_eq!(checks, ["a node halts", "reads are linearizable"]);
        let checks: Vec<String> = failed_checks("", "thread panicked at")
            .into_iter()
            .collect();
        assert_eq!(checks, ["an assertion"]);
    }

    #[test]
    fn every_scenario_has_its_turn_among_the_seeds() {
        let runs: Vec<Run> = (1..=100).map(Run::of).collect();
        let scenarios: BTreeSet<_> = runs.iter().filter_map(|run| run.scenario).collect();
        assert_eq!(scenarios.len(), scenarios::ALL.len());
        let seeds = runs.iter().filter(|run| run.scenario.is_none()).count();
        assert_eq!(seeds, 75);
    }

    #[test]
    fn the_page_says_what_is_found_and_what_is_not() {
        let gate = Gate {
            mutants: Mutant::ALL.to_vec(),
            from: 1,
            seeds: 200,
            seconds: 20,
        };
        let found = |mutant, by: Option<u64>| Found {
            mutant,
            by: by.map(|seed| (Run::of(seed), ["a check".to_owned()].into())),
            seeds: 3,
            cpu_s: 1.5,
        };
        let page = page(
            &gate,
            &[
                found(Mutant::LeaseRead, Some(2)),
                found(Mutant::VoteUnchecked, None),
            ],
        );
        assert!(page.contains("1 of 2 are found"), "{page}");
        assert!(page.contains("a check (seed 2) | 3 | 2 |"), "{page}");
        assert!(page.contains("nothing yet"), "{page}");
    }
}
