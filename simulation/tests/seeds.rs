//! A few everyday seeds, each in a process of its own: none finds a violation, and a seed that is
//! run again gives the same trace. Campaigns of `cargo xtask sim` run many more.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use simulation::campaign::{Child, Outcome};
use simulation::options::Chaos;

/// How many seeds the normal test run takes.
const SEEDS: u64 = 3;
/// For how long faults strike, in simulated seconds.
const SECONDS: u64 = 10;

fn run(seed: u64, chaos: Chaos) -> Outcome {
    let child = Child {
        seed,
        seconds: SECONDS,
        chaos,
    };
    child
        .run(Path::new(env!("CARGO_BIN_EXE_simulation")))
        .expect("the simulation can be started")
}

fn trace(outcome: &Outcome) -> &str {
    let mut lines = outcome.printed.lines();
    lines
        .find_map(|line| line.strip_prefix("trace "))
        .expect("a run ends by printing its trace")
}

#[test]
fn no_everyday_seed_finds_a_violation() {
    let next = AtomicU64::new(1);
    let outcomes = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let outcome = run(seed, Chaos::Drawn);
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes.push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for outcome in &outcomes {
        assert!(outcome.found.is_none(), "{}", outcome.printed);
    }
    let met = |name| outcomes.iter().map(|it| it.coverage.get(name)).sum::<u64>();
    for name in [
        "acked_writes",
        "linearizable_reads",
        "crashes",
        "probes",
        "deliveries",
    ] {
        assert!(met(name) > 0, "no {name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes() {
    for (seed, chaos) in [(5, Chaos::Drawn), (6, Chaos::Maximal)] {
        let (first, second) = (run(seed, chaos), run(seed, chaos));
        assert_eq!(
            trace(&first),
            trace(&second),
            "{}\n{}",
            first.printed,
            second.printed
        );
    }
}
