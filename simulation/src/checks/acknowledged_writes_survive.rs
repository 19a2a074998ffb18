//! No acknowledged write is lost: at the end, each node holds every rule whose creation was
//! acknowledged, under the name that the last acknowledged rename gave it or a rename of unknown
//! outcome may have given it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Answer, Call, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let expected = expected_names(history);
    let mut found = Vec::new();
    for (node, state) in &history.finals {
        let held: BTreeMap<&str, &str> = state
            .rules
            .iter()
            .map(|rule| (rule.id.as_str(), rule.name.as_str()))
            .collect();
        for (rule, names) in &expected {
            match held.get(rule.as_str()) {
                None => found.push(format!("node {node} lost {rule}")),
                Some(name) if !names.contains(*name) => {
                    found.push(format!(
                        "node {node} holds {rule} as {name}, expected one of {names:?}"
                    ));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// For each rule that was acknowledged, the names that it may have at the end.
fn expected_names(history: &History) -> BTreeMap<String, BTreeSet<String>> {
    let mut newest: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for (attempt, revision) in history.done() {
        if matches!(
            attempt.call,
            Call::Read { .. } | Call::Publish { .. } | Call::Rollback { .. }
        ) {
            continue;
        }
        let Answer::Done {
            rule: Some((rule, name)),
            ..
        } = &attempt.answer
        else {
            continue;
        };
        let entry = newest
            .entry(rule.clone())
            .or_insert_with(|| (revision, name.clone()));
        if revision >= entry.0 {
            *entry = (revision, name.clone());
        }
    }
    let mut expected: BTreeMap<String, BTreeSet<String>> = newest
        .into_iter()
        .map(|(rule, (_, name))| (rule, BTreeSet::from([name])))
        .collect();
    let told: BTreeSet<&str> = history
        .done()
        .filter_map(|(attempt, _)| attempt.call.key())
        .collect();
    for attempt in &history.attempts {
        if let (Call::Rename { key, rule, name }, Answer::Unknown) =
            (&attempt.call, &attempt.answer)
            && !told.contains(key.as_str())
            && let Some(names) = expected.get_mut(rule)
        {
            names.insert(name.clone());
        }
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{attempt, created, history, renamed};
    use crate::history::{Answer, Call};

    #[test]
    fn what_was_acknowledged_and_is_there_is_fine() {
        let attempts = vec![created("k1", "r1", 0, 5), renamed("r1", "new", 20, 6)];
        assert!(check(&history(attempts, &[("r1", "new", "k1")])).is_empty());
    }

    #[test]
    fn a_missing_rule_and_a_lost_rename_are_found() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            created("k2", "r2", 0, 6),
            renamed("r1", "new", 20, 7),
        ];
        let found = check(&history(attempts, &[("r1", "k1", "k1")]));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_rename_of_unknown_outcome_may_show_or_not() {
        let unknown = Call::Rename {
            key: "u".into(),
            rule: "r1".into(),
            name: "maybe".into(),
        };
        let attempts = vec![
            created("k1", "r1", 0, 5),
            attempt(unknown, 20, 30, Answer::Unknown),
        ];
        assert!(check(&history(attempts.clone(), &[("r1", "maybe", "k1")])).is_empty());
        assert!(check(&history(attempts, &[("r1", "k1", "k1")])).is_empty());
    }
}
