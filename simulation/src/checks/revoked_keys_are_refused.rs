//! A key that was revoked is refused: by every node in contact with the others, once five seconds
//! have passed since the client was told.

use std::collections::BTreeMap;

use super::calm::Calm;
use crate::history::{History, Operation};

/// After so long, in microseconds, no node may be behind that is in no trouble.
const KNOWN_US: u64 = 5_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let calm = Calm::new(history);
    let mut revoked: BTreeMap<&str, u64> = BTreeMap::new();
    for (attempt, _) in history.done() {
        if attempt.call.operation == Operation::RevokeKey
            && let Some(key) = &attempt.call.about
        {
            revoked.entry(key).or_insert(attempt.ended_us);
        }
    }
    history
        .done()
        .filter(|(attempt, _)| {
            let told = revoked.get(attempt.api_key.as_str());
            told.is_some_and(|told| {
                let known = told + KNOWN_US;
                attempt.sent_us > known
                    && calm.nodes(*told, attempt.ended_us).contains(&attempt.node)
            })
        })
        .map(|(attempt, _)| format!("{attempt:?} was answered under a key that was revoked"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{KNOWN_US, check};
    use crate::checks::made_up::{attempt, call, done, sight};
    use crate::history::{History, Operation};

    #[test]
    fn a_revoked_key_that_still_works_is_found() {
        let revoke = call(Operation::RevokeKey, Some("key_1"), Some("k"));
        let who = || call(Operation::Hurry, None, None);
        let mut history = History {
            nodes: vec![sight(1, 0, 1, 1)],
            attempts: vec![
                attempt(revoke, 0, 10, done(5, "key_1", "")),
                attempt(who(), 20, 30, done(6, "", "")),
            ],
            ..History::default()
        };
        assert!(check(&history).is_empty());
        let late = KNOWN_US + 20;
        history
            .attempts
            .push(attempt(who(), late, late + 10, done(6, "", "")));
        assert_eq!(check(&history).len(), 1);
    }
}
