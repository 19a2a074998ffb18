//! An event that an endpoint has received is sent to it again once at most for each change of
//! leaders since: by a new leader that does not know of it yet.

use super::deliveries::{courses, received};
use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for ((endpoint, event), course) in courses(history) {
        let Some(first) = course.attempts.iter().position(|it| received(it)) else {
            continue;
        };
        let again = &course.attempts[first + 1..];
        let Some(last) = again.last() else { continue };
        let since = course.attempts[0].at_us;
        let changes = history
            .leaders
            .iter()
            .filter(|change| (since..=last.at_us).contains(&change.at_us))
            .count();
        if again.len() > changes {
            found.push(format!(
                "{event} was received at {} µs by {endpoint} and sent again {} times, with {changes} changes of leaders",
                course.attempts[first].at_us,
                again.len()
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::made_up::{delivery, history};
    use super::check;
    use crate::checks::made_up::leader;
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
}
