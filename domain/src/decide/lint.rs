//! What of a route's rules can be published and is still hardly meant: rules that no request ever
//! reaches. What is said is certain and not everything is said; see [`Shadows`].

use super::content::problem;
use crate::content::Criteria;
use crate::id::RuleId;
use crate::matching::{Shadows, hosts_meet};
use crate::rejection::Problem;

/// How many warnings are told at once.
const WARNINGS_MAX: usize = 100;

/// The rules of a route in the order in which they are tried.
#[derive(Default)]
pub(super) struct Lint {
    rules: Vec<(RuleId, Criteria)>,
}

impl Lint {
    /// Takes the next rule.
    pub(super) fn rule(&mut self, id: RuleId, criteria: Criteria) {
        self.rules.push((id, criteria));
    }

    /// What there is to say of the rules of a route with this hostname.
    pub(super) fn warnings(&self, hostname: &str) -> Vec<Problem> {
        let criteria: Vec<_> = self.rules.iter().map(|(_, criteria)| criteria).collect();
        let shadows = Shadows::of(&criteria);
        let unreachable = (0..self.rules.len()).filter_map(|place| {
            let cover = shadows.covered_by[place].map(|cover| self.covered(place, cover));
            cover.or_else(|| self.elsewhere(place, hostname))
        });
        let mut warnings: Vec<_> = self
            .catch_all()
            .into_iter()
            .chain(unreachable)
            .take(WARNINGS_MAX)
            .collect();
        if shadows.is_partial {
            let message = "The rules have too many alternatives to be compared with all others.";
            warnings.push(problem(
                "rules_skipped",
                message.to_owned(),
                "rules".to_owned(),
            ));
        }
        warnings
    }

    /// What there is to say of a rule that takes every request and is not the last.
    fn catch_all(&self) -> Option<Problem> {
        let is_empty = |(_, criteria): &(_, Criteria)| *criteria == Criteria::default();
        let place = self.rules.iter().position(is_empty)?;
        let followers = self.rules.len() - place - 1;
        (followers > 0).then(|| {
            let message =
                format!("The rule takes every request, and {followers} rules come after it.");
            self.about("catch_all_not_last", place, message)
        })
    }

    fn covered(&self, place: usize, cover: usize) -> Problem {
        let (first, takes) = &self.rules[cover];
        let message = if *takes == Criteria::default() {
            format!("Rule {first} before it takes every request.")
        } else if *takes == self.rules[place].1 {
            format!("Rule {first} before it takes the same requests.")
        } else {
            format!("Rule {first} before it takes every request that this one would take.")
        };
        self.about("unreachable_rule", place, message)
    }

    /// What there is to say of a rule that asks for hosts of which the route serves none.
    fn elsewhere(&self, place: usize, hostname: &str) -> Option<Problem> {
        let hosts = &self.rules[place].1.host;
        let is_served = hosts.is_empty() || hosts.iter().any(|host| hosts_meet(host, hostname));
        (!is_served).then(|| {
            let message =
                format!("The route serves {hostname}, and none of the rule's hosts is among that.");
            self.about("unreachable_rule", place, message)
        })
    }

    fn about(&self, code: &str, place: usize, message: String) -> Problem {
        problem(code, message, format!("{}.match", self.rules[place].0))
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

    fn lint(rules: &[&str]) -> Lint {
        let mut lint = Lint::default();
        for (number, criteria) in (0..).zip(rules) {
            let criteria: Value = serde_json::from_str(criteria).unwrap();
            lint.rule(id(number), Criteria::from_json(&criteria).unwrap());
        }
        lint
    }

    /// The warnings about rules with these criteria, as code and the number of the rule.
    fn check(rules: &[&str], expected: &[(&str, u64)]) {
        let warnings: Vec<_> = lint(rules)
            .warnings("*.example.net")
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
                r#"{"method":"PUT","path":"/a"}"#,
                r#"{"path":["/a"],"method":["get","post"]}"#,
            ],
            &[("unreachable_rule", 2)],
        );
    }

    #[test]
    fn a_rule_that_an_earlier_one_covers_is_told_with_that_one() {
        let rules = [
            r#"{"path":"/b"}"#,
            r#"{"path":"/a*"}"#,
            r#"{"path":"/a/b","method":"GET"}"#,
            r#"{"path":"/b"}"#,
            "{}",
            r#"{"path":"/c"}"#,
        ];
        let warnings = lint(&rules).warnings("api.example.net");
        let messages: Vec<_> = warnings
            .into_iter()
            .map(|warning| warning.message)
            .collect();
        let before =
            |number: u64, takes: &str| format!("Rule {} before it takes {takes}.", id(number));
        let expect = [
            "The rule takes every request, and 1 rules come after it.".to_owned(),
            before(1, "every request that this one would take"),
            before(0, "the same requests"),
            before(4, "every request"),
        ];
        assert_eq!(messages, expect);
    }

    #[test]
    fn a_rule_for_hosts_that_the_route_does_not_serve_is_told() {
        check(
            &[
                r#"{"host":"a.example.net"}"#,
                r#"{"host":["a.example.org","example.net"]}"#,
                r#"{"host":["a.example.org","b.example.net"]}"#,
                r#"{"host":"a.b.example.net"}"#,
                r#"{"host":"*.example.net"}"#,
            ],
            &[("unreachable_rule", 1), ("unreachable_rule", 3)],
        );
    }

    #[test]
    fn no_more_is_told_than_anybody_reads() {
        let mut lint = Lint::default();
        for number in 0..300 {
            lint.rule(id(number), Criteria::default());
        }
        let warnings = lint.warnings("api.example.net");
        assert_eq!(warnings.len(), WARNINGS_MAX);
        assert_eq!(warnings[0].code, "catch_all_not_last");
    }
}
