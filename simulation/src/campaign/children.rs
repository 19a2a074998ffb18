//! One run in a process of its own.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::coverage::Coverage;
use crate::options::Chaos;

/// A run to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// The seed.
    pub seed: u64,
    /// For how long faults strike, in simulated seconds.
    pub seconds: u64,
    /// How much goes wrong.
    pub chaos: Chaos,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it met.
    pub coverage: Coverage,
    /// The first thing that was wrong, if anything was.
    pub found: Option<String>,
    /// How long it was, in simulated milliseconds.
    pub simulated_ms: u64,
    /// All that it printed.
    pub printed: String,
}

impl Child {
    /// The arguments that make this run.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--seed".to_owned(), self.seed.to_string()];
        arguments.extend(self.rest());
        arguments
    }

    /// The arguments that make this run and tell its story.
    #[must_use]
    pub fn reproduce(&self) -> String {
        format!("--reproduce {} {}", self.seed, self.rest().join(" "))
    }

    fn rest(&self) -> Vec<String> {
        let mut arguments = vec!["--seconds".to_owned(), self.seconds.to_string()];
        if self.chaos == Chaos::Maximal {
            arguments.extend(["--chaos".to_owned(), "maximal".to_owned()]);
        }
        arguments
    }

    /// Makes it.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn run(&self, program: &Path) -> io::Result<Outcome> {
        let output = Command::new(program).args(self.arguments()).output()?;
        let printed = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let line = |start: &str| {
            let mut lines = printed.lines();
            lines.find_map(|line| line.strip_prefix(start).map(str::to_owned))
        };
        let coverage = line("coverage").map(|rest| format!("coverage{rest}"));
        let coverage = coverage.and_then(|line| line.parse().ok());
        let found = match (output.status.success(), &coverage) {
            (true, Some(_)) => None,
            _ => Some(
                line("VIOLATION ")
                    .unwrap_or_else(|| format!("it ended with {} and says no more", output.status)),
            ),
        };
        let simulated_ms = line("simulated_ms ").and_then(|text| text.parse().ok());
        Ok(Outcome {
            coverage: coverage.unwrap_or_default(),
            found,
            simulated_ms: simulated_ms.unwrap_or_default(),
            printed,
        })
    }
}
