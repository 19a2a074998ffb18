//! Findings for people.

use std::fmt::Write;

use super::{Facts, Finding, Severity};

/// What was found, the worst first; and how much was looked at, so that nothing found is told from nothing looked at.
#[must_use]
pub fn report(facts: &Facts, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{:<8}  {}\n          {}\n\n",
            finding.severity, finding.what, finding.remedy
        );
    }
    let asked = facts.examined.len();
    let answered = facts.examined.iter().filter(|it| it.answer.is_ok()).count();
    let worst = findings.first().map(|finding| finding.severity);
    let verdict = match worst {
        None => "nothing is wrong that can be seen from here",
        Some(Severity::Note) => "it works",
        Some(Severity::Warning) => "it works, and should be looked after",
        Some(Severity::Critical) => "it needs somebody now",
    };
    let _ = write!(text, "{answered} of {asked} nodes answered: {verdict}");
    text
}
