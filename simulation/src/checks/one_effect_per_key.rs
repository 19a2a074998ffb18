//! One idempotency key has at most one effect, and every acknowledgement of it says the same.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let mut answers: BTreeMap<&str, &str> = BTreeMap::new();
    for attempt in &history.attempts {
        let (Some(key), Answer::Done { body, .. }) = (attempt.call.key(), &attempt.answer) else {
            continue;
        };
        match answers.get(key) {
            Some(first) if first != body => {
                found.push(format!("{key} was answered `{first}` and then `{body}`"))
            }
            Some(_) => {}
            None => {
                answers.insert(key, body);
            }
        }
    }
    for (node, state) in &history.finals {
        let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
        for key in state.rules.iter().filter_map(|rule| rule.key.as_deref()) {
            *effects.entry(key).or_default() += 1;
        }
        for (key, count) in &effects {
            if *count > 1 {
                found.push(format!("node {node} holds {count} rules made with {key}"));
            }
        }
        for attempt in &history.attempts {
            if let (Call::Create { key }, Answer::Done { .. }) = (&attempt.call, &attempt.answer)
                && !effects.contains_key(key.as_str())
            {
                found.push(format!(
                    "node {node} holds no rule made with {key}, which was acknowledged"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{created, history};

    #[test]
    fn a_retry_with_the_same_answer_is_fine() {
        let attempts = vec![created("k1", "r1", 0, 5), created("k1", "r1", 20, 5)];
        assert!(check(&history(attempts, &[("r1", "k1", "k1")])).is_empty());
    }

    #[test]
    fn a_second_effect_is_found_in_the_answers_and_in_the_state() {
        let attempts = vec![created("k1", "r1", 0, 5), created("k1", "r2", 20, 6)];
        let found = check(&history(
            attempts,
            &[("r1", "k1", "k1"), ("r2", "k1", "k1")],
        ));
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
