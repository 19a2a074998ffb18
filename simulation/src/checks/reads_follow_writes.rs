//! A client that was told a revision never sees an older state afterwards, whichever nodes it asks;
//! what a node has applied, which reads may ask for, never goes back while its process lives.

use std::collections::BTreeMap;

use crate::history::{Attempt, History};

/// Who is not to see an older state: a client, or whoever asks a node in one of its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Observer {
    Client(usize),
    Node(usize, u64),
}

/// What an observer was told, by when.
#[derive(Default)]
struct Told {
    /// Ends of answers, each with the greatest revision up to then.
    by_end: BTreeMap<u64, u64>,
}

impl Told {
    fn add(&mut self, ended_us: u64, revision: u64) {
        let most = self.before(ended_us + 1).unwrap_or_default().max(revision);
        self.by_end.insert(ended_us, most);
    }

    fn before(&self, at_us: u64) -> Option<u64> {
        let (_, most) = self.by_end.range(..at_us).next_back()?;
        Some(*most)
    }
}

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let lives = lives(history);
    let mut told: BTreeMap<Observer, Told> = BTreeMap::new();
    let mut found = Vec::new();
    // Attempts are in the order in which they ended.
    for (attempt, done) in history.done().filter(|(_, done)| !done.replayed) {
        let Some(observer) = observer(&lives, attempt) else {
            continue;
        };
        let told = told.entry(observer).or_default();
        if let Some(most) = told.before(attempt.sent_us)
            && done.revision < most
        {
            found.push(format!(
                "{attempt:?} shows an older state than {most}, which was shown before"
            ));
        }
        told.add(attempt.ended_us, done.revision);
    }
    found
}

/// When each node's processes began.
fn lives(history: &History) -> BTreeMap<usize, BTreeMap<u64, u64>> {
    let mut lives: BTreeMap<usize, BTreeMap<u64, u64>> = BTreeMap::new();
    for sight in &history.nodes {
        let of_node = lives.entry(sight.node).or_default();
        if of_node.values().next_back() != Some(&sight.life) {
            of_node.insert(sight.at_us, sight.life);
        }
    }
    lives
}

/// Nobody, where the process of the node that was asked changed meanwhile.
fn observer(lives: &BTreeMap<usize, BTreeMap<u64, u64>>, attempt: &Attempt) -> Option<Observer> {
    if !attempt.call.stale {
        return Some(Observer::Client(attempt.client));
    }
    let life_at = |at_us| {
        let of_node = lives.get(&attempt.node)?;
        of_node.range(..=at_us).next_back().map(|(_, life)| *life)
    };
    let life = life_at(attempt.sent_us);
    (life == life_at(attempt.ended_us)).then_some(Observer::Node(attempt.node, life.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{history, read, sight};
    use crate::history::Attempt;

    fn stale(at: u64, revision: u64) -> Attempt {
        let mut attempt = read("r1", "k1", at, revision);
        attempt.call.stale = true;
        attempt
    }

    #[track_caller]
    fn found(attempts: Vec<Attempt>, restarted_at: Option<u64>, violations: usize) {
        let mut history = history(attempts, vec![], &[]);
        history.nodes = vec![sight(1, 0, 1, 1)];
        history.nodes.extend(restarted_at.map(|at| {
            let mut again = sight(1, at, 1, 1);
            again.life = 2;
            again
        }));
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn a_client_that_sees_an_older_state_is_found() {
        found(vec![read("r1", "a", 0, 7), read("r1", "a", 20, 7)], None, 0);
        found(vec![read("r1", "a", 0, 7), read("r1", "a", 20, 6)], None, 1);
        // They were under way at the same time.
        found(vec![read("r1", "a", 0, 7), read("r1", "a", 5, 6)], None, 0);
    }

    #[test]
    fn what_a_node_applied_goes_back_only_with_its_process() {
        found(vec![stale(0, 7), stale(20, 6)], None, 1);
        found(vec![stale(0, 7), stale(20, 6)], Some(15), 0);
        found(vec![read("r1", "a", 0, 7), stale(20, 6)], None, 0);
    }
}
