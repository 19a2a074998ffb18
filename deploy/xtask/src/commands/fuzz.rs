//! `cargo xtask fuzz`: the fuzz targets, for as long as is wanted. They are built as the simulation is, fast and
//! with debug assertions on; `cargo xtask test` tries each with the corpus and a few inputs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::report;
use crate::repository::Repository;
use crate::toolchain::{Toolchain, announce};

const PACKAGE: &str = "fuzz";
const BINARY: &str = "fuzz";
const PROFILE: &str = "sim";

/// What is tried, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long each target is tried, in seconds.
    pub seconds: u64,
    /// Names of targets; all if there is none.
    pub only: Vec<String>,
    /// What the inputs follow from; the time of day if it is not given.
    pub seed: Option<u64>,
    /// One input to try, with the one target that is named.
    pub replay: Option<PathBuf>,
    /// Whether inputs that led to something new are added to the corpus.
    pub keep: bool,
    /// Whether each input is written to a file before it is tried.
    pub trace: bool,
}

/// Builds the targets and runs them.
///
/// # Errors
/// When the build fails, or a property does not hold.
pub fn run(repository: &Repository, options: &Options) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    report::step("Building the fuzz targets");
    let binary = toolchain.build_profile(PROFILE, PACKAGE, BINARY)?;
    let mut fuzz = Command::new(binary);
    fuzz.current_dir(repository.root()).args(arguments(options));
    announce(fuzz)
}

fn arguments(options: &Options) -> Vec<String> {
    let seed = options.seed.unwrap_or_else(of_the_moment);
    let mut arguments = vec!["--seconds".to_owned(), options.seconds.to_string()];
    arguments.extend(["--seed".to_owned(), seed.to_string()]);
    if !options.only.is_empty() {
        arguments.extend(["--only".to_owned(), options.only.join(",")]);
    }
    if let Some(file) = &options.replay {
        arguments.extend(["--replay".to_owned(), file.display().to_string()]);
    }
    let switches = [("--keep", options.keep), ("--trace", options.trace)];
    let wanted = switches.into_iter().filter(|(_, wanted)| *wanted);
    arguments.extend(wanted.map(|(switch, _)| switch.to_owned()));
    arguments
}

/// Another one each second, so that runs add up.
fn of_the_moment() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_passed_on() {
        let options = Options {
            seconds: 5,
            only: vec!["key".to_owned(), "audit".to_owned()],
            seed: Some(7),
            replay: Some(PathBuf::from("a file")),
            keep: false,
            trace: true,
        };
        let expect = [
            "--seconds",
            "5",
            "--seed",
            "7",
            "--only",
            "key,audit",
            "--replay",
            "a file",
            "--trace",
        ];
        assert_eq!(arguments(&options), expect);
    }
}
