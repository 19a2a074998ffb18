//! Runs simulations: one seed in this process, or a campaign of many, each in a process of its own.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "what a run came to is this program's output"
)]

use std::fmt;
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use injection::Mutant;
use simulation::campaign::{self, Plan};
use simulation::gate::{self, Gate};
use simulation::options::{Chaos, Options};
use simulation::run::{self, Verdict};
use simulation::scenarios::{self, Scenario};
use simulation::story;

/// Runs nodes and edges in a simulated world under faults drawn from a seed, and checks what their
/// clients saw.
#[derive(Debug, Parser)]
#[command(name = "simulation", version)]
struct Arguments {
    /// Run this seed.
    #[arg(long, group = "what")]
    seed: Option<u64>,
    /// Run this seed and tell its story.
    #[arg(long, group = "what")]
    reproduce: Option<u64>,
    /// Run so many seeds, each in a process of its own.
    #[arg(long, conflicts_with_all = ["seed", "reproduce"], required_unless_present_any = ["seed", "reproduce", "mutants", "scenarios"])]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// For how long faults strike, in simulated seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How much goes wrong.
    #[arg(long, value_enum, default_value_t = ChaosArgument::Drawn)]
    chaos: ChaosArgument,
    /// How many runs go on at once; as many as there are cores, if not given.
    #[arg(long, requires = "seeds")]
    jobs: Option<usize>,
    /// How many seeds are run twice and compared first; one of twenty, if not given, at least two
    /// and at most ten.
    #[arg(long, requires = "seeds")]
    determinism: Option<u64>,
    /// Print all that was seen, to be compared.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Give the product this bug (M01, M02, …).
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
    /// Play this scenario instead of random faults.
    #[arg(long, value_parser = scenario, requires = "what")]
    scenario: Option<Scenario>,
    /// Play every scenario with so many seeds each as --seeds says (100).
    #[arg(long, conflicts_with_all = ["seed", "reproduce", "mutants"])]
    scenarios: bool,
    /// Look for these bugs, or for all, with so many runs each as --seeds says (200), and write down
    /// which were found.
    #[arg(long, value_parser = mutant, num_args = 0.., conflicts_with_all = ["seed", "reproduce", "mutant"])]
    mutants: Option<Vec<Mutant>>,
}

fn scenario(name: &str) -> Result<Scenario, String> {
    Scenario::find(name).ok_or_else(|| {
        let names = scenarios::ALL.iter().map(|scenario| scenario.name);
        format!("there are {}", names.collect::<Vec<_>>().join(", "))
    })
}

fn mutant(id: &str) -> Result<Mutant, String> {
    Mutant::find(id).ok_or_else(|| {
        let ids: Vec<_> = Mutant::ALL.iter().map(|mutant| mutant.id()).collect();
        format!("there are {}", ids.join(", "))
    })
}

/// A fifth of a run's time is allocation.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ChaosArgument {
    /// What the seed says.
    Drawn,
    /// Everything, all the time.
    Maximal,
}

impl From<ChaosArgument> for Chaos {
    fn from(argument: ChaosArgument) -> Self {
        match argument {
            ChaosArgument::Drawn => Self::Drawn,
            ChaosArgument::Maximal => Self::Maximal,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let passed = match (arguments.seed, arguments.reproduce, &arguments.mutants) {
        (Some(seed), _, _) => one(seed, &arguments),
        (None, Some(seed), _) => reproduce(seed, &arguments),
        (None, None, Some(mutants)) => look_for(mutants, &arguments),
        (None, None, None) if arguments.scenarios => play_all(&arguments),
        (None, None, None) => many(&arguments),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("VIOLATION the simulation itself failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(seed: u64, arguments: &Arguments) -> Verdict {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(io::stderr)
            .init();
    }
    let seconds = Duration::from_secs(arguments.seconds);
    let mut options = Options::draw(seed, seconds, arguments.chaos.into());
    options.mutant = arguments.mutant;
    if let Some(scenario) = arguments.scenario {
        options = scenario.options(options);
    }
    println!("{options}");
    run::run(&options)
}

fn one(seed: u64, arguments: &Arguments) -> io::Result<bool> {
    let verdict = play(seed, arguments);
    if arguments.trace {
        let mut out = Out(BufWriter::new(io::stdout().lock()), Ok(()));
        // What goes wrong is kept in the writer.
        let _ = verdict.history.write_trace(&mut out);
        out.1?;
        out.0.flush()?;
    }
    sum_up(&verdict);
    Ok(verdict.violations.is_empty())
}

fn reproduce(seed: u64, arguments: &Arguments) -> io::Result<bool> {
    let verdict = play(seed, arguments);
    println!("{}", story::tell(&verdict));
    sum_up(&verdict);
    Ok(verdict.violations.is_empty())
}

fn sum_up(verdict: &Verdict) {
    for violation in &verdict.violations {
        println!("VIOLATION {violation}");
    }
    println!("{}", verdict.coverage);
    println!("simulated_ms {}", verdict.elapsed.as_millis());
    println!("trace {}", verdict.history.trace_hash());
}

/// Plays every scenario with many seeds, one after another.
fn play_all(arguments: &Arguments) -> io::Result<bool> {
    let program = std::env::current_exe()?;
    let seeds = arguments.from
        ..arguments
            .from
            .saturating_add(arguments.seeds.unwrap_or(100));
    let mut failed = 0_usize;
    for scenario in scenarios::ALL {
        println!("{}: {}", scenario.name, scenario.tells);
        for seed in seeds.clone() {
            let run = scenario.run(&program, seed)?;
            if !run.status.success() {
                failed += 1;
                print!("{}", String::from_utf8_lossy(&run.stdout));
                print!("{}", String::from_utf8_lossy(&run.stderr));
                println!("FAILED seed {seed}");
                println!(
                    "  cargo xtask sim --scenario {} --reproduce {seed}",
                    scenario.name
                );
            }
        }
    }
    println!("{failed} runs of scenarios failed");
    Ok(failed == 0)
}

/// Runs the mutation gate. It is passed if all are found, or all but two of a full run.
fn look_for(mutants: &[Mutant], arguments: &Arguments) -> io::Result<bool> {
    let gate = Gate {
        mutants: if mutants.is_empty() {
            Mutant::ALL.to_vec()
        } else {
            mutants.to_vec()
        },
        from: arguments.from,
        seeds: arguments.seeds.unwrap_or(200),
        seconds: arguments.seconds,
    };
    let all = gate::run(&gate, |found| {
        let by = match &found.by {
            Some((run, checks)) => format!("found by {run}: {checks:?}"),
            None => "NOT found".to_owned(),
        };
        println!(
            "{}: {by}; {} runs, {:.0} s of CPU time",
            found.mutant, found.seeds, found.cpu_s
        );
    })?;
    if gate.mutants.len() == Mutant::ALL.len() {
        gate::write_page(&gate, &all)?;
    }
    let missed = all.iter().filter(|found| found.by.is_none()).count();
    println!("{} of {} mutants were found", all.len() - missed, all.len());
    Ok(missed <= usize::from(all.len() == Mutant::ALL.len()) * gate::MISSED_MAX)
}

fn many(arguments: &Arguments) -> io::Result<bool> {
    let seeds = arguments.seeds.unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        program: std::env::current_exe()?,
        regressions: campaign::regressions_file(),
        from: arguments.from,
        seeds,
        seconds: arguments.seconds,
        chaos: arguments.chaos.into(),
        jobs: arguments.jobs.unwrap_or(cores),
        determinism: arguments
            .determinism
            .unwrap_or_else(|| (seeds / 20).clamp(2, 10)),
    };
    let report = campaign::run(&plan, &|line| println!("{line}"))?;
    println!("{}", report.sum.coverage);
    for complaint in &report.complaints {
        println!("COMPLAINT {complaint}");
    }
    for (child, found) in &report.failed {
        println!("FAILED seed {}: {found}", child.seed);
        println!("  cargo xtask sim {}", child.reproduce());
    }
    println!(
        "{} runs, {} failed, {} complaints",
        report.sum.runs,
        report.failed.len(),
        report.complaints.len()
    );
    Ok(report.passed())
}

/// Standard output, as something that text is written to.
struct Out(BufWriter<io::StdoutLock<'static>>, io::Result<()>);

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|error| {
            self.1 = Err(error);
            fmt::Error
        })
    }
}
