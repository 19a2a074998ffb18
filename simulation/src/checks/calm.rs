//! Which nodes were in no trouble at a time, as far as the faults tell.

use std::collections::BTreeSet;

use super::memberships::Memberships;
use crate::history::{Effect, FaultSpan, History, Host, Life};

/// What a run did to its nodes, over time.
pub(super) struct Calm<'a> {
    faults: &'a [FaultSpan],
    lives: &'a [Life],
    memberships: Memberships<'a>,
}

impl<'a> Calm<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        Self {
            faults: &history.faults,
            lives: &history.lives,
            memberships: Memberships::new(history),
        }
    }

    /// The nodes with a vote at some time between the two that were in no trouble at any: each runs and hears all other
    /// of them.
    pub(super) fn nodes(&self, from_us: u64, until_us: u64) -> BTreeSet<usize> {
        self.calm_among(
            &self.memberships.voters(from_us, until_us),
            (from_us, until_us),
        )
    }

    /// Whether a node had a vote all the time between the two. One that loses its vote may be removed, and is not told what
    /// others agree on then.
    pub(super) fn keeps_its_vote(&self, node: usize, from_us: u64, until_us: u64) -> bool {
        let sets = self.memberships.voters(from_us, until_us);
        !sets.is_empty() && sets.iter().all(|voters| voters.contains(&node))
    }

    fn calm_among(
        &self,
        sets: &[BTreeSet<usize>],
        (from_us, until_us): (u64, u64),
    ) -> BTreeSet<usize> {
        let voters: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        let mut nodes = voters.clone();
        for fault in self
            .faults
            .iter()
            .filter(|it| it.overlaps(from_us, until_us))
        {
            for node in impaired(&fault.effect, &voters) {
                nodes.remove(&node);
            }
        }
        nodes.retain(|node| !self.is_down(&Host::Node(*node), from_us, until_us));
        nodes
    }

    /// Whether a process did not run at some time between the two.
    pub(super) fn is_down(&self, host: &Host, from_us: u64, until_us: u64) -> bool {
        let mut lives = self
            .lives
            .iter()
            .filter(|life| life.host == *host)
            .peekable();
        if lives.peek().is_none() {
            return false;
        }
        !lives.any(|life| {
            life.began_us <= from_us && life.ended_us.is_none_or(|ended| ended > until_us)
        })
    }

    /// Whether so many voters were in no trouble that they can do without the others, of each set of them that had to
    /// agree.
    pub(super) fn has_quorum(&self, from_us: u64, until_us: u64) -> bool {
        let sets = self.memberships.voters(from_us, until_us);
        let calm = self.calm_among(&sets, (from_us, until_us));
        let agrees =
            |voters: &BTreeSet<usize>| 2 * voters.intersection(&calm).count() > voters.len();
        !sets.is_empty() && sets.iter().all(agrees)
    }

    /// Whether all voters were in no trouble.
    pub(super) fn is_whole(&self, from_us: u64, until_us: u64) -> bool {
        let sets = self.memberships.voters(from_us, until_us);
        let calm = self.calm_among(&sets, (from_us, until_us));
        !sets.is_empty() && sets.iter().all(|voters| voters.is_subset(&calm))
    }

    /// Whether something of this kind happened between the two.
    pub(super) fn any(
        &self,
        from_us: u64,
        until_us: u64,
        wanted: impl Fn(&Effect) -> bool,
    ) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.overlaps(from_us, until_us) && wanted(&fault.effect))
    }
}

/// The nodes that a fault keeps from working with the others. A cut between two groups is counted
/// against the smaller one.
fn impaired(effect: &Effect, voters: &BTreeSet<usize>) -> BTreeSet<usize> {
    match effect {
        Effect::Cut(links) => {
            let pairs = links.iter().filter_map(|(a, b)| Some((node(a)?, node(b)?)));
            cut_off(&pairs.collect::<Vec<_>>(), voters)
        }
        Effect::CutOneWay(a, b) | Effect::Held(a, b) => {
            [node(a), node(b)].into_iter().flatten().collect()
        }
        Effect::Down(hosts)
        | Effect::Paused(hosts)
        | Effect::Disk(hosts)
        | Effect::Bad(hosts)
        | Effect::Clock(hosts) => hosts.iter().filter_map(node).collect(),
        Effect::Rot(host) | Effect::DiskLost(host) => node(host).into_iter().collect(),
        Effect::Weather => voters.clone(),
        Effect::Other => BTreeSet::new(),
    }
}

/// The nodes outside of the largest group of which nobody is cut off from another one of it.
fn cut_off(pairs: &[(usize, usize)], voters: &BTreeSet<usize>) -> BTreeSet<usize> {
    let apart = |a: usize, b: usize| pairs.iter().any(|pair| *pair == (a, b) || *pair == (b, a));
    let mut largest = BTreeSet::new();
    for first in voters {
        let mut group = BTreeSet::from([*first]);
        for other in voters {
            if group.iter().all(|member| !apart(*member, *other)) {
                group.insert(*other);
            }
        }
        if group.len() > largest.len() {
            largest = group;
        }
    }
    voters.difference(&largest).copied().collect()
}

fn node(host: &Host) -> Option<usize> {
    match host {
        Host::Node(node) => Some(*node),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::made_up::{fault, life, sight};

    fn history(faults: Vec<FaultSpan>) -> History {
        History {
            nodes: vec![sight(1, 0, 1, 1)],
            faults,
            ..History::default()
        }
    }

    #[track_caller]
    fn calm(effect: Effect, expected: &[usize]) {
        let history = history(vec![fault(effect, 100, 200)]);
        let calm = Calm::new(&history);
        assert_eq!(calm.nodes(0, 99).len(), 3);
        assert_eq!(calm.nodes(201, 300).len(), 3);
        let nodes: Vec<usize> = calm.nodes(150, 300).into_iter().collect();
        assert_eq!(nodes, expected);
        assert_eq!(calm.has_quorum(150, 300), expected.len() > 1);
    }

    #[test]
    fn whoever_is_struck_is_in_trouble() {
        let node = Host::Node;
        calm(Effect::Down(vec![node(2)]), &[1, 3]);
        calm(Effect::Down(vec![node(2), node(3)]), &[1]);
        calm(Effect::CutOneWay(node(1), node(2)), &[3]);
        calm(Effect::Weather, &[]);
        calm(Effect::Down(vec![Host::Edge(0)]), &[1, 2, 3]);
    }

    #[test]
    fn a_cut_is_counted_against_the_smaller_group() {
        let node = Host::Node;
        let links = vec![(node(1), node(2)), (node(1), node(3))];
        calm(Effect::Cut(links), &[2, 3]);
        calm(Effect::Cut(vec![(Host::Edge(0), node(1))]), &[1, 2, 3]);
    }

    #[test]
    fn whoever_does_not_run_is_in_trouble_whatever_the_faults_say() {
        let mut history = history(vec![]);
        history.lives = vec![
            life(Host::Node(1), 0, Some(50)),
            life(Host::Node(1), 80, None),
        ];
        let calm = Calm::new(&history);
        assert!(calm.is_down(&Host::Node(1), 40, 60));
        assert!(!calm.is_down(&Host::Node(1), 10, 20));
        assert!(!calm.is_down(&Host::Node(1), 90, 95));
        assert_eq!(calm.nodes(40, 60).len(), 2);
    }
}
