//! What a scenario found: how much was done, the figures, and what must not be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

use crate::load::Record;

/// More violations of one scenario than this tell nothing new.
const VIOLATIONS_MAX: usize = 50;

/// What a scenario found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// How many faults were done.
    pub faults: usize,
    /// How many writes were acknowledged.
    pub acknowledged: usize,
    /// How many reads were answered.
    pub reads: usize,
    /// For each fault, the longest time without an acknowledged write, in milliseconds; sorted.
    pub gaps_ms: Vec<f64>,
    /// What else was measured.
    pub figures: BTreeMap<&'static str, String>,
    /// What must not be, however busy the machine is.
    pub violations: Vec<String>,
    /// What took longer than it should.
    pub late: Vec<String>,
}

impl Findings {
    /// Those of a load with faults at these moments.
    #[must_use]
    pub fn of(record: &Record, faults: &[u64]) -> Self {
        let gaps = record.gaps(faults).into_iter();
        let mut gaps_ms: Vec<f64> = gaps.map(|gap| gap.as_secs_f64() * 1000.0).collect();
        gaps_ms.sort_by(f64::total_cmp);
        let mut findings = Self {
            faults: faults.len(),
            acknowledged: record.acknowledged(),
            reads: record.reads(),
            gaps_ms,
            violations: record.violations.clone(),
            ..Self::default()
        };
        // A load that did nothing would find nothing.
        findings.demand(findings.acknowledged > faults.len(), || {
            "next to nothing was acknowledged, so nothing was shown".to_owned()
        });
        findings.violations.truncate(VIOLATIONS_MAX);
        findings
    }

    /// A violation, unless it holds.
    pub fn demand(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    /// Demands that every operation succeeded in the end.
    pub fn none_failed(&mut self, record: &Record) {
        let failed = record.failed();
        self.demand(failed.is_empty(), || {
            format!("operations failed: {failed:?}")
        });
    }

    /// How often an operation may have been tried again. On a busy machine clients give up waiting earlier than nodes do.
    pub fn retries_at_most(&mut self, record: &Record, most: usize) {
        let beyond = record.beyond(most + 1);
        self.in_time(beyond.is_empty(), || {
            format!("operations that were tried again more than {most} times: {beyond:?}")
        });
    }

    /// A figure of time that is missed, unless it is kept. Where others use the machine, too, it may be by their doing.
    pub fn in_time(&mut self, kept: bool, otherwise: impl FnOnce() -> String) {
        if !kept {
            self.late.push(otherwise());
        }
    }

    /// Notes how long something took, and that it should have been that long at most.
    pub fn at_most(&mut self, name: &'static str, took: Duration, most: Duration) {
        self.figure(name, ms(took));
        self.in_time(took <= most, || {
            format!("{name}: {}, {} at most are allowed", ms(took), ms(most))
        });
    }

    /// No time without an acknowledged write should be longer.
    pub fn gaps_at_most(&mut self, most: Duration) {
        let longest = self.gap(1.0);
        let most = most.as_secs_f64() * 1000.0;
        self.in_time(longest <= most, || {
            format!("no write was acknowledged for {longest:.0} ms, {most:.0} at most are allowed")
        });
    }

    /// The gap that a share of all stays below, in milliseconds; 0 if there are none.
    #[must_use]
    pub fn gap(&self, share: f64) -> f64 {
        quantile(&self.gaps_ms, share)
    }

    /// Notes a figure.
    pub fn figure(&mut self, name: &'static str, value: impl Display) {
        self.figures.insert(name, value.to_string());
    }
}

/// The value that a share of sorted values stays below; 0 if there are none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let places = (0..sorted.len()).rev();
    let reached = |place: &usize| as_float(*place) >= share * as_float(last) - 1e-9;
    let place = places.take_while(reached).last().unwrap_or(last);
    sorted.get(place).copied().unwrap_or_default()
}

/// Milliseconds, as people read them.
#[must_use]
pub fn ms(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

/// Durations as sorted milliseconds.
#[must_use]
pub fn sorted_ms(durations: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut all: Vec<f64> = durations.map(|took| took.as_secs_f64() * 1000.0).collect();
    all.sort_by(f64::total_cmp);
    all
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 3.0), (0.51, 4.0), (0.99, 5.0), (1.0, 5.0)] {
            assert!(
                (quantile(&values, share) - expected).abs() < 1e-9,
                "{share}"
            );
        }
        assert!(quantile(&[], 0.5).abs() < 1e-9);
    }

    #[test]
    fn too_long_a_gap_is_told() {
        let mut findings = Findings {
            gaps_ms: vec![100.0, 900.0],
            ..Findings::default()
        };
        findings.gaps_at_most(Duration::from_secs(1));
        assert!(findings.late.is_empty());
        findings.gaps_at_most(Duration::from_millis(800));
        findings.at_most("a start", Duration::from_secs(3), Duration::from_secs(2));
        assert_eq!(findings.late.len(), 2);
        assert!(findings.violations.is_empty());
    }
}
