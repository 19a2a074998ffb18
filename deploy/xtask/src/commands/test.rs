//! `cargo xtask test`: every test. Doc tests come first, then all others, by cargo-nextest where the
//! machine has it and by `cargo test` where not. The last line is a summary: nextest's own, or, as
//! `cargo test` has one per binary, their sum in the same form.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::report;
use crate::repository::Repository;
use crate::toolchain::{Toolchain, announce, describe, find_program, packages};

/// Time limits and retries (none) of nextest.
const NEXTEST_CONFIG: &str = "deploy/nextest.toml";

/// Runs every test, or those that `filter` names.
///
/// # Errors
/// When one fails, after all have run.
pub fn run(repository: &Repository, filter: &[String]) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    packages::ensure(packages::TO_TEST)?;
    let cargo = |arguments: &[&str]| {
        let mut command = toolchain.cargo();
        command.args(arguments);
        // Cargo would take all packages, whichever are named besides.
        if !names_packages(filter) {
            command.arg("--workspace");
        }
        command.args(filter);
        command
    };
    let began = Instant::now();
    let documentation = counted(cargo(&["test", "--locked", "--doc", "--no-fail-fast"]))?;
    if find_program("cargo-nextest").is_some() {
        let nextest = [
            "nextest",
            "run",
            "--locked",
            "--no-fail-fast",
            "--config-file",
            NEXTEST_CONFIG,
        ];
        let rest = announce(cargo(&nextest));
        if !documentation.is_success() {
            bail!("doc tests failed; their output stands above that of the others");
        }
        return rest;
    }
    let rest = counted(cargo(&[
        "test",
        "--locked",
        "--all-targets",
        "--no-fail-fast",
    ]))?;
    let total = documentation.and(rest);
    report::line(format_args!("\n{}", total.render(began.elapsed())));
    if !total.is_success() {
        bail!("tests failed");
    }
    Ok(())
}

fn names_packages(filter: &[String]) -> bool {
    let is_package = |word: &String| word.starts_with("-p") || word.starts_with("--package");
    filter.iter().any(is_package)
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Runs that failed otherwise, for example because something does not compile.
    broken: u64,
}

impl Counts {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`.
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut found = Self::default();
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => found.passed = number.parse().ok()?,
                Some((number, "failed")) => found.failed = number.parse().ok()?,
                Some((number, "ignored")) => found.ignored = number.parse().ok()?,
                _ => {}
            }
        }
        Some(found)
    }

    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            broken: self.broken + other.broken,
        }
    }

    fn is_success(self) -> bool {
        self.failed == 0 && self.broken == 0
    }

    fn render(self, elapsed: Duration) -> String {
        let verdict = if self.is_success() { "ok" } else { "FAILED" };
        let Self {
            passed,
            failed,
            ignored,
            ..
        } = self;
        let seconds = elapsed.as_secs_f64();
        format!(
            "test result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; finished in {seconds:.2}s"
        )
    }
}

/// Runs `cargo test`, showing what it says and counting.
fn counted(mut command: Command) -> Result<Counts> {
    report::step(describe(&command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let output = child.stdout.take().context("cargo's output is not there")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cargo's output cannot be read")?;
        let line = String::from_utf8_lossy(&line);
        report::line(&line);
        counts = counts.and(Counts::parse(&line).unwrap_or_default());
    }
    let status = child.wait().context("cargo cannot be waited for")?;
    if !status.success() && counts.failed == 0 {
        counts.broken += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_many_binaries_are_summed() {
        let first = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let second = "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let total = Counts::parse(first)
            .expect("counts")
            .and(Counts::parse(second).expect("counts"));
        assert_eq!(
            total,
            Counts {
                passed: 5,
                failed: 4,
                ignored: 1,
                broken: 0
            }
        );
        let said = total.render(Duration::from_secs(2));
        assert_eq!(
            said,
            "test result: FAILED. 5 passed; 4 failed; 1 ignored; finished in 2.00s"
        );
        assert_eq!(Counts::parse("test tree::splits ... ok"), None);
    }

    #[test]
    fn named_packages_take_the_place_of_all() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert!(names_packages(&words("-p domain")));
        assert!(names_packages(&words("splits --package=edge")));
        assert!(!names_packages(&words("tree::splits --no-capture")));
    }

    #[test]
    fn a_run_that_does_not_compile_is_no_success() {
        assert!(Counts::default().is_success());
        assert!(
            !Counts {
                broken: 1,
                ..Counts::default()
            }
            .is_success()
        );
    }
}
