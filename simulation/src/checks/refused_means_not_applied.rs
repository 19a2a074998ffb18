//! A refusal, or a word that the cluster cannot take a change now, means that the request changed
//! nothing; what was asked for in a way that has to be refused is never done. A key that was used for
//! something else a day of the log ago is a new one, and no reason to refuse.

use super::book::Book;
use super::log_time::LogTime;
use crate::history::{Answer, Attempt, History, Operation};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let (book, times) = (Book::open(history), LogTime::of(history));
    let acknowledged = history
        .attempts
        .iter()
        .filter_map(|attempt| not_refused(history, &times, attempt));
    let refused = history
        .attempts
        .iter()
        .filter_map(|attempt| applied(&book, attempt));
    acknowledged.chain(refused).collect()
}

fn not_refused(history: &History, times: &LogTime, attempt: &Attempt) -> Option<String> {
    let done = attempt.answer.done()?;
    if !matches!(attempt.call.operation, Operation::Bad(_)) {
        return None;
    }
    let used_before = history.done().any(|(before, answer)| {
        attempt.call.key.is_some()
            && before.call.key == attempt.call.key
            && before.environment == attempt.environment
            && !matches!(before.call.operation, Operation::Bad(_))
            && times.may_be_forgotten(answer.revision, done.revision)
    });
    (!used_before).then(|| format!("{attempt:?} had to be refused"))
}

fn applied(book: &Book<'_>, attempt: &Attempt) -> Option<String> {
    let (Answer::Refused { request_id, .. } | Answer::Unavailable { request_id }) = &attempt.answer
    else {
        return None;
    };
    let committed = book.of_request(request_id)?;
    Some(format!(
        "{attempt:?} was told that nothing was changed, which it was at {}",
        committed.revision
    ))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{
        attempt, call, commits_rule, created, done, history, refused, renames,
    };
    use crate::history::{Answer, Operation};

    fn found(answer: Answer, request_id: &str) -> usize {
        let mut committed = commits_rule(5, "k1", "r1");
        committed.request_id = request_id.to_owned();
        let attempts = vec![attempt(renames("r1", "x"), 0, 10, answer)];
        check(&history(attempts, vec![committed], &[])).len()
    }

    #[test]
    fn a_refused_change_that_was_made_is_found() {
        let answer = || refused(422, "rule_published");
        assert_eq!(found(answer(), "req_another"), 0);
        assert_eq!(found(answer(), "req_refused_rule_published"), 1);
        let request_id = "req_busy".to_owned();
        assert_eq!(found(Answer::Unavailable { request_id }, "req_busy"), 1);
    }

    #[test]
    fn what_has_to_be_refused_and_is_done_is_found() {
        let bad = call(Operation::Bad("half a body"), None, Some("k"));
        let attempts = vec![attempt(bad, 0, 10, done(5, "r1", "k"))];
        assert_eq!(check(&history(attempts, vec![], &[])).len(), 1);
    }

    #[test]
    fn a_key_that_was_used_for_something_else_is_a_new_one_a_day_of_the_log_later() {
        let found = |at_ms| {
            let bad = call(Operation::Bad("a key that was used"), None, Some("k1"));
            let attempts = vec![
                created("k1", "r1", 0, 5),
                attempt(bad, 20, 30, done(6, "r1", "k1")),
            ];
            let mut journal = vec![commits_rule(5, "k1", "r1"), commits_rule(6, "k2", "r2")];
            journal[1].at_ms = at_ms;
            check(&history(attempts, journal, &[])).len()
        };
        assert_eq!(found(24 * 60 * 60 * 1_000), 0);
        assert_eq!(found(24 * 60 * 60 * 1_000 - 1), 1);
    }
}
