//! The simulation over its everyday seeds, each in a process of its own: none finds a violation,
//! and a seed that is run again gives the same trace.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many seeds the normal test run takes.
const SEEDS: u64 = 20;
/// For how long faults strike, in simulated seconds.
const SECONDS: &str = "10";

/// Runs a seed and gives whether it passed and what it printed.
fn run(seed: u64) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_simulation"))
        .args(["--seed", &seed.to_string(), "--seconds", SECONDS])
        .output()
        .expect("the simulation can be started");
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), printed)
}

fn trace(printed: &str) -> &str {
    printed
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("trace "))
        .expect("a run ends by printing its trace")
}

/// How many events of a run told that an upstream failed or recovered.
fn outages_told(printed: &str) -> u64 {
    let (_, rest) = printed.split_once("outages told ").expect("a run says so");
    let digits = rest.lines().next().unwrap_or_default();
    digits.parse().expect("a number")
}

#[test]
fn no_everyday_seed_finds_a_violation() {
    let next = AtomicU64::new(1);
    let failures = Mutex::new(Vec::new());
    let outages = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let (passed, printed) = run(seed);
                    outages.fetch_add(outages_told(&printed), Ordering::Relaxed);
                    if !passed {
                        failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(printed);
                    }
                }
            });
        }
    });
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // The origin is away in every run, and mostly for long enough.
    let outages = outages.into_inner();
    assert!(outages >= SEEDS / 2, "only {outages} outages were told of");
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes() {
    for seed in [3, 4] {
        let (first, second) = (run(seed).1, run(seed).1);
        assert_eq!(trace(&first), trace(&second), "{first}\n{second}");
    }
}
