//! What one run does, drawn from its seed: sizes, network weather and which faults strike when.
//! In a fifth of all runs nothing happens to the cluster, so that what breaks without faults is seen
//! plainly. The origin is away for a while in each.

use std::fmt;
use std::time::Duration;

use injection::Mutant;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fail_points::{self, Active};

/// Nodes in the cluster.
pub const NODES: usize = 3;
/// Edges that follow it.
pub const EDGES: usize = 2;
/// How long the cluster is left alone at first, to form and to get its first configuration.
pub const CALM: Duration = Duration::from_secs(6);

/// One run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// How long clients write while faults strike, in simulated time.
    pub duration: Duration,
    /// How many clients write and read.
    pub clients: usize,
    /// The least time a message is under way.
    pub latency_min: Duration,
    /// The longest time a message is under way.
    pub latency_max: Duration,
    /// How far each node's wall clock is off, in milliseconds.
    pub clock_skew_ms: [i64; NODES],
    /// Raft checkpoints are made after so many entries.
    pub checkpoint_every: u64,
    /// What strikes, and when (from the start of the run), in order.
    pub faults: Vec<(Duration, Fault)>,
    /// What happens at fail points while faults strike.
    pub fail_points: Vec<Active>,
    /// The bug that the product is given.
    pub mutant: Option<Mutant>,
}

/// Something that goes wrong, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The leader is cut off from the other nodes.
    IsolateLeader(Duration),
    /// One node, by index, is cut off from the other nodes.
    IsolateNode(usize, Duration),
    /// Messages from one node to another are lost, but not the other way.
    CutOneWay(usize, usize, Duration),
    /// The leader's process dies and its disk loses what was not synced.
    CrashLeader(Duration),
    /// A node's process dies likewise.
    CrashNode(usize, Duration),
    /// All nodes die at once.
    CrashAll(Duration),
    /// An edge is cut off from all nodes.
    IsolateEdge(usize, Duration),
    /// An edge's process dies.
    CrashEdge(usize, Duration),
    /// Messages between two nodes are held back and all delivered at the end.
    Hold(usize, usize, Duration),
    /// The origin that edges send requests to is gone.
    CrashOrigin(Duration),
}

impl Options {
    /// Draws a run.
    #[must_use]
    pub fn draw(seed: u64, duration: Duration) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let latency_min = Duration::from_micros(rng.random_range(200..=2_000));
        let latency_max = latency_min + Duration::from_micros(rng.random_range(500..=40_000));
        let clock_skew_ms = std::array::from_fn(|_| rng.random_range(-2_000..=2_000));
        let clients = rng.random_range(2..=4);
        let checkpoint_every = rng.random_range(20..=400);
        let mut faults = if rng.random_range(0..5) == 0 {
            Vec::new()
        } else {
            draw_faults(&mut rng, duration)
        };
        // Whatever else happens: it is not the cluster's fault, and long enough to be told of.
        let origin = Fault::CrashOrigin(Duration::from_millis(rng.random_range(10_000..=18_000)));
        faults.push((
            Duration::from_millis(rng.random_range(1_000..=5_000)),
            origin,
        ));
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            duration,
            clients,
            latency_min,
            latency_max,
            clock_skew_ms,
            checkpoint_every,
            fail_points: if faults.len() > 1 {
                fail_points::draw(seed)
            } else {
                Vec::new()
            },
            faults,
            mutant: None,
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} for {} s", self.seed, self.duration.as_secs())?;
        writeln!(
            f,
            "  clients {}, checkpoint every {} entries",
            self.clients, self.checkpoint_every
        )?;
        writeln!(
            f,
            "  latency {:?} to {:?}, clock skew {:?} ms",
            self.latency_min, self.latency_max, self.clock_skew_ms
        )?;
        write!(f, "  {} faults", self.faults.len())?;
        for (at, fault) in &self.faults {
            write!(f, "\n    {:6.2} s {fault:?}", at.as_secs_f64())?;
        }
        for active in &self.fail_points {
            write!(f, "\n    {active}")?;
        }
        if let Some(mutant) = self.mutant {
            write!(f, "\n  mutant {mutant}")?;
        }
        Ok(())
    }
}

/// Faults one after another, each healed before the next or overlapping it by chance.
fn draw_faults(rng: &mut ChaCha8Rng, duration: Duration) -> Vec<(Duration, Fault)> {
    let enabled: [bool; 9] = std::array::from_fn(|_| rng.random_range(0..3) > 0);
    let mut faults = Vec::new();
    let mut at = CALM;
    loop {
        at += Duration::from_millis(rng.random_range(500..=5_000));
        if at >= CALM + duration {
            return faults;
        }
        let lasts = Duration::from_millis(rng.random_range(300..=6_000));
        let kind = rng.random_range(0..enabled.len());
        let node = rng.random_range(0..NODES);
        let other = (node + rng.random_range(1..NODES)) % NODES;
        let edge = rng.random_range(0..EDGES);
        if !enabled[kind] {
            continue;
        }
        faults.push((
            at,
            match kind {
                0 => Fault::IsolateLeader(lasts),
                1 => Fault::IsolateNode(node, lasts),
                2 => Fault::CutOneWay(node, other, lasts),
                3 => Fault::CrashLeader(lasts),
                4 => Fault::CrashNode(node, lasts),
                5 => Fault::CrashAll(lasts),
                6 => Fault::IsolateEdge(edge, lasts),
                7 => Fault::CrashEdge(edge, lasts),
                _ => Fault::Hold(node, other, lasts),
            },
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_run_and_another_seed_another() {
        let draw = |seed| Options::draw(seed, Duration::from_secs(30)).to_string();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_fault_strikes_within_some_runs_and_in_some_none_strikes_the_cluster() {
        let runs: Vec<_> = (0..60)
            .map(|seed| Options::draw(seed, Duration::from_secs(30)))
            .collect();
        let names: std::collections::BTreeSet<String> = runs
            .iter()
            .flat_map(|run| &run.faults)
            .map(|(_, fault)| {
                format!("{fault:?}")
                    .split('(')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        assert_eq!(names.len(), 10, "{names:?}");
        assert!(runs.iter().any(|run| run.faults.len() == 1));
    }
}
