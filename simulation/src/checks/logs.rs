//! The logs of all nodes at any time of a run, replayed from what was seen of them.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::slice::Iter;

use crate::history::{EntrySight, History, Leader, NodeSight, Place};

/// All logs, moving on in time.
pub(super) struct Logs<'a> {
    entries: Peekable<Iter<'a, EntrySight>>,
    sights: Peekable<Iter<'a, NodeSight>>,
    nodes: BTreeMap<u64, Log<'a>>,
}

/// One node's log.
#[derive(Default)]
struct Log<'a> {
    life: u64,
    entries: BTreeMap<u64, Leader>,
    newest: Option<&'a NodeSight>,
}

impl<'a> Logs<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        Self {
            entries: history.entries.iter().peekable(),
            sights: history.nodes.iter().peekable(),
            nodes: BTreeMap::new(),
        }
    }

    /// Moves on by one moment at which something was seen, and gives what was seen of nodes then.
    pub(super) fn next_moment(&mut self) -> Option<Vec<&'a NodeSight>> {
        let entry = self.entries.peek().map(|entry| entry.at_us);
        let sight = self.sights.peek().map(|sight| sight.at_us);
        let now = entry.into_iter().chain(sight).min()?;
        while let Some(entry) = self.entries.next_if(|entry| entry.at_us == now) {
            let log = self.log(entry.node as u64, entry.life);
            log.entries.insert(entry.place.index, entry.place.leader);
        }
        let mut seen = Vec::new();
        while let Some(sight) = self.sights.next_if(|sight| sight.at_us == now) {
            self.log(sight.node as u64, sight.life).newest = Some(sight);
            seen.push(sight);
        }
        // A node may be looked at twice in a moment, and what stands in its log by the second look is there
        // already: only the last one says where the log ends. What stood behind that is not there any more.
        for log in self.nodes.values_mut() {
            if let Some(newest) = log.newest.filter(|newest| newest.at_us == now) {
                let end = newest.last.map_or(0, |last| last.index) + 1;
                log.entries.split_off(&end);
            }
        }
        Some(seen)
    }

    /// A node's log in a life: a process that starts anew holds what its disk kept.
    fn log(&mut self, node: u64, life: u64) -> &mut Log<'a> {
        let log = self.nodes.entry(node).or_default();
        if log.life != life {
            *log = Log {
                life,
                ..Log::default()
            };
        }
        log
    }

    /// Whether a node has the entry, in its log or in what it applied: what was purged was.
    pub(super) fn has(&self, node: u64, place: Place) -> bool {
        let Some(log) = self.nodes.get(&node) else {
            return false;
        };
        let in_state = |sight: &NodeSight| {
            let covers = |covered: Option<Place>| covered.is_some_and(|it| it.index >= place.index);
            covers(sight.purged) || covers(sight.checkpoint)
        };
        match log.entries.get(&place.index) {
            Some(leader) => *leader == place.leader,
            None => log.newest.is_some_and(in_state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::made_up::{entry, place, sight};

    #[test]
    fn what_is_there_by_the_second_look_of_a_moment_is_not_behind_the_end_of_the_first() {
        let ends_at = |index| {
            let mut sight = sight(1, 8, 1, 1);
            sight.last = Some(place(1, 1, index));
            sight
        };
        let has = |ends: &[u64]| {
            let history = History {
                entries: [5, 6]
                    .map(|index| entry(1, 8, place(1, 1, index), 1))
                    .into(),
                nodes: ends.iter().copied().map(ends_at).collect(),
                ..History::default()
            };
            let mut logs = Logs::new(&history);
            assert_eq!(logs.next_moment().unwrap().len(), ends.len());
            [5, 6].map(|index| logs.has(1, place(1, 1, index)))
        };
        assert_eq!(has(&[4, 6]), [true, true]);
        assert_eq!(has(&[6, 5]), [true, false], "it was cut off in between");
    }
}
