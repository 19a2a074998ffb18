//! What of a route's rules can be published and is still hardly meant: rules that no request ever
//! reaches. Rules are told apart by their criteria alone, so what is said is certain and not everything
//! is said: a rule that several others cover together is not noticed.

use std::collections::BTreeMap;

use super::content::problem;
use crate::content::Criteria;
use crate::id::RuleId;
use crate::rejection::Problem;
use crate::table::encode;

/// How many warnings are told at once.
const WARNINGS_MAX: usize = 100;

/// Looks at the rules of a route in the order in which they are tried.
#[derive(Default)]
pub(super) struct Lint {
    /// By criteria, the first rule that has them.
    first: BTreeMap<Vec<u8>, RuleId>,
    catch_all: Option<CatchAll>,
    warnings: Vec<Problem>,
}

/// The first rule that takes every request.
struct CatchAll {
    rule: RuleId,
    /// How many rules come after it.
    followers: u64,
}

impl Lint {
    /// Looks at the next rule.
    pub(super) fn rule(&mut self, id: &RuleId, criteria: &Criteria) {
        if let Some(catch_all) = &mut self.catch_all {
            catch_all.followers += 1;
            let message = format!("Rule {} before it takes every request.", catch_all.rule);
            self.warn("unreachable_rule", message, id.to_string());
            return;
        }
        if *criteria == Criteria::default() {
            self.catch_all = Some(CatchAll {
                rule: id.clone(),
                followers: 0,
            });
            return;
        }
        let key = encode(criteria);
        if let Some(first) = self.first.get(&key) {
            let message = format!("Rule {first} before it takes the same requests.");
            self.warn("shadowed_rule", message, format!("{id}.match"));
        } else {
            self.first.insert(key, id.clone());
        }
    }

    /// What there is to say.
    pub(super) fn warnings(mut self) -> Vec<Problem> {
        if let Some(CatchAll { rule, followers }) = self.catch_all.take()
            && followers > 0
        {
            let message =
                format!("The rule takes every request, and {followers} rules come after it.");
            let warning = problem("catch_all_not_last", message, format!("{rule}.match"));
            self.warnings.insert(0, warning);
        }
        self.warnings.truncate(WARNINGS_MAX);
        self.warnings
    }

    fn warn(&mut self, code: &str, message: String, param: String) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(problem(code, message, param));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::id::Seed;

    fn id(number: u64) -> RuleId {
        RuleId::new(Seed {
            unix_ms: 1,
            random: number,
        })
    }

    /// The warnings about rules with these criteria, as code and the number of the rule.
    fn check(rules: &[&str], expected: &[(&str, u64)]) {
        let mut lint = Lint::default();
        for (number, criteria) in (0..).zip(rules) {
            let criteria: Value = serde_json::from_str(criteria).unwrap();
            lint.rule(&id(number), &Criteria::from_json(&criteria).unwrap());
        }
        let warnings: Vec<_> = lint
            .warnings()
            .into_iter()
            .map(|warning| {
                let param = warning.param.unwrap();
                let rule = param.strip_suffix(".match").unwrap_or(&param).to_owned();
                (warning.code, rule)
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(code, number)| ((*code).to_owned(), id(*number).to_string()))
            .collect();
        assert_eq!(warnings, expected, "{rules:?}");
    }

    #[test]
    fn rules_that_no_request_reaches_are_told() {
        check(&[], &[]);
        check(&["{}"], &[]);
        check(&[r#"{"path":"/a"}"#, r#"{"path":"/b"}"#, "{}"], &[]);
        check(
            &[r#"{"path":"/a"}"#, "{}", r#"{"path":"/b"}"#, "{}"],
            &[
                ("catch_all_not_last", 1),
                ("unreachable_rule", 2),
                ("unreachable_rule", 3),
            ],
        );
    }

    #[test]
    fn the_same_criteria_in_other_words_are_the_same() {
        check(
            &[
                r#"{"method":["POST","GET"],"path":"/a"}"#,
                r#"{"method":"GET","path":"/a"}"#,
                r#"{"path":["/a"],"method":["get","post"]}"#,
            ],
            &[("shadowed_rule", 2)],
        );
    }

    #[test]
    fn no_more_is_told_than_anybody_reads() {
        let mut lint = Lint::default();
        for number in 0..300 {
            lint.rule(&id(number), &Criteria::default());
        }
        let warnings = lint.warnings();
        assert_eq!(warnings.len(), WARNINGS_MAX);
        assert_eq!(warnings[0].code, "catch_all_not_last");
    }
}
