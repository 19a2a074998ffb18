//! A refusal, or a word that the cluster cannot take a change now, means that the request changed
//! nothing; what was asked for in a way that has to be refused is never done.

use super::book::Book;
use crate::history::{Answer, Attempt, History, Operation};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let book = Book::open(history);
    history
        .attempts
        .iter()
        .filter_map(|attempt| wrong(&book, attempt))
        .collect()
}

fn wrong(book: &Book<'_>, attempt: &Attempt) -> Option<String> {
    if matches!(attempt.call.operation, Operation::Bad(_)) && attempt.answer.done().is_some() {
        return Some(format!("{attempt:?} had to be refused"));
    }
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
    use crate::checks::made_up::{attempt, call, commits_rule, done, history, refused, renames};
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
}
