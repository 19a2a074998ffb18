//! The log's time at any revision, as far as the journal tells: what was not journalled stands between
//! two rows that were.

use std::collections::BTreeMap;

use crate::history::History;

/// How long an answer is kept for its idempotency key, in milliseconds of the log's time.
const ANSWERS_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// When revisions were committed, in the log's milliseconds.
pub(super) struct LogTime {
    at_ms: BTreeMap<u64, u64>,
}

impl LogTime {
    pub(super) fn of(history: &History) -> Self {
        let rows = history.journal.iter();
        Self {
            at_ms: rows.map(|row| (row.revision, row.at_ms)).collect(),
        }
    }

    /// Whether an answer of one revision may have been forgotten by another one.
    pub(super) fn may_be_forgotten(&self, answered: u64, by: u64) -> bool {
        let before = self.at_ms.range(..=answered).next_back();
        let from = before.or_else(|| self.at_ms.first_key_value());
        let after = self.at_ms.range(by..).next();
        let until = after.or_else(|| self.at_ms.last_key_value());
        from.zip(until)
            .is_some_and(|((_, from), (_, until))| until.saturating_sub(*from) >= ANSWERS_KEPT_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWERS_KEPT_MS, LogTime};
    use crate::checks::made_up::{commits_rule, history};

    #[test]
    fn answers_are_forgotten_a_day_later_by_the_time_of_the_rows_around() {
        let row = |revision, at_ms| {
            let mut row = commits_rule(revision, &format!("k{revision}"), "r1");
            row.at_ms = at_ms;
            row
        };
        let journal = vec![row(3, 5), row(7, 10), row(9, ANSWERS_KEPT_MS + 7)];
        let times = LogTime::of(&history(vec![], journal, &[]));
        assert!(times.may_be_forgotten(3, 9));
        assert!(!times.may_be_forgotten(7, 9));
        assert!(times.may_be_forgotten(6, 8));
        assert!(!times.may_be_forgotten(3, 7));
        assert!(times.may_be_forgotten(1, 20));
    }
}
