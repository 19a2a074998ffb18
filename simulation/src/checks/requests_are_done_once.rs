//! One request is one change at most, also where it carries no idempotency key: what has an outcome
//! that a node does not know is not tried again by it, unless the key makes that harmless.

use std::collections::BTreeMap;

use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut changed: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for committed in &history.journal {
        let first = *changed
            .entry(&committed.request_id)
            .or_insert(committed.revision);
        if first != committed.revision {
            found.push(format!(
                "the request {} was done at {first} and again at {}: {}",
                committed.request_id, committed.revision, committed.operation
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{commits_name, commits_rule, history};

    #[test]
    fn requests_that_are_done_once_are_fine() {
        let journal = vec![commits_rule(5, "k1", "r1"), commits_name(6, "r1", "k2")];
        assert!(check(&history(vec![], journal, &[])).is_empty());
    }

    #[test]
    fn one_that_is_done_again_is_found() {
        let mut again = commits_name(6, "r1", "k2");
        again.request_id = "req_5".to_owned();
        let journal = vec![commits_rule(5, "k1", "r1"), again];
        assert_eq!(check(&history(vec![], journal, &[])).len(), 1);
    }
}
