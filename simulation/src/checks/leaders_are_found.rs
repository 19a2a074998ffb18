//! A link that works one way only does not leave the cluster without a leader that a quorum follows
//! for more than five seconds, as long as nothing else goes wrong. Two voters alone need both ways
//! between them.

use std::collections::{BTreeMap, BTreeSet};

use super::memberships::Memberships;
use crate::history::{Effect, FaultSpan, History, Host};

/// How long there may be none, in microseconds: five seconds, and one that passes until a leader
/// that nobody follows any more is taken for one in name alone.
const WITHOUT_US: u64 = 6_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let led = led(history);
    let memberships = Memberships::new(history);
    history
        .faults
        .iter()
        .filter_map(|fault| match &fault.effect {
            Effect::CutOneWay(Host::Node(from), Host::Node(to)) => Some((fault, [*from, *to])),
            _ => None,
        })
        .flat_map(|(fault, link)| {
            let alone = alone(history, fault).into_iter();
            alone.map(move |span| (span, link))
        })
        .filter(|((from, until), link)| {
            let mut sets = memberships.voters(*from, *until).into_iter();
            sets.all(|voters| voters.len() > 2 || !link.iter().all(|node| voters.contains(node)))
        })
        .map(|(span, _)| span)
        .filter_map(|(from, until)| {
            let gap = led.windows(2).find_map(|pair| {
                let [(began, leads), (ended, _)] = pair else {
                    return None;
                };
                let (began, ended) = ((*began).max(from), (*ended).min(until));
                (!leads && ended > began + WITHOUT_US).then_some((began, ended))
            })?;
            Some(format!(
                "nobody led between {} and {} µs, with one link cut one way",
                gap.0, gap.1
            ))
        })
        .collect()
}

/// The parts of a fault's time in which no other one was in force.
fn alone(history: &History, fault: &FaultSpan) -> Vec<(u64, u64)> {
    let end = fault.ended_us.unwrap_or(history.ended_us);
    let mut borders = BTreeSet::from([fault.began_us, end]);
    let others: Vec<&FaultSpan> = history
        .faults
        .iter()
        .filter(|other| *other != fault && other.overlaps(fault.began_us, end))
        .filter(|other| !matches!(other.effect, Effect::Other))
        .collect();
    for other in &others {
        borders.insert(other.began_us.clamp(fault.began_us, end));
        let ended = other.ended_us.unwrap_or(end);
        borders.insert(ended.clamp(fault.began_us, end));
    }
    let borders: Vec<u64> = borders.into_iter().collect();
    borders
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .filter(|(from, until)| {
            !others
                .iter()
                .any(|other| other.overlaps(from + 1, until.saturating_sub(1)))
        })
        .collect()
}

/// From when on there was a leader that a quorum follows, or none; to the end of the run.
fn led(history: &History) -> Vec<(u64, bool)> {
    let mut acting: BTreeMap<usize, bool> = BTreeMap::new();
    let mut led = vec![(0, false)];
    for sight in &history.nodes {
        acting.insert(sight.node, sight.acting);
        let now = acting.values().any(|acting| *acting);
        if led.last().is_none_or(|(_, before)| *before != now) {
            led.push((sight.at_us, now));
        }
    }
    led.push((history.ended_us, false));
    led
}

#[cfg(test)]
mod tests {
    use super::{WITHOUT_US, check};
    use crate::checks::made_up::{fault, sight};
    use crate::history::{Effect, FaultSpan, History, Host, NodeSight};

    fn acting(at_us: u64, acting: bool) -> NodeSight {
        NodeSight {
            acting,
            ..sight(1, at_us, 1, 1)
        }
    }

    #[track_caller]
    fn found(without_us: u64, mut faults: Vec<FaultSpan>, violations: usize) {
        let one_way = Effect::CutOneWay(Host::Node(1), Host::Node(2));
        faults.push(fault(one_way, 1_000, 50_000_000));
        let history = History {
            nodes: vec![
                acting(0, true),
                acting(2_000_000, false),
                acting(2_000_000 + without_us, true),
            ],
            faults,
            ended_us: 60_000_000,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn a_cluster_without_a_leader_for_longer_is_found() {
        found(WITHOUT_US, vec![], 0);
        found(WITHOUT_US + 1, vec![], 1);
    }

    #[test]
    fn anything_else_that_goes_wrong_excuses_it() {
        let down = fault(Effect::Down(vec![Host::Node(3)]), 3_000_000, 7_000_000);
        found(WITHOUT_US + 1, vec![down], 0);
    }
}
