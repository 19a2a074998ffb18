//! How much of what a run met. A campaign adds its runs up and fails if it met too little: checks
//! that pass because nothing happened say nothing.

mod races;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use injection::Point;

use crate::checks::{self, Judged};
use crate::history::{Answer, Attempt, History, LeaderChange};

/// The numbers of the faults in the matrix that runs have.
pub const FAULTS: [&str; 20] = [
    "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F9", "F10", "F11", "F12", "F13", "F14", "F15",
    "F16", "F19", "F20", "F21", "F22", "F24",
];

/// What has to be met within 200 runs of 60 simulated seconds, all together.
const FLOORS: [(&str, u64); 19] = [
    ("acked_writes", 50_000),
    ("linearizable_reads", 50_000),
    ("leader_changes", 1_000),
    ("checkpoint_installs", 300),
    ("membership_changes", 200),
    ("crashes", 1_000),
    ("torn_tails", 200),
    ("retries_across_leaders", 2_000),
    ("nacks", 500),
    ("keys_retired", 20),
    ("outages_told", 100),
    ("states_compared", 300),
    ("race_archive_publish", 400),
    ("race_archive_reorder", 400),
    ("race_archive_rollback", 400),
    ("race_publish_reorder", 400),
    ("race_publish_rollback", 400),
    ("race_reorder_rollback", 400),
    ("races_in_partitions", 100),
];

/// How often each fail point is come by in these.
const POINT_FLOOR: u64 = 20;

/// Of so many histories of single objects one may be left without a verdict.
const VERDICTS_PER_UNKNOWN: u64 = 100;

/// The simulated seconds that [`FLOORS`] are for.
const FLOOR_SECONDS: f64 = 12_000.0;

/// The share of runs that have each kind of fault.
const FAULT_SHARE: f64 = 0.1;

/// The share of operations that succeed in a run that counts as one in which much did, and the
/// share of runs that do, in percent.
const SUCCESS_PERCENT: u64 = 70;
const SUCCESSFUL_RUNS: f64 = 0.6;

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    /// How often.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }

    /// Notes something.
    pub fn count(&mut self, name: &str, by: u64) {
        *self.0.entry(name.to_owned()).or_default() += by;
    }

    /// Whether much of what clients asked for came through.
    #[must_use]
    pub fn is_successful(&self) -> bool {
        let tried = self.get("tried");
        tried > 0 && self.get("succeeded") * 100 >= tried * SUCCESS_PERCENT
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("coverage")?;
        for (name, count) in &self.0 {
            write!(f, " {name}={count}")?;
        }
        Ok(())
    }
}

impl FromStr for Coverage {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        if words.next() != Some("coverage") {
            return Err(format!("this says nothing of coverage: {line}"));
        }
        let pairs = words.map(|word| {
            let (name, count) = word.split_once('=').ok_or(word)?;
            Ok((name.to_owned(), count.parse().map_err(|_| word)?))
        });
        let counts: Result<_, &str> = pairs.collect();
        counts
            .map(Self)
            .map_err(|word| format!("{word} is no count"))
    }
}

/// What a run met; `faults` is what struck.
#[must_use]
pub fn of(history: &History, faults: &BTreeMap<String, u64>) -> Coverage {
    let mut coverage = Coverage(faults.clone());
    let mut count = |name: &str, many: usize| coverage.count(name, many as u64);
    let attempts = &history.attempts;
    let done = |attempt: &&Attempt| matches!(attempt.answer, Answer::Done(_));
    let writes = |attempt: &&Attempt| attempt.call.operation.writes();
    count(
        "acked_writes",
        attempts.iter().filter(done).filter(writes).count(),
    );
    let linearizable = |attempt: &&Attempt| !writes(attempt) && !attempt.call.stale;
    count(
        "linearizable_reads",
        attempts.iter().filter(done).filter(linearizable).count(),
    );
    let refused = |attempt: &&Attempt| matches!(attempt.answer, Answer::Refused { .. });
    count("refused", attempts.iter().filter(refused).count());
    count("succeeded", attempts.iter().filter(done).count());
    count("tried", attempts.iter().filter(|it| !refused(it)).count());
    count("leader_changes", history.leaders.len().saturating_sub(1));
    count(
        "retries_across_leaders",
        retries_across_leaders(attempts, &history.leaders),
    );
    let refusals = history.words.iter().filter(|word| word.refused.is_some());
    count("nacks", refusals.count());
    count("deliveries", history.deliveries.len());
    count("manifests", history.manifests.len());
    count("probes", history.probes.len());
    let told = history.finals.values().map(|state| state.outages.len());
    count("outages_told", told.max().unwrap_or(0));
    for (name, many) in races::count(history) {
        count(name, many);
    }
    let Judged { known, unknown } = checks::judged(history);
    coverage.count("verdicts", known);
    coverage.count("verdicts_unknown", unknown);
    coverage
}

/// Attempts under a key that another attempt was made with before, when another node led.
fn retries_across_leaders(attempts: &[Attempt], leaders: &[LeaderChange]) -> usize {
    let led_at = |time: u64| leaders.partition_point(|change| change.at_us <= time);
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut in_order: Vec<&Attempt> = attempts.iter().collect();
    in_order.sort_by_key(|attempt| attempt.sent_us);
    let across = in_order.into_iter().filter(|attempt| {
        let Some(key) = attempt.call.key.as_deref() else {
            return false;
        };
        let leader = led_at(attempt.sent_us);
        *first.entry(key).or_insert(leader) != leader
    });
    across.count()
}

/// What a campaign met.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// All runs' counts.
    pub coverage: Coverage,
    /// In how many runs each was met at all.
    pub runs_with: BTreeMap<String, u64>,
    /// How many runs there were.
    pub runs: u64,
    /// In how many of them much of what clients asked for came through.
    pub successful: u64,
    /// How long all runs were, without calm and healing, in simulated seconds.
    pub seconds: u64,
}

impl Sum {
    /// Adds a run that was planned for so many seconds.
    pub fn add(&mut self, coverage: &Coverage, seconds: u64) {
        self.coverage.add(coverage);
        for (name, count) in &coverage.0 {
            *self.runs_with.entry(name.clone()).or_default() += u64::from(*count > 0);
        }
        self.runs += 1;
        self.successful += u64::from(coverage.is_successful());
        self.seconds += seconds;
    }

    /// What was met too seldom. What a small campaign may be below by chance, three times the
    /// deviation of such a count, is allowed to it.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "these are counts of what happened in a few hours"
    )]
    pub fn below_floors(&self) -> Vec<String> {
        let share = self.seconds as f64 / FLOOR_SECONDS;
        let allowed = |expected: f64| {
            let slack = if share < 1.0 {
                3.0 * expected.sqrt()
            } else {
                0.0
            };
            (expected - slack).max(0.0)
        };
        let mut below = Vec::new();
        let points = Point::ALL.iter().map(|point| (point.name(), POINT_FLOOR));
        for (name, floor) in FLOORS.into_iter().chain(points) {
            let (met, floor) = (
                self.coverage.get(name) as f64,
                allowed(floor as f64 * share),
            );
            if met < floor {
                below.push(format!("{name}: {met} of at least {floor:.0}"));
            }
        }
        let unknown = self.coverage.get("verdicts_unknown");
        let objects = self.coverage.get("verdicts") + unknown;
        if unknown * VERDICTS_PER_UNKNOWN > objects {
            below.push(format!(
                "{unknown} of {objects} histories of single objects have no verdict"
            ));
        }
        let runs = self.runs as f64;
        for fault in FAULTS {
            let met = self.runs_with.get(fault).copied().unwrap_or_default() as f64;
            let floor = allowed(runs * FAULT_SHARE);
            if met < floor {
                below.push(format!(
                    "{fault} in {met} of {runs} runs, at least {floor:.0}"
                ));
            }
        }
        let (met, floor) = (self.successful as f64, allowed(runs * SUCCESSFUL_RUNS));
        if met < floor {
            below.push(format!(
                "{met} of {runs} runs had {SUCCESS_PERCENT} % of operations succeed, at least {floor:.0}"
            ));
        }
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plenty() -> Coverage {
        let points = Point::ALL.iter().map(|point| (point.name(), POINT_FLOOR));
        let counts = FLOORS.into_iter().chain(points);
        let counts = counts.map(|(name, floor)| format!("{name}={floor}"));
        let faults = FAULTS.iter().map(|fault| format!("{fault}=1"));
        let words: Vec<_> = counts.chain(faults).collect();
        let line = format!("coverage {} tried=10 succeeded=9", words.join(" "));
        line.parse().unwrap()
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let mut coverage = Coverage::default();
        coverage.count("crashes", 3);
        coverage.count("F1", 0);
        assert_eq!(coverage.to_string(), "coverage F1=0 crashes=3");
        assert_eq!(coverage.to_string().parse(), Ok(coverage));
        assert!("coverage crashes".parse::<Coverage>().is_err());
        assert!("coverage crashes=many".parse::<Coverage>().is_err());
        assert!("seed 3".parse::<Coverage>().is_err());
    }

    #[test]
    fn a_campaign_that_met_enough_passes_and_one_that_met_nothing_does_not() {
        let mut sum = Sum::default();
        sum.add(&plenty(), 12_000);
        assert_eq!(sum.below_floors(), [""; 0]);
        let mut idle = Sum::default();
        for _ in 0..200 {
            idle.add(&Coverage::default(), 60);
        }
        let all = FLOORS.len() + Point::ALL.len() + FAULTS.len() + 1;
        assert_eq!(idle.below_floors().len(), all);
    }

    #[test]
    fn each_floor_counts_by_itself() {
        let points = Point::ALL.iter().map(|point| (point.name(), POINT_FLOOR));
        for (name, floor) in FLOORS.into_iter().chain(points) {
            let mut coverage = plenty();
            coverage.0.insert(name.to_owned(), floor - 1);
            let mut sum = Sum::default();
            sum.add(&coverage, 12_000);
            let below = sum.below_floors();
            assert_eq!(below.len(), 1, "{below:?}");
            assert!(below[0].starts_with(name));
        }
    }

    #[test]
    fn a_campaign_that_leaves_more_than_one_verdict_of_a_hundred_open_fails() {
        let below = |unknown: u64| {
            let mut coverage = plenty();
            coverage.count("verdicts", 1_000 - unknown);
            coverage.count("verdicts_unknown", unknown);
            let mut sum = Sum::default();
            sum.add(&coverage, 12_000);
            sum.below_floors()
        };
        assert_eq!(below(10), [""; 0]);
        assert_eq!(
            below(11),
            ["11 of 1000 histories of single objects have no verdict"]
        );
    }

    #[test]
    fn a_small_campaign_may_fall_short_by_chance_and_not_by_far() {
        let small = |crashes: u64| {
            let mut coverage = plenty();
            coverage.0.insert("crashes".to_owned(), crashes);
            let mut sum = Sum::default();
            sum.add(&coverage, 1_200);
            sum.below_floors().len()
        };
        assert_eq!(small(75), 0);
        assert_eq!(small(65), 1);
    }
}
