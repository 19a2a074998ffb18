//! `cargo xtask security`: the security checks, S-01 to S-65, as a table. What shows each of them stands in
//! `deploy/security.toml`; most are shown by tests, which are run here in one go.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::report;
use crate::repository::Repository;
use crate::toolchain::{Toolchain, deny, describe, packages};

/// Where the table is, from the root of the repository.
pub const TABLE: &str = "deploy/security.toml";

/// One check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its number, such as `S-07`.
    pub id: String,
    /// What must hold, in a line.
    pub what: String,
    /// The names of the test functions that show it.
    #[serde(default)]
    pub tests: Vec<String>,
    /// What of xtask shows it.
    pub runs: Option<Runs>,
    /// Why it does not apply.
    pub beyond: Option<String>,
    /// What is not shown, and why not.
    pub open: Option<String>,
}

/// A check that is no test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// cargo-deny.
    Dependencies,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    check: Vec<Check>,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was shown to hold.
    Pass(String),
    /// It does not hold, or what should show it is not there.
    Fail(String),
    /// It does not apply here.
    NotApplicable(String),
    /// Nothing that runs here shows it.
    Open(String),
}

/// Reads the table.
///
/// # Errors
/// When it is none, or a check says too little or too much of how it is shown.
pub fn read(text: &str) -> Result<Vec<Check>> {
    let Table { check: checks } =
        toml::from_str(text).context("the table of checks is malformed")?;
    let mut ids = BTreeSet::new();
    for check in &checks {
        let id = &check.id;
        ensure!(ids.insert(id), "{id} stands in the table twice");
        let shown = !check.tests.is_empty() || check.runs.is_some();
        let says = shown || check.open.is_some();
        ensure!(
            says != check.beyond.is_some(),
            "{id} must have tests, runs or open, or else beyond"
        );
    }
    Ok(checks)
}

/// Runs all checks and prints what came of them.
///
/// # Errors
/// When one fails, after all have been told.
pub fn run(repository: &Repository) -> Result<()> {
    let path = repository.root().join(TABLE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let checks = read(&text)?;
    let toolchain = Toolchain::prepare(repository)?;
    packages::ensure(packages::TO_TEST)?;
    let results = run_tests(&toolchain, &checks)?;
    let runs = |runs| match runs {
        Runs::Dependencies => deny::check(&toolchain),
    };
    let told: Vec<_> = checks
        .iter()
        .map(|check| (check, judge(check, &results, runs)))
        .collect();
    report::line("");
    for (check, verdict) in &told {
        let (word, why) = verdict.words();
        report::line(format_args!(
            "{} {word:4}  {}\n           {why}",
            check.id, check.what
        ));
    }
    let count = |word| {
        told.iter()
            .filter(|(_, verdict)| verdict.words().0 == word)
            .count()
    };
    let failed = count("FAIL");
    report::line(format_args!(
        "\n{} checks: {} pass, {failed} fail, {} not applicable, {} not shown by anything that runs here",
        told.len(),
        count("pass"),
        count("n/a"),
        count("open"),
    ));
    ensure!(failed == 0, "{failed} security checks failed");
    Ok(())
}

impl Verdict {
    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Pass(why) => ("pass", why),
            Self::Fail(why) => ("FAIL", why),
            Self::NotApplicable(why) => ("n/a", why),
            Self::Open(why) => ("open", why),
        }
    }
}

/// How tests with a name ended: whether all of them passed.
type Results = BTreeMap<String, bool>;

/// Runs the tests that the checks name, in one go.
fn run_tests(toolchain: &Toolchain, checks: &[Check]) -> Result<Results> {
    let names: BTreeSet<_> = checks.iter().flat_map(|check| &check.tests).collect();
    let mut cargo = toolchain.cargo();
    cargo
        .args([
            "test",
            "--locked",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
        ])
        .args(["--no-fail-fast", "--"])
        .args(&names)
        .stdout(Stdio::piped());
    report::step(format_args!(
        "Running the {} tests that show them",
        names.len()
    ));
    let output = cargo
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("`{}` could not be run", describe(&cargo)))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results = results(&text);
    if results.is_empty() {
        bail!("no test ran; what cargo said stands above");
    }
    if !output.status.success() {
        report::line(&text);
    }
    Ok(results)
}

/// Reads lines such as `test rest::tests::auth::a_key_works ... ok`.
fn results(text: &str) -> Results {
    let mut results = Results::new();
    for line in text.lines() {
        let Some((path, outcome)) = line
            .strip_prefix("test ")
            .and_then(|line| line.split_once(" ... "))
        else {
            continue;
        };
        let name = path.rsplit("::").next().unwrap_or(path);
        // Another word than these two is another line of the same test.
        let passed = outcome == "ok";
        if passed || outcome.starts_with("FAILED") || outcome.starts_with("ignored") {
            *results.entry(name.to_owned()).or_insert(true) &= passed;
        }
    }
    results
}

fn judge(check: &Check, results: &Results, runs: impl Fn(Runs) -> Result<()>) -> Verdict {
    if let Some(why) = &check.beyond {
        return Verdict::NotApplicable(why.clone());
    }
    let bad = |name: &&String| results.get(*name) != Some(&true);
    let bad: Vec<_> = check.tests.iter().filter(bad).collect();
    if let [first, ..] = bad[..] {
        let how = match results.get(first) {
            Some(_) => "failed",
            None => "is not there or did not run",
        };
        return Verdict::Fail(format!("{first} {how}"));
    }
    let mut shown = check.tests.join(", ");
    if let Some(which) = check.runs {
        if let Err(error) = runs(which) {
            return Verdict::Fail(format!("{error:#}"));
        }
        shown = "cargo deny".to_owned();
    }
    match &check.open {
        Some(open) if shown.is_empty() => Verdict::Open(open.clone()),
        Some(open) => Verdict::Pass(format!("{shown}; not shown: {open}")),
        None => Verdict::Pass(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Check {
        let text = format!("[[check]]\nid = \"S-01\"\nwhat = \"it holds\"\n{text}");
        read(&text).unwrap().remove(0)
    }

    fn verdict(text: &str, said: &str) -> Verdict {
        judge(&check(text), &results(said), |_| Ok(()))
    }

    #[test]
    fn a_check_passes_only_if_all_of_its_tests_ran_and_passed() {
        let both = "tests = [\"one\", \"other\"]";
        let pass = "test a::one ... ok\ntest other ... ok\n";
        assert_eq!(verdict(both, pass), Verdict::Pass("one, other".to_owned()));
        for said in [
            "test a::one ... ok\n",
            "test a::one ... ok\ntest b::other ... FAILED\n",
            "test a::one ... ok\ntest b::other ... ok\ntest c::other ... FAILED\n",
            "test a::one ... ok\ntest b::other ... ignored, for now\n",
            "test a::one ... ok\ntest b::another ... ok\n",
        ] {
            assert!(matches!(verdict(both, said), Verdict::Fail(_)), "{said}");
        }
    }

    #[test]
    fn what_no_test_shows_is_said() {
        let open = verdict("open = \"why\"", "");
        assert_eq!(open, Verdict::Open("why".to_owned()));
        let beyond = verdict("beyond = \"why\"", "");
        assert_eq!(beyond, Verdict::NotApplicable("why".to_owned()));
        let failed = judge(&check("runs = \"dependencies\""), &Results::new(), |_| {
            bail!("a licence")
        });
        assert_eq!(failed, Verdict::Fail("a licence".to_owned()));
    }

    #[test]
    fn a_table_that_says_too_little_or_too_much_is_refused() {
        let head = "[[check]]\nid = \"S-01\"\nwhat = \"\"\n";
        for text in [
            head.to_owned(),
            format!("{head}tests = [\"one\"]\nbeyond = \"why\"\n"),
            format!("{head}open = \"why\"\n{head}open = \"why\"\n"),
            format!("{head}opne = \"why\"\n"),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
