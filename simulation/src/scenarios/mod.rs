//! Directed scenarios: interleavings that random faults meet too seldom, each written down as a
//! script. Around a script the usual clients work and all checks judge; what the script itself
//! expects it says by failing.
//!
//! A script runs beside the clients, with a whole cluster at its beginning. Seeds vary all that it
//! does not fix: latencies, clocks, who leads, what the clients do.

mod dies_installing;
mod edge_follows_learner;
mod key_revoked_in_partition;
mod members;
mod pause_during_read;
mod publish_races_archive;
mod purged_leader;
mod reply_lost;
mod rollback_during_rollout;
mod rolling_restart;
mod script;
mod stale_membership;
mod stranded_writers;

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Output};

use crate::options::Options;

pub use script::{Ask, Script};

/// How a script ends: with what went against its expectation, if anything did.
pub type Playing = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// A scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is about, as a sentence.
    pub tells: &'static str,
    /// Sets what it needs of the drawn options. No fault but the script's own strikes.
    pub shape: fn(&mut Options),
    /// Plays it.
    pub play: fn(Script) -> Playing,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them.
pub const ALL: [Scenario; 11] = [
    dies_installing::SCENARIO,
    edge_follows_learner::SCENARIO,
    key_revoked_in_partition::SCENARIO,
    pause_during_read::SCENARIO,
    publish_races_archive::SCENARIO,
    purged_leader::SCENARIO,
    reply_lost::SCENARIO,
    rollback_during_rollout::SCENARIO,
    rolling_restart::SCENARIO,
    stale_membership::SCENARIO,
    stranded_writers::SCENARIO,
];

impl Scenario {
    /// The scenario with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|scenario| scenario.name == name)
    }

    /// Plays it with a seed, in a process of its own.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn run(self, program: &Path, seed: u64) -> io::Result<Output> {
        Command::new(program)
            .args(["--scenario", self.name, "--seed", &seed.to_string()])
            .output()
    }

    /// The options of a run of it.
    #[must_use]
    pub fn options(self, mut options: Options) -> Options {
        options.faults.clear();
        options.herd = 0;
        options.fail_points.clear();
        (self.shape)(&mut options);
        options.scenario = Some(self);
        options
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn scenarios_are_found_by_their_names() {
        let names: BTreeSet<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            assert_eq!(Scenario::find(name).map(|found| found.name), Some(name));
        }
        assert!(Scenario::find("nothing").is_none());
    }
}
