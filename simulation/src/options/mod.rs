//! What one run does, drawn from its seed: sizes, timing, network weather and which faults strike
//! when. Each run draws the kinds of faults that it has, so that some meet that seldom would if
//! all were about. In a fifth of all runs nothing happens to the cluster, so that what breaks
//! without faults is seen plainly; the origin is away for a while in each.

mod change;
mod fault;

use std::fmt;
use std::time::Duration;

use injection::Mutant;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fail_points::{self, Active};
use crate::scenarios::Scenario;
use fault::{HERD_KIND, KINDS, Place};

pub use change::Change;
pub use fault::{Badness, Behaviour, DiskOperation, Fault, INSTALLING, Whom};

/// How long the cluster is left alone at first, to form and to get its first configuration.
pub const CALM: Duration = Duration::from_secs(6);

/// How far a world may go on at once.
const TICKS: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
];

/// How many edges a herd is.
const HERD: usize = 30;

/// How much goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chaos {
    /// What the seed says.
    #[default]
    Drawn,
    /// Everything, all the time.
    Maximal,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// How long clients write while faults strike, in simulated time.
    pub duration: Duration,
    /// How much goes wrong.
    pub chaos: Chaos,
    /// How many nodes vote at first.
    pub voters: usize,
    /// How many more can join.
    pub spares: usize,
    /// How many edges follow, each on a host of its own.
    pub edges: usize,
    /// How many more share one host, so that there are many.
    pub herd: usize,
    /// How many clients write and read.
    pub clients: usize,
    /// How many receivers of webhooks there are.
    pub receivers: usize,
    /// How far the world goes on at once: hosts hear of what others sent between two of these. A coarse
    /// one has more happen at the same time, and goes faster.
    pub tick: Duration,
    /// The least time a message is under way.
    pub latency_min: Duration,
    /// The longest time a message is under way.
    pub latency_max: Duration,
    /// Each node's wall clock.
    pub clocks: Vec<ClockOptions>,
    /// Timing of consensus.
    pub raft: RaftOptions,
    /// What the disks write as one.
    pub block_bytes: usize,
    /// What strikes, in order.
    pub faults: Vec<Planned>,
    /// What happens at fail points while faults strike.
    pub fail_points: Vec<Active>,
    /// The bug that the product is given.
    pub mutant: Option<Mutant>,
    /// The script that is played instead of random faults.
    pub scenario: Option<Scenario>,
}

/// How a wall clock is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOptions {
    /// How far it is off at the start, in milliseconds.
    pub skew_ms: i64,
    /// How much too fast it is, in parts per million.
    pub drift_ppm: i64,
}

/// Timing of consensus, as the node's settings have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftOptions {
    /// How often a leader says that it is there.
    pub heartbeat_ms: u64,
    /// The shortest election time-out.
    pub election_timeout_min_ms: u64,
    /// The longest election time-out.
    pub election_timeout_max_ms: u64,
    /// Checkpoints are made after so many entries.
    pub checkpoint_every: u64,
    /// So many of the entries that a checkpoint covers stay.
    pub kept: u64,
}

/// A fault to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When, from the start of the run.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub fault: Fault,
}

impl Options {
    /// Draws a run.
    #[must_use]
    pub fn draw(seed: u64, duration: Duration, chaos: Chaos) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let latency_min = Duration::from_micros(rng.random_range(200..=2_000));
        let latency_max = latency_min + Duration::from_micros(rng.random_range(500..=40_000));
        let voters = if rng.random_bool(0.3) { 5 } else { 3 };
        let edges = rng.random_range(2..=4);
        let receivers = 2;
        let place = Place {
            voters,
            edges,
            receivers,
        };
        let mut clocks: Vec<_> = (0..voters).map(|_| draw_clock(&mut rng)).collect();
        let clients = rng.random_range(4..=6);
        let raft = draw_raft(&mut rng);
        let block_bytes = if rng.random() { 512 } else { 4096 };
        let mut faults = match chaos {
            Chaos::Maximal => draw_faults(&mut rng, duration, &place, [true; KINDS], 700),
            Chaos::Drawn if rng.random_range(0..5) == 0 => Vec::new(),
            Chaos::Drawn => {
                let mut enabled: [bool; KINDS] = std::array::from_fn(|_| rng.random());
                // A herd makes a run slow.
                enabled[HERD_KIND] &= rng.random::<bool>();
                let gap_ms = rng.random_range(1_200..=4_000);
                let mut faults = draw_faults(&mut rng, duration, &place, enabled, gap_ms);
                if !faults.is_empty() && rng.random() {
                    faults.push(edge_away_at_the_end(&mut rng, duration, &place));
                }
                faults
            }
        };
        let herd = if faults.iter().any(|planned| planned.fault == Fault::Herd) {
            HERD
        } else {
            0
        };
        let fail_points = match chaos {
            Chaos::Maximal => fail_points::draw_all(seed),
            Chaos::Drawn if faults.is_empty() => Vec::new(),
            Chaos::Drawn => fail_points::draw(seed),
        };
        // Whatever else happens: it is not the cluster's fault, and long enough to be told of.
        faults.push(Planned {
            at: Duration::from_millis(rng.random_range(1_000..=5_000)),
            lasts: Duration::from_millis(rng.random_range(10_000..=18_000)),
            fault: Fault::CrashOrigin,
        });
        let mut spares = 0;
        if faults
            .iter()
            .any(|planned| matches!(planned.fault, Fault::Demote(_)))
        {
            spares = change::SPARES;
            clocks.resize_with(voters + spares, ClockOptions::default);
            faults.extend(change::draw(seed, duration, voters));
        }
        faults.sort_by_key(|planned| planned.at);
        let tick = TICKS[rng.random_range(0..TICKS.len())];
        Self {
            seed,
            duration,
            chaos,
            voters,
            spares,
            edges,
            herd,
            clients,
            receivers,
            tick,
            latency_min,
            latency_max,
            clocks,
            raft,
            block_bytes,
            faults,
            fail_points,
            mutant: None,
            scenario: None,
        }
    }

    /// How many nodes there ever are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.voters + self.spares
    }

    /// Lets so many more nodes join.
    pub fn set_spares(&mut self, spares: usize) {
        self.spares = spares;
        self.clocks
            .resize_with(self.voters + spares, ClockOptions::default);
    }

    /// How many nodes can be lost for good.
    #[must_use]
    pub fn minority(&self) -> usize {
        (self.voters - 1) / 2
    }

    /// By how much wall clocks differ at most within so much time, unless one jumps.
    #[must_use]
    pub fn clocks_apart(&self, within: Duration) -> Duration {
        let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let ahead = |clock: &ClockOptions, at_ms: i64| {
            clock.skew_ms + at_ms.saturating_mul(clock.drift_ppm) / 1_000_000
        };
        let apart = [0, within_ms].map(|at_ms| {
            let ahead = self.clocks.iter().map(|clock| ahead(clock, at_ms));
            ahead.clone().max().unwrap_or(0) - ahead.min().unwrap_or(0)
        });
        let most = apart.into_iter().max().unwrap_or(0);
        Duration::from_millis(u64::try_from(most).unwrap_or(0))
    }

    /// How many edges there are in all.
    #[must_use]
    pub fn all_edges(&self) -> usize {
        self.edges + self.herd
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, raft, .. } = self;
        writeln!(
            f,
            "seed {seed} for {} s, {:?} chaos",
            self.duration.as_secs(),
            self.chaos
        )?;
        writeln!(
            f,
            "  {} voters and up to {} more, {} edges and a herd of {}, {} clients, {} receivers",
            self.voters, self.spares, self.edges, self.herd, self.clients, self.receivers
        )?;
        writeln!(f, "  {raft:?}, blocks of {} bytes", self.block_bytes)?;
        writeln!(
            f,
            "  ticks of {:?}, latency {:?} to {:?}, clocks {:?}",
            self.tick, self.latency_min, self.latency_max, self.clocks
        )?;
        write!(f, "  {} faults", self.faults.len())?;
        for Planned { at, lasts, fault } in &self.faults {
            write!(
                f,
                "\n    {:6.2} s {fault:?} for {lasts:?}",
                at.as_secs_f64()
            )?;
        }
        for active in &self.fail_points {
            write!(f, "\n    {active}")?;
        }
        if let Some(scenario) = self.scenario {
            write!(f, "\n  scenario {}: {}", scenario.name, scenario.tells)?;
        }
        if let Some(mutant) = self.mutant {
            write!(f, "\n  mutant {mutant}")?;
        }
        Ok(())
    }
}

fn draw_clock(rng: &mut ChaCha8Rng) -> ClockOptions {
    ClockOptions {
        skew_ms: rng.random_range(-2_000..=2_000),
        // A twentieth either way, in half of all cases.
        drift_ppm: if rng.random() {
            rng.random_range(-50_000..=50_000)
        } else {
            0
        },
    }
}

fn draw_raft(rng: &mut ChaCha8Rng) -> RaftOptions {
    let checkpoint_every = rng.random_range(20..=400);
    let heartbeat_ms = rng.random_range(50..=150);
    RaftOptions {
        heartbeat_ms,
        election_timeout_min_ms: heartbeat_ms * 5 / 2,
        election_timeout_max_ms: heartbeat_ms * 5,
        checkpoint_every,
        // Nothing is kept in two of three runs, so that whoever was away needs a checkpoint.
        kept: if rng.random_bool(2.0 / 3.0) {
            0
        } else {
            checkpoint_every / 2
        },
    }
}

/// Faults one after another, each healed before the next or overlapping it by chance.
fn draw_faults(
    rng: &mut ChaCha8Rng,
    duration: Duration,
    place: &Place,
    enabled: [bool; KINDS],
    gap_ms: u64,
) -> Vec<Planned> {
    let kinds: Vec<usize> = (0..KINDS).filter(|kind| enabled[*kind]).collect();
    let mut faults = Vec::new();
    let mut at = CALM;
    loop {
        at += Duration::from_millis(rng.random_range(gap_ms / 4..=gap_ms * 7 / 4));
        if at >= CALM + duration || kinds.is_empty() {
            return faults;
        }
        let kind = kinds[rng.random_range(0..kinds.len())];
        let (fault, lasts) = Fault::draw(kind, place, rng);
        faults.push(Planned { at, lasts, fault });
    }
}

/// An edge that is cut off when the faults end, and comes back to a cluster that has nothing new to
/// tell.
fn edge_away_at_the_end(rng: &mut ChaCha8Rng, duration: Duration, place: &Place) -> Planned {
    let before = Duration::from_millis(rng.random_range(1_000..=6_000));
    Planned {
        at: CALM + duration.saturating_sub(before),
        lasts: before * 2,
        fault: Fault::IsolateEdge(rng.random_range(0..place.edges)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn draw(seed: u64) -> Options {
        Options::draw(seed, Duration::from_secs(30), Chaos::Drawn)
    }

    #[test]
    fn a_seed_gives_one_run_and_another_seed_another() {
        assert_eq!(draw(7).to_string(), draw(7).to_string());
        assert_ne!(draw(7).to_string(), draw(8).to_string());
    }

    #[test]
    fn every_fault_strikes_within_a_tenth_of_all_runs_and_in_some_none_strikes_the_cluster() {
        let runs: Vec<_> = (0..400).map(draw).collect();
        let mut struck: BTreeMap<&str, usize> = BTreeMap::new();
        for run in &runs {
            let numbers: BTreeSet<_> = run.faults.iter().map(|it| it.fault.number()).collect();
            for number in numbers {
                *struck.entry(number).or_default() += 1;
            }
        }
        assert_eq!(struck.len(), 20, "{struck:?}");
        assert!(struck.values().all(|runs| *runs >= 40), "{struck:?}");
        let calm = runs.iter().filter(|run| run.faults.len() == 1).count();
        assert!((50..=110).contains(&calm), "{calm}");
    }

    #[test]
    fn clocks_are_apart_by_what_they_are_off_and_drift() {
        let clock = |skew_ms, drift_ppm| ClockOptions { skew_ms, drift_ppm };
        let mut run = draw(1);
        run.clocks = vec![clock(-500, 0), clock(700, -10_000), clock(0, 10_000)];
        let apart = |seconds| run.clocks_apart(Duration::from_secs(seconds));
        assert_eq!(apart(0), Duration::from_millis(1_200));
        assert_eq!(apart(100), Duration::from_millis(1_500));
    }

    #[test]
    fn maximal_chaos_has_every_kind() {
        let run = Options::draw(1, Duration::from_secs(120), Chaos::Maximal);
        let numbers: BTreeSet<_> = run.faults.iter().map(|it| it.fault.number()).collect();
        assert_eq!(numbers.len(), 20, "{numbers:?}");
    }
}
