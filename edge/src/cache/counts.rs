//! What the cache did for a request, for metrics and for whoever asks why.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the cache did for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered from what is kept.
    Hit,
    /// Answered from what is kept, which is stale, while a new answer is fetched.
    Stale,
    /// Answered from what is kept, because the origin failed.
    StaleIfError,
    /// Answered from what is kept, after the origin confirmed it.
    Revalidated,
    /// The origin's answer, which is kept.
    Stored,
    /// The origin's answer, which is not kept.
    Miss,
    /// The origin's answer; the cache was not looked at.
    Bypass,
}

impl Outcome {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::StaleIfError,
        Self::Revalidated,
        Self::Stored,
        Self::Miss,
        Self::Bypass,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::StaleIfError => "stale_if_error",
            Self::Revalidated => "revalidated",
            Self::Stored => "stored",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// What the cache did for a request, with more of how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it did.
    pub outcome: Outcome,
    /// The request waited for another's answer.
    pub collapsed: bool,
    /// How old the answer is, in seconds.
    pub age_s: u64,
    /// How long it is fresh from now on, in seconds; below zero, for how long it has been stale.
    pub ttl_s: i64,
}

impl Report {
    /// An answer of the origin's.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            collapsed: false,
            age_s: 0,
            ttl_s: 0,
        }
    }
}

/// In the words of this module: `hit; age=7; ttl=53`, `stored; collapsed`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.outcome.as_str())?;
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        match self.outcome {
            Outcome::Stored | Outcome::Miss | Outcome::Bypass => Ok(()),
            _ => write!(f, "; age={}; ttl={}", self.age_s, self.ttl_s),
        }
    }
}

/// One thread's counts.
#[derive(Debug, Default)]
pub struct Counts {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    collapsed: AtomicU64,
    refreshes: AtomicU64,
}

impl Counts {
    /// A request was answered.
    pub fn answered(&self, report: &Report) {
        self.outcomes[report.outcome as usize].fetch_add(1, Ordering::Relaxed);
        if report.collapsed {
            self.collapsed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A new answer is fetched in the background.
    pub fn refreshed(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests ended so.
    #[must_use]
    pub fn outcome(&self, outcome: Outcome) -> &AtomicU64 {
        &self.outcomes[outcome as usize]
    }

    /// How many requests waited for another's answer.
    #[must_use]
    pub fn collapsed(&self) -> &AtomicU64 {
        &self.collapsed
    }

    /// How many answers were fetched in the background.
    #[must_use]
    pub fn refreshes(&self) -> &AtomicU64 {
        &self.refreshes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_place_and_tells_its_story() {
        let counts = Counts::default();
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
            counts.answered(&Report::of(outcome));
            assert_eq!(counts.outcome(outcome).load(Ordering::Relaxed), 1);
        }
        assert_eq!(counts.collapsed().load(Ordering::Relaxed), 0);
        let hit = Report {
            collapsed: true,
            age_s: 7,
            ttl_s: -3,
            ..Report::of(Outcome::StaleIfError)
        };
        assert_eq!(hit.to_string(), "stale_if_error; collapsed; age=7; ttl=-3");
        assert_eq!(
            Report::of(Outcome::Revalidated).to_string(),
            "revalidated; age=0; ttl=0"
        );
        assert_eq!(Report::of(Outcome::Stored).to_string(), "stored");
    }
}
