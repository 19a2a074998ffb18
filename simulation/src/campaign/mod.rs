//! Many runs, each in a process of its own: first it is shown that a seed gives the same run twice,
//! then the seeds that once found something are run, then new ones. Whatever fails is kept.

mod children;
mod determinism;
mod regressions;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::coverage::Sum;
use crate::options::Chaos;

pub use children::{Child, Outcome};
pub use regressions::Saved;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What a campaign is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program that makes one run.
    pub program: PathBuf,
    /// Where seeds are kept that found something.
    pub regressions: PathBuf,
    /// The first new seed.
    pub from: u64,
    /// How many new seeds.
    pub seeds: u64,
    /// For how long faults strike, in simulated seconds.
    pub seconds: u64,
    /// How much goes wrong.
    pub chaos: Chaos,
    /// How many runs go on at once.
    pub jobs: usize,
    /// How many seeds are run twice to be compared.
    pub determinism: u64,
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was met.
    pub sum: Sum,
    /// The runs that found something, and the first thing that each found.
    pub failed: Vec<(Child, String)>,
    /// What does not hold of the campaign as a whole.
    pub complaints: Vec<String>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed.is_empty() && self.complaints.is_empty()
    }
}

/// Runs it, and tells how it goes by `say`.
///
/// # Errors
/// When the file of saved seeds cannot be read or written, or no run can be started.
pub fn run(plan: &Plan, say: &(dyn Fn(&str) + Sync)) -> std::io::Result<Report> {
    let mut report = Report::default();
    let saved = regressions::load(&plan.regressions)?;
    say(&format!(
        "comparing {} seeds with themselves",
        plan.determinism
    ));
    let differing = determinism::check(plan, say)?;
    report.complaints.extend(differing);
    let saved_runs: Vec<Child> = saved.iter().map(|saved| saved.child).collect();
    say(&format!("running {} saved seeds", saved_runs.len()));
    runs(plan, &saved_runs, &mut Report::default(), say)?
        .into_iter()
        .for_each(|failed| report.failed.push(failed));
    let new_runs: Vec<Child> = (plan.from..plan.from.saturating_add(plan.seeds))
        .map(|seed| Child {
            seed,
            seconds: plan.seconds,
            chaos: plan.chaos,
        })
        .collect();
    let failed = runs(plan, &new_runs, &mut report, say)?;
    for (child, found) in &failed {
        regressions::save(&plan.regressions, *child, found)?;
    }
    report.failed.extend(failed);
    report.complaints.extend(report.sum.below_floors());
    Ok(report)
}

/// Makes runs, several at once; adds what they met to the report and gives those that failed.
fn runs(
    plan: &Plan,
    children: &[Child],
    report: &mut Report,
    say: &(dyn Fn(&str) + Sync),
) -> std::io::Result<Vec<(Child, String)>> {
    let next = AtomicU64::new(0);
    let done = Mutex::new((std::mem::take(&mut report.sum), Vec::new(), Ok(())));
    let progress = Progress::new(children.len());
    thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let child = usize::try_from(place).ok().and_then(|at| children.get(at));
                    let Some(child) = child else { return };
                    let outcome = child.run(&plan.program);
                    let mut done = done.lock();
                    match outcome {
                        Ok(outcome) => {
                            done.0.add(&outcome.coverage, child.seconds);
                            progress.note(&outcome, &done.0, done.1.len(), say);
                            if let Some(found) = outcome.found {
                                say(&outcome.printed);
                                say(&format!("seed {} FAILED: {found}", child.seed));
                                say(&format!("  cargo xtask sim {}", child.reproduce()));
                                done.1.push((*child, found));
                            }
                        }
                        Err(error) => {
                            done.2 = Err(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    let (sum, mut failed, result) = done.into_inner();
    report.sum = sum;
    failed.sort_by_key(|(child, _)| child.seed);
    result.map(|()| failed)
}

/// Tells now and then how far a campaign is.
struct Progress {
    began: Instant,
    told: Mutex<Instant>,
    of: usize,
    simulated_ms: AtomicU64,
}

impl Progress {
    fn new(of: usize) -> Self {
        Self {
            began: now(),
            told: Mutex::new(now()),
            of,
            simulated_ms: AtomicU64::new(0),
        }
    }

    fn note(&self, outcome: &Outcome, sum: &Sum, failed: usize, say: &(dyn Fn(&str) + Sync)) {
        let simulated_ms = self
            .simulated_ms
            .fetch_add(outcome.simulated_ms, Ordering::Relaxed)
            + outcome.simulated_ms;
        let mut told = self.told.lock();
        let all = sum.runs == self.of as u64;
        if told.elapsed() < PROGRESS_EVERY && !all {
            return;
        }
        *told = now();
        let elapsed = self.began.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, reason = "these are for people to read")]
        let (rate, ratio) = (
            sum.runs as f64 / elapsed,
            simulated_ms as f64 / 1000.0 / elapsed,
        );
        say(&format!(
            "{}/{} runs, {failed} failed; {rate:.2} runs/s, {ratio:.1} simulated s/s; {}",
            sum.runs, self.of, sum.coverage
        ));
    }
}

/// The real time: how fast a campaign is has to do with nothing that it finds.
#[allow(
    clippy::disallowed_methods,
    reason = "it is told to people, and the simulation itself never sees it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Where seeds are kept, beside this crate's sources.
#[must_use]
pub fn regressions_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions.txt")
}
