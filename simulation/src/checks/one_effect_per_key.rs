//! One idempotency key has at most one effect, and whoever asks under it, on whatever node, is told
//! the same: the same success with the same body and revision, or the same refusal. One answer at
//! most is the first, all others say that they repeat it. All that holds for a day of the log's time,
//! after which the key is a new one; and in one environment, whatever another one uses the key for.

use std::collections::BTreeMap;

use super::log_time::LogTime;
use crate::history::{Answer, Attempt, Environment, History, Operation};

/// The refusal of a key that another request was made with.
const REUSED: &str = "idempotency_key_reused";

/// What was asked under a key.
type Asked<'a> = BTreeMap<(Environment, &'a str), Vec<&'a Attempt>>;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let times = LogTime::of(history);
    let mut found = Vec::new();
    let mut effects: BTreeMap<(Environment, &str), u64> = BTreeMap::new();
    for committed in &history.journal {
        let Some(key) = &committed.key else { continue };
        let before = effects.insert((committed.environment, key), committed.revision);
        if let Some(before) = before
            && !times.may_be_forgotten(before, committed.revision)
        {
            found.push(format!(
                "{key} had an effect at {before} and another at {}",
                committed.revision
            ));
        }
    }
    for ((_, key), mut attempts) in asked(history) {
        attempts.sort_by_key(|attempt| revision(&attempt.answer));
        found.extend(differing(&attempts, &times).map(|what| format!("{key}: {what}")));
    }
    found
}

fn asked(history: &History) -> Asked<'_> {
    let mut asked = Asked::new();
    for attempt in &history.attempts {
        if let Some(key) = &attempt.call.key
            && !matches!(attempt.call.operation, Operation::Bad(_))
        {
            let under = (attempt.environment, key.as_str());
            asked.entry(under).or_default().push(attempt);
        }
    }
    asked
}

/// What of an answer every other one has to repeat.
fn said(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Done(done) => Some(format!(
            "{} with {:x} at {}",
            done.status, done.digest, done.revision
        )),
        Answer::Refused { status, code, .. } if is_recorded(*status, code) => {
            Some(format!("{status} {code}"))
        }
        _ => None,
    }
}

/// Whether a refusal is about what was asked, and so kept under the key, and not about the attempt.
fn is_recorded(status: u16, code: &str) -> bool {
    !matches!(status, 401 | 403 | 408 | 429) && code != "idempotency_in_progress"
}

/// The revision that an answer is of.
fn revision(answer: &Answer) -> u64 {
    match answer {
        Answer::Done(done) => done.revision,
        Answer::Refused { revision, .. } => *revision,
        Answer::Unavailable { .. } | Answer::NotSent | Answer::Unknown(_) => 0,
    }
}

/// What is wrong with the answers under a key, in the order of the log.
fn differing(attempts: &[&Attempt], times: &LogTime) -> Option<String> {
    let mut first: Option<(u64, String)> = None;
    let mut firsts = 0;
    for Attempt { answer, .. } in attempts {
        let Some(said) = said(answer) else { continue };
        let at = revision(answer);
        match &first {
            Some((_, before)) if *before == said => {}
            Some((since, before)) if !times.may_be_forgotten(*since, at) => {
                return Some(format!("was answered `{before}` and `{said}`"));
            }
            _ => {
                first = Some((at, said));
                firsts = 0;
            }
        }
        if let Answer::Refused { code, .. } = answer
            && code == REUSED
        {
            return Some("was told that it was used for something else".to_owned());
        }
        firsts += usize::from(answer.done().is_some_and(|done| !done.replayed));
        if firsts > 1 {
            return Some(format!("{firsts} answers take themselves for the first"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{attempt, commits_rule, created, history, refused, renames};
    use crate::history::{Answer, Attempt};

    fn replayed(mut attempt: Attempt) -> Attempt {
        if let Answer::Done(done) = &mut attempt.answer {
            done.replayed = true;
        }
        attempt
    }

    #[test]
    fn a_retry_with_the_same_answer_is_fine() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            replayed(created("k1", "r1", 20, 5)),
        ];
        let journal = vec![commits_rule(5, "k1", "r1")];
        assert!(check(&history(attempts, journal, &[])).is_empty());
    }

    #[test]
    fn a_second_effect_is_found_in_the_journal_and_in_the_answers() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            replayed(created("k1", "r2", 20, 6)),
        ];
        let journal = vec![commits_rule(5, "k1", "r1"), commits_rule(6, "k1", "r2")];
        let found = check(&history(attempts, journal, &[]));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_replay_that_does_not_say_so_is_found() {
        let attempts = vec![created("k1", "r1", 0, 5), created("k1", "r1", 20, 5)];
        assert_eq!(check(&history(attempts, vec![], &[])).len(), 1);
    }

    #[test]
    fn success_and_refusal_under_one_key_are_found_but_not_for_being_too_many() {
        let again = |answer| attempt(renames("r1", "k1"), 20, 30, answer);
        let first = || {
            attempt(
                renames("r1", "k1"),
                0,
                10,
                crate::checks::made_up::done(5, "r1", "k1"),
            )
        };
        let found = |answer| check(&history(vec![first(), again(answer)], vec![], &[])).len();
        assert_eq!(found(refused(422, "rule_published")), 1);
        assert_eq!(found(refused(429, "rate_limit_exceeded")), 0);
        assert_eq!(found(refused(409, "idempotency_in_progress")), 0);
    }

    #[test]
    fn a_key_that_another_environment_used_is_not_refused() {
        let refused = attempt(
            renames("r1", "k1"),
            20,
            30,
            refused(409, "idempotency_key_reused"),
        );
        assert_eq!(check(&history(vec![refused], vec![], &[])).len(), 1);
    }

    #[test]
    fn after_a_day_of_the_log_a_key_is_a_new_one() {
        let found = |at_ms| {
            let attempts = vec![created("k1", "r1", 0, 5), created("k1", "r2", 20, 6)];
            let mut journal = vec![commits_rule(5, "k1", "r1"), commits_rule(6, "k1", "r2")];
            journal[1].at_ms = at_ms;
            check(&history(attempts, journal, &[])).len()
        };
        assert_eq!(found(24 * 60 * 60 * 1_000), 0);
        assert_eq!(found(24 * 60 * 60 * 1_000 - 1), 2);
    }
}
