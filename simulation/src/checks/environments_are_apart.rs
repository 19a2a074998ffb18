//! No answer names an object of another environment than the caller's, or says that it is in one.

use super::book::Book;
use crate::history::{Answer, Attempt, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let book = Book::open(history);
    let mut found = Vec::new();
    for attempt in &history.attempts {
        let (mentions, environments) = match &attempt.answer {
            Answer::Done(done) => (&done.mentions, done.environments.as_slice()),
            Answer::Refused { mentions, .. } => (mentions, [].as_slice()),
            _ => continue,
        };
        for mention in mentions {
            if let Some((id, owner)) = book.owner(*mention)
                && owner != attempt.environment
            {
                found.push(foreign(attempt, id));
            }
        }
        let others = environments
            .iter()
            .filter(|environment| **environment != attempt.environment);
        found.extend(others.map(|other| foreign(attempt, other.name())));
    }
    found
}

fn foreign(attempt: &Attempt, what: &str) -> String {
    format!("{attempt:?} was shown {what}, which is of another environment")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{commits_rule, created, history};
    use crate::history::{Answer, Environment};

    #[test]
    fn an_object_of_another_environment_is_found() {
        let attempts = vec![created("k1", "r1", 0, 5)];
        let mut history = history(attempts, vec![commits_rule(5, "k1", "r1")], &[]);
        assert!(check(&history).is_empty());
        history.journal[0].environment = Environment::Sandbox;
        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn the_name_of_another_environment_is_found() {
        let mut attempt = created("k1", "r1", 0, 5);
        if let Answer::Done(done) = &mut attempt.answer {
            done.environments.push(Environment::Sandbox);
        }
        assert_eq!(check(&history(vec![attempt], vec![], &[])).len(), 1);
    }
}
