//! What came of the suite's tests, and a table of it.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::report;

/// What came of each test against one cache.
pub(super) struct Results(Vec<Test>);

/// One test.
#[derive(Deserialize)]
struct Test {
    id: String,
    /// `required`, `optimal` or `check`.
    kind: String,
    /// `pass`, `fail`, `yes`, `no`, or why it could not be judged.
    result: String,
    why: Option<String>,
}

/// The rows of the table: kind, result, and what that means.
const ROWS: [(&str, &str, &str); 8] = [
    ("required", "pass", "required: as it must be"),
    ("required", "fail", "required: not so"),
    (
        "required",
        "dependency",
        "required: builds on one that failed",
    ),
    ("required", "setup", "required: could not be set up"),
    ("optimal", "pass", "optimal: as good as can be"),
    ("optimal", "fail", "optimal: not so"),
    ("check", "yes", "behaviours that one may have: yes"),
    ("check", "no", "behaviours that one may have: no"),
];

impl Results {
    pub(super) fn read(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json)
            .map(Self)
            .context("the suite's results cannot be read")
    }

    /// How many tests of a kind ended so.
    pub(super) fn count(&self, kind: &str, result: &str) -> usize {
        self.of(kind, result).count()
    }

    fn of<'a>(&'a self, kind: &'a str, result: &'a str) -> impl Iterator<Item = &'a Test> {
        self.0
            .iter()
            .filter(move |test| test.kind == kind && test.result == result)
    }
}

/// Prints all caches side by side, and what the first fails that it must or should do.
pub(super) fn print(columns: &[(&str, Results)]) {
    report::step("Results, by cache-tests.fyi");
    let names: String = columns
        .iter()
        .map(|(name, _)| format!("{name:>9}"))
        .collect();
    report::fact(format_args!("{:<38}{names}", ""));
    for (kind, result, meaning) in ROWS {
        let counts: String = columns
            .iter()
            .map(|(_, results)| format!("{:>9}", results.count(kind, result)))
            .collect();
        report::fact(format_args!("{meaning:<38}{counts}"));
    }
    let Some((name, results)) = columns.first() else {
        return;
    };
    for (kind, result) in [
        ("required", "fail"),
        ("required", "setup"),
        ("required", "dependency"),
        ("optimal", "fail"),
    ] {
        for test in results.of(kind, result) {
            let why = test.why.as_deref().unwrap_or_default();
            report::fact(format_args!("{name}, {kind}, {result}: {} {why}", test.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_kind() {
        let json = br#"[
            {"id": "a", "kind": "required", "result": "pass", "why": null},
            {"id": "b", "kind": "required", "result": "fail", "why": "no"},
            {"id": "c", "kind": "optimal", "result": "pass", "why": null}
        ]"#;
        let results = Results::read(json).expect("results");
        assert_eq!(results.count("required", "pass"), 1);
        assert_eq!(results.count("required", "fail"), 1);
        assert_eq!(results.count("optimal", "fail"), 0);
        assert!(Results::read(b"oops").is_err());
    }
}
