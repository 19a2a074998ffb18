//! An event that an endpoint has received is sent to it again once at most for each time since that
//! somebody takes up leadership: by a new leader that does not know of it yet, or by one that no
//! quorum followed for a while, whose record of it nobody confirmed; or where the record was made to
//! fail. What a leader has sent before it hands over may come after that. An attempt after one that the endpoint
//! refused is no duplicate.

use std::collections::BTreeMap;

use super::deliveries::{courses, received};
use crate::history::{History, NodeSight};

/// For how long an attempt can be under way before it comes: no sender waits longer.
const UNDER_WAY_US: u64 = 10_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let lapses = lapses(history);
    let mut found = Vec::new();
    for ((endpoint, event), course) in courses(history) {
        let Some(first) = course.attempts.iter().position(|it| received(it)) else {
            continue;
        };
        let duplicates = course.attempts.windows(2).filter(|pair| received(pair[0]));
        let again = duplicates.count();
        let Some(last) = course.attempts.last() else {
            continue;
        };
        let since = course.attempts[0].at_us;
        let sent = since.saturating_sub(UNDER_WAY_US);
        let changes = history
            .leaders
            .iter()
            .filter(|change| (sent..=last.at_us).contains(&change.at_us))
            .count();
        let lapsed = lapses
            .iter()
            .filter(|(from, until)| *from <= last.at_us && *until >= since)
            .count();
        let unrecorded = history.unrecorded.iter();
        let unrecorded = unrecorded
            .filter(|at| (since..=last.at_us).contains(at))
            .count();
        if again > changes + lapsed + unrecorded {
            found.push(format!(
                "{event} was received at {} µs by {endpoint} and sent again {again} times, with {changes} changes of leaders and {lapsed} times without a quorum",
                course.attempts[first].at_us,
            ));
        }
    }
    found
}

/// From when to when leaders were ones in name alone, and went on to lead in the same term.
fn lapses(history: &History) -> Vec<(u64, u64)> {
    let mut leading: BTreeMap<usize, &NodeSight> = BTreeMap::new();
    let mut lost: BTreeMap<usize, u64> = BTreeMap::new();
    let mut lapses = Vec::new();
    for sight in &history.nodes {
        let before = leading.insert(sight.node, sight).filter(|before| {
            (before.life, before.term) == (sight.life, sight.term) && before.leads && sight.leads
        });
        match (before.map(|before| before.acting), sight.acting) {
            (Some(true), false) => {
                lost.insert(sight.node, sight.at_us);
            }
            (Some(false), true) => {
                let from = lost.remove(&sight.node);
                lapses.extend(from.map(|from| (from, sight.at_us)));
            }
            (Some(_), _) => {}
            (None, _) => {
                lost.remove(&sight.node);
            }
        }
    }
    lapses
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::made_up::{delivery, history};
    use super::check;
    use crate::checks::made_up::{leader, sight};
    use crate::history::LeaderChange;

    fn found(times: &[(u64, u16)], led_at: &[u64]) -> usize {
        let deliveries = times
            .iter()
            .map(|(at, status)| delivery("evt_1", *at, *status));
        let mut history = history(vec![], deliveries.collect());
        history.leaders = led_at
            .iter()
            .map(|at_us| LeaderChange {
                at_us: *at_us,
                leader: leader(2, 2),
                revision: 1,
            })
            .collect();
        check(&history).len()
    }

    #[test]
    fn one_more_for_each_change_of_leaders_is_fine_and_more_are_found() {
        assert_eq!(found(&[(10, 500), (20, 200)], &[]), 0);
        assert_eq!(found(&[(10, 200), (20, 200)], &[]), 1);
        assert_eq!(found(&[(10, 200), (20, 200)], &[15]), 0);
        assert_eq!(found(&[(10, 200), (20, 200), (30, 200)], &[15]), 1);
        assert_eq!(found(&[(10, 200), (20, 200)], &[25]), 1);
    }

    #[test]
    fn what_an_endpoint_refuses_after_it_was_sent_again_is_tried_as_ever() {
        let sent = [(10, 200), (20, 503), (30, 503), (40, 200)];
        assert_eq!(found(&sent, &[15]), 0);
        assert_eq!(found(&sent, &[]), 1);
    }

    #[test]
    fn what_was_sent_by_one_who_handed_over_may_come_after_that() {
        let at = |seconds: u64| seconds * 1_000_000;
        assert_eq!(found(&[(at(20), 200), (at(21), 200)], &[at(19)]), 0);
        assert_eq!(found(&[(at(20), 200), (at(21), 200)], &[at(9)]), 1);
    }

    #[test]
    fn a_leader_that_gets_its_quorum_back_may_send_again_once() {
        let found = |times: &[u64], leads: bool| {
            let deliveries = times.iter().map(|at| delivery("evt_1", *at, 200));
            let mut history = history(vec![], deliveries.collect());
            for (at_us, acting) in [(5, true), (15, false), (20, true)] {
                let mut sight = sight(1, at_us, 1, 1);
                (sight.leads, sight.acting) = (leads || acting, acting);
                history.nodes.push(sight);
            }
            check(&history).len()
        };
        assert_eq!(found(&[10, 20], true), 0);
        assert_eq!(found(&[10, 20, 25], true), 1);
        assert_eq!(found(&[21, 25], true), 1);
        // It stood down, and whoever leads then is told of as a change.
        assert_eq!(found(&[10, 20], false), 1);
    }
}
