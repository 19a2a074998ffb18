//! No two rules of a route that are not archived have one priority, in any list that was shown and
//! on any node at the end; and no rule that is archived is live.

use std::collections::BTreeMap;

use crate::history::{FinalRule, History, RuleSeen, Seen};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for (attempt, done) in history.done() {
        let (wrong, archived) = match &done.seen {
            Seen::Rules { rules, .. } => (shared(rules.iter().map(of_seen)), live(rules)),
            Seen::Some(rules) => (None, live(rules)),
            Seen::Rule(rule) => (None, live(std::slice::from_ref(rule))),
            _ => continue,
        };
        let wrong = wrong.into_iter().chain(archived);
        found.extend(wrong.map(|wrong| format!("{attempt:?} shows {wrong}")));
    }
    for (node, state) in &history.finals {
        let rules = state.rules.iter().filter(|rule| rule.status != "archived");
        let wrong = shared(rules.map(of_final));
        found.extend(wrong.map(|wrong| format!("node {node} holds {wrong}")));
        let archived = state.rules.iter().filter(|rule| rule.status == "archived");
        let live = archived.filter(|rule| rule.live);
        found.extend(live.map(|rule| format!("node {node} holds {} archived and live", rule.id)));
    }
    found
}

fn of_seen(rule: &RuleSeen) -> ((&str, u64), &str) {
    ((&rule.route, rule.priority), &rule.id)
}

fn of_final(rule: &FinalRule) -> ((&str, u64), &str) {
    ((&rule.route, rule.priority), &rule.id)
}

/// Two rules at one place.
fn shared<'a>(rules: impl Iterator<Item = ((&'a str, u64), &'a str)>) -> Option<String> {
    let mut holders = BTreeMap::new();
    for (place, id) in rules {
        if let Some(other) = holders.insert(place, id) {
            return Some(format!("{other} and {id} with one priority: {place:?}"));
        }
    }
    None
}

fn live(rules: &[RuleSeen]) -> Option<String> {
    let rule = rules
        .iter()
        .find(|rule| rule.status == "archived" && rule.live)?;
    Some(format!("{} archived and live", rule.id))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{ROUTE, attempt, call, done, history, seen_rule};
    use crate::history::{Answer, Done, Operation, Seen};

    #[test]
    fn two_rules_at_one_place_are_found_unless_one_is_archived() {
        let mut history = history(vec![], vec![], &[("r1", "a"), ("r2", "b")]);
        assert!(check(&history).is_empty());
        let state = history.finals.get_mut(&1).unwrap();
        state.rules[1].priority = state.rules[0].priority;
        assert_eq!(check(&history).len(), 1);
        let state = history.finals.get_mut(&1).unwrap();
        state.rules[1].status = "archived".to_owned();
        assert!(check(&history).is_empty());
        let state = history.finals.get_mut(&1).unwrap();
        state.rules[1].live = true;
        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn a_list_with_two_rules_at_one_place_is_found() {
        let mut rules = vec![seen_rule("r1", "a"), seen_rule("r2", "b")];
        rules[1].priority = rules[0].priority;
        let answer = Answer::Done(Box::new(Done {
            seen: Seen::Rules {
                route: ROUTE.to_owned(),
                rules,
                more: false,
            },
            ..Done::default()
        }));
        let list = call(Operation::ListRules, Some(ROUTE), None);
        let attempts = vec![attempt(list, 0, 10, answer)];
        assert_eq!(check(&history(attempts, vec![], &[])).len(), 1);
    }

    #[test]
    fn a_rule_that_is_shown_archived_and_live_is_found() {
        let mut answer = done(5, "r1", "a");
        if let Answer::Done(done) = &mut answer
            && let Seen::Rule(rule) = &mut done.seen
        {
            rule.status = "archived".to_owned();
            rule.live = true;
        }
        let read = call(Operation::ReadRule, Some("r1"), None);
        assert_eq!(
            check(&history(vec![attempt(read, 0, 10, answer)], vec![], &[])).len(),
            1
        );
    }
}
