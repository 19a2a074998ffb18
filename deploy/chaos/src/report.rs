//! What is said of scenarios while they play, and what is kept of them: a table, and the same as JSON.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::figures::Table;
use serde::Serialize;
use serde_json::json;
use xtask::report::{duration, fact, line, step};

use crate::findings::Findings;
use crate::scenarios::Form;

/// How many violations are shown in full; all are in the file.
const SHOWN_MAX: usize = 8;

/// How a scenario ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// All held.
    Passed,
    /// Something did not; the findings say what.
    Failed,
    /// It could not be played here.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// A scenario that has ended.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Its name.
    pub id: &'static str,
    /// What it does.
    pub title: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What it found.
    pub findings: Findings,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Played {
    /// Of a scenario that was played, with what came of it. Figures of time that were missed are told either way, and
    /// judged where it is `timed`.
    #[must_use]
    pub fn new(
        (id, title): (&'static str, &'static str),
        outcome: Result<Findings>,
        took: Duration,
        timed: bool,
    ) -> Self {
        let findings = outcome.unwrap_or_else(|error| Findings {
            violations: vec![format!("{error:#}")],
            ..Findings::default()
        });
        Self {
            id,
            title,
            verdict: if findings.violations.is_empty() && (!timed || findings.late.is_empty()) {
                Verdict::Passed
            } else {
                Verdict::Failed
            },
            findings,
            seconds: took.as_secs_f64(),
        }
    }

    /// Of one that could not be played.
    #[must_use]
    pub fn skipped((id, title): (&'static str, &'static str), reason: String) -> Self {
        Self {
            id,
            title,
            verdict: Verdict::Skipped { reason },
            findings: Findings::default(),
            seconds: 0.0,
        }
    }

    /// Whether it failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed)
    }

    /// Says how it ended.
    pub fn tell(&self) {
        for (name, value) in &self.findings.figures {
            fact(format_args!("{name}: {value}"));
        }
        for violation in self.findings.violations.iter().take(SHOWN_MAX) {
            fact(format_args!("VIOLATION: {violation}"));
        }
        let more = self.findings.violations.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            fact(format_args!("and {more} more violations"));
        }
        for late in self.findings.late.iter().take(SHOWN_MAX) {
            fact(format_args!("LATE: {late}"));
        }
        let took = duration(Duration::from_secs_f64(self.seconds));
        fact(format_args!("{} after {took}", self.word()));
    }

    fn word(&self) -> String {
        match &self.verdict {
            Verdict::Passed if !self.findings.late.is_empty() => "passed, late".to_owned(),
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed => "FAILED".to_owned(),
            Verdict::Skipped { reason } => format!("SKIPPED: {reason}"),
        }
    }
}

/// Announces a scenario.
pub fn announce(id: &str, title: &str) {
    step(format_args!("{id}: {title}"));
}

/// Prints the table of all that were played.
pub fn table(all: &[Played]) {
    let mut table = Table::new([
        "scenario", "faults", "writes", "reads", "gap p50", "p99", "max ms", "s", "verdict",
    ]);
    for played in all {
        let found = &played.findings;
        let gap = |share| {
            if found.gaps_ms.is_empty() {
                "-".to_owned()
            } else {
                format!("{:.0}", found.gap(share))
            }
        };
        table.row([
            format!("{:<4} {}", played.id, played.title),
            found.faults.to_string(),
            found.acknowledged.to_string(),
            found.reads.to_string(),
            gap(0.5),
            gap(0.99),
            gap(1.0),
            format!("{:.0}", played.seconds),
            played.word(),
        ]);
    }
    line(format_args!("\n{}", table.render()));
}

/// Says what the verdicts do not rest on.
pub fn note_times(timed: bool, all: &[Played]) {
    let late = all.iter().filter(|played| !played.findings.late.is_empty());
    let late = late.count();
    if !timed && late > 0 {
        line(format_args!(
            "{late} scenarios missed figures of time, which are not judged here"
        ));
    }
}

/// Writes it all to a file.
///
/// # Errors
/// When that cannot be written.
pub fn write(path: &Path, form: Form, all: &[Played]) -> Result<()> {
    let report = json!({
        "form": if form.long { "long" } else { "short" },
        "times_judged": form.timed,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "scenarios": all,
    });
    std::fs::write(path, format!("{report:#}\n"))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    line(format_args!("The figures are in {}", path.display()));
    Ok(())
}
