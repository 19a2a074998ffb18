//! There is one audit entry for each change that was committed, the same on every node; and every
//! entry is of something that a client asked for, in the environment that it asked in, or a
//! scenario's script, or of what the cluster does by itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Committed, Environment, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let rows = history.journal.len();
    let mut hashes = history
        .finals
        .iter()
        .map(|(node, state)| (*node, state.journal_hash));
    if let Some((first, expected)) = hashes.next() {
        for (node, hash) in hashes.filter(|(_, hash)| *hash != expected) {
            found.push(format!(
                "the journals of nodes {first} and {node} differ: {expected:x} and {hash:x}"
            ));
        }
    }
    for (node, state) in &history.finals {
        if state.journal_rows != rows {
            found.push(format!(
                "node {node} has {} entries of {rows}",
                state.journal_rows
            ));
        }
    }
    found.extend(unasked(history));
    let doubled = history
        .journal
        .windows(2)
        .filter(|pair| pair[0].revision >= pair[1].revision);
    found.extend(doubled.map(|pair| format!("{:?} and {:?} are one change", pair[0], pair[1])));
    found
}

/// Entries that nobody asked for.
fn unasked(history: &History) -> Vec<String> {
    let asked: BTreeSet<(Environment, &str)> = history
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.environment, attempt.call.key.as_deref()?)))
        .collect();
    let mut without_key = WithoutKey::of(history);
    history
        .journal
        .iter()
        .filter(|committed| match (&committed.actor, &committed.key) {
            (None, _) => false,
            (Some(_), Some(key)) => {
                let asked = asked.contains(&(committed.environment, key.as_str()));
                !asked && !history.scripted.contains(key)
            }
            (Some(_), None) => !without_key.asked_for(committed),
        })
        .map(|committed| format!("nobody asked for {committed:?}"))
        .collect()
}

/// Changes that were asked for without a key.
struct WithoutKey<'a> {
    /// Those of which the client was told which request they are.
    told: BTreeSet<&'a str>,
    /// How many there are of the others.
    untold: BTreeMap<Environment, usize>,
}

impl<'a> WithoutKey<'a> {
    fn of(history: &'a History) -> Self {
        let mut this = Self {
            told: BTreeSet::new(),
            untold: BTreeMap::new(),
        };
        let asked = history
            .attempts
            .iter()
            .filter(|attempt| attempt.call.operation.writes() && attempt.call.key.is_none());
        for attempt in asked {
            match attempt.answer.request_id() {
                Some(told) => {
                    this.told.insert(told);
                }
                None => *this.untold.entry(attempt.environment).or_default() += 1,
            }
        }
        this
    }

    /// Whether one of them is this change, if each is one at most.
    fn asked_for(&mut self, committed: &Committed) -> bool {
        if self.told.contains(committed.request_id.as_str()) {
            return true;
        }
        let untold = self.untold.entry(committed.environment).or_default();
        let asked = *untold > 0;
        *untold = untold.saturating_sub(1);
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{commits_rule, created, history};
    use crate::history::{Answer, Environment, History, Silence};

    fn fine() -> History {
        let attempts = vec![created("k1", "r1", 0, 5)];
        let mut history = history(attempts, vec![commits_rule(5, "k1", "r1")], &[]);
        let state = history.finals[&1].clone();
        history.finals.insert(2, state);
        history
    }

    #[track_caller]
    fn found(change: impl FnOnce(&mut History), violations: usize) {
        let mut history = fine();
        change(&mut history);
        let found = check(&history);
        assert_eq!(found.len(), violations, "{found:?}");
    }

    #[test]
    fn an_entry_for_each_change_on_each_node_is_fine() {
        found(|_| (), 0);
    }

    #[test]
    fn another_journal_on_a_node_is_found() {
        found(|it| it.finals.get_mut(&2).unwrap().journal_hash = 7, 1);
        found(|it| it.finals.get_mut(&2).unwrap().journal_rows = 0, 1);
    }

    #[test]
    fn an_entry_that_nobody_asked_for_is_found_but_not_what_the_cluster_does() {
        found(|it| it.journal[0].key = Some("nobody's".to_owned()), 1);
        found(|it| it.journal[0].environment = Environment::Sandbox, 1);
        found(|it| it.journal[0].key = None, 1);
        found(|it| it.journal[0].actor = None, 0);
    }

    #[test]
    fn a_change_without_a_key_is_one_that_was_asked_for_so() {
        let asked = |request: Option<&str>| {
            let mut asked = created("k1", "r1", 0, 5);
            asked.call.key = None;
            match (&mut asked.answer, request) {
                (Answer::Done(done), Some(request)) => done.request_id = request.to_owned(),
                (answer, _) => *answer = Answer::Unknown(Silence::TimedOut),
            }
            asked
        };
        let changed = |it: &mut History, asked| {
            it.journal[0].key = None;
            it.attempts = vec![asked];
        };
        found(|it| changed(it, asked(Some("req_5"))), 0);
        found(|it| changed(it, asked(Some("req_6"))), 1);
        found(|it| changed(it, asked(None)), 0);
    }

    #[test]
    fn what_a_script_asked_for_is_fine() {
        found(
            |it| {
                it.journal[0].key = Some("a script's".to_owned());
                it.scripted.insert("a script's".to_owned());
            },
            0,
        );
    }

    #[test]
    fn two_entries_of_one_change_are_found() {
        found(
            |it| {
                it.journal.push(commits_rule(5, "k1", "r1"));
                it.finals
                    .values_mut()
                    .for_each(|state| state.journal_rows = 2);
            },
            1,
        );
    }
}
