//! No acknowledged write is lost: what a client was told was done is in the journal, at the very
//! revision that it was told, and at the end every node holds every rule as the journal says.

use super::book::{Book, RuleFacts};
use super::log_time::LogTime;
use crate::history::{Attempt, Done, FinalState, History, Operation, Seen};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let (book, times) = (Book::open(history), LogTime::of(history));
    let mut found: Vec<String> = history
        .done()
        .filter(|(attempt, _)| attempt.call.operation.writes())
        .filter_map(|(attempt, done)| lost((&book, &times), attempt, done))
        .collect();
    for (node, state) in &history.finals {
        found.extend(differs(&book, state).map(|what| format!("node {node} {what}")));
    }
    found
}

fn lost((book, times): (&Book<'_>, &LogTime), attempt: &Attempt, done: &Done) -> Option<String> {
    let Some(key) = attempt.call.key.as_deref() else {
        let committed = book.of_request(&done.request_id);
        let committed = committed.map(|committed| committed.revision);
        let right = committed.map_or_else(
            || may_change_nothing(attempt.call.operation, done),
            |revision| revision == done.revision,
        );
        return (!right)
            .then(|| format!("{attempt:?} was acknowledged, and done at {committed:?}"));
    };
    let under = book.under(attempt.environment, key);
    // What was done under the key before, if anything, was so long ago that it is a new one.
    let forgotten = under
        .iter()
        .all(|committed| times.may_be_forgotten(committed.revision, done.revision));
    // Who sets something again finds it as it was set before.
    let set_before = sets(attempt.call.operation) && !under.is_empty();
    let nothing_to_do = set_before || may_change_nothing(attempt.call.operation, done);
    if under
        .iter()
        .any(|committed| committed.revision == done.revision)
        || (forgotten && nothing_to_do)
    {
        return None;
    }
    Some(format!(
        "{attempt:?} was acknowledged; under its key were committed {:?}",
        under.iter().map(|it| it.revision).collect::<Vec<_>>()
    ))
}

/// Whether a success may mean that everything was as asked already.
fn may_change_nothing(operation: Operation, done: &Done) -> bool {
    match operation {
        Operation::Publish | Operation::PublishAndWait => {
            matches!(&done.seen, Seen::Snapshot(snapshot) if snapshot.unchanged)
        }
        Operation::ArchiveRule
        | Operation::PauseRule
        | Operation::ResumeRule
        | Operation::PrioritiseRule
        | Operation::Reorder
        | Operation::RollBack
        | Operation::RevokeKey => true,
        _ => false,
    }
}

/// Whether it gives what is there a value, so that doing it again right after changes nothing.
fn sets(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::RenameRule | Operation::MarkRules | Operation::ChangeRoute | Operation::Batch
    )
}

/// How a node's rules differ from what the journal says of them.
fn differs(book: &Book<'_>, state: &FinalState) -> impl Iterator<Item = String> {
    let held: std::collections::BTreeMap<&str, RuleFacts> = state
        .rules
        .iter()
        .map(|rule| {
            let facts = RuleFacts {
                name: rule.name.clone(),
                priority: rule.priority,
                archived: rule.status == "archived",
            };
            (rule.id.as_str(), facts)
        })
        .collect();
    let said = book
        .rules()
        .filter_map(move |(id, facts)| match held.get(id) {
            None => Some(format!("lost {id}")),
            Some(held) if held != facts => {
                Some(format!("holds {id} as {held:?} and not as {facts:?}"))
            }
            Some(_) => None,
        });
    let unsaid = state
        .rules
        .iter()
        .filter(|rule| book.rule_at(&rule.id, u64::MAX).is_none())
        .map(|rule| format!("holds {}, which nobody made", rule.id));
    said.chain(unsaid)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{
        attempt, call, commits_name, commits_rule, created, done, history, renamed,
    };
    use crate::history::{Committed, Operation};

    fn journal() -> Vec<Committed> {
        vec![commits_rule(5, "k1", "r1"), commits_name(6, "r1", "new")]
    }

    #[test]
    fn what_was_acknowledged_and_is_there_is_fine() {
        let attempts = vec![created("k1", "r1", 0, 5), renamed("r1", "new", 20, 6)];
        assert!(check(&history(attempts, journal(), &[("r1", "new")])).is_empty());
    }

    #[test]
    fn a_write_that_the_journal_does_not_have_is_found() {
        let attempts = vec![created("k1", "r1", 0, 5), renamed("r1", "lost", 20, 7)];
        let found = check(&history(attempts, journal(), &[("r1", "new")]));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_write_at_another_revision_is_found() {
        let attempts = vec![created("k1", "r1", 0, 4)];
        assert_eq!(
            check(&history(attempts, journal(), &[("r1", "new")])).len(),
            1
        );
    }

    #[test]
    fn a_node_that_lost_a_rule_or_an_old_name_or_has_another_rule_is_found() {
        assert_eq!(check(&history(vec![], journal(), &[])).len(), 1);
        assert_eq!(check(&history(vec![], journal(), &[("r1", "k1")])).len(), 1);
        let more = [("r1", "new"), ("r2", "nobody's")];
        assert_eq!(check(&history(vec![], journal(), &more)).len(), 1);
    }

    #[test]
    fn what_was_so_already_needs_no_entry() {
        let archive = call(Operation::ArchiveRule, Some("r1"), Some("a"));
        let attempts = vec![attempt(archive, 0, 10, done(9, "r1", "new"))];
        assert!(check(&history(attempts, journal(), &[("r1", "new")])).is_empty());
        let rename = call(Operation::RenameRule, Some("r1"), Some("a"));
        let attempts = vec![attempt(rename, 0, 10, done(9, "r1", "new"))];
        assert_eq!(
            check(&history(attempts, journal(), &[("r1", "new")])).len(),
            1
        );
    }

    #[test]
    fn a_name_that_was_given_a_day_of_the_log_ago_under_the_same_key_needs_no_entry() {
        let found = |at_ms| {
            let attempts = vec![renamed("r1", "new", 20, 6), renamed("r1", "new", 40, 9)];
            let mut journal = journal();
            journal.push(commits_name(8, "r2", "other"));
            journal[2].at_ms = at_ms;
            check(&history(attempts, journal, &[("r1", "new")])).len()
        };
        let with_nothing_forgotten = found(24 * 60 * 60 * 1_000 - 1);
        assert_eq!(found(24 * 60 * 60 * 1_000) + 1, with_nothing_forgotten);
    }
}
