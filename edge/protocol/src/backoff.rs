//! Which node to try next, and how long to wait first. Pure: randomness is passed in.
//!
//! Nodes are tried in turn, one soon after the other: of several nodes, some may be dead for good, or take an
//! edge in and then fail it, and none of them must keep it from those that do not. Only when all of them have
//! failed is there a longer wait, which grows from round to round.

use std::time::Duration;

/// The wait after the first failure is between half of this and this: long enough that a
/// thousand edges that lose a node do not arrive at the next one in the same instant.
pub const BACKOFF_MIN: Duration = Duration::from_millis(200);

/// No wait is longer. An edge without any node asks at least this often: when nodes are back, edges follow
/// within ten seconds, of which dead nodes that are asked first take some.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a connection must have served before its loss counts as the first failure again.
/// Otherwise a node that lets edges in and drops them would be asked without pause.
pub const STABLE_MIN: Duration = Duration::from_secs(5);

/// Addresses that an edge keeps: those of its settings, and those it learns.
pub const NODES_MAX: usize = 64;

/// The wait after so many failures in a row of so many nodes: [`BACKOFF_MIN`] before another node of the same
/// round, and after a round twice as long each time, up to [`BACKOFF_MAX`]; the second half of it is random.
#[must_use]
pub fn delay(failures: u32, nodes: usize, random: u64) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
    let rounds = if failures.is_multiple_of(nodes) {
        failures / nodes
    } else {
        1
    };
    let doubled = BACKOFF_MIN.saturating_mul(1 << rounds.saturating_sub(1).min(16));
    let half = doubled.min(BACKOFF_MAX) / 2;
    let spread_ms = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(random % (spread_ms + 1))
}

/// Nodes in turn.
#[derive(Clone, Debug)]
pub struct Rotation {
    nodes: Vec<String>,
    next: usize,
    failures: u32,
}

impl Rotation {
    /// Starts at a node that `random` picks, so that edges spread over the nodes.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = String>, random: u64) -> Self {
        let mut rotation = Self {
            nodes: Vec::new(),
            next: 0,
            failures: 0,
        };
        rotation.replace(nodes);
        let count = u64::try_from(rotation.nodes.len()).unwrap_or(1).max(1);
        rotation.next = usize::try_from(random % count).unwrap_or(0);
        rotation
    }

    /// Has these in their order from now on, each once. The one that was to come next still does, if it is one of them.
    pub fn replace(&mut self, nodes: impl IntoIterator<Item = String>) {
        let next = self.nodes.get(self.next).cloned();
        self.nodes.clear();
        for node in nodes {
            if self.nodes.len() < NODES_MAX && !self.nodes.contains(&node) {
                self.nodes.push(node);
            }
        }
        let place = |next| self.nodes.iter().position(|node| *node == next);
        self.next = next.and_then(place).unwrap_or(0);
    }

    /// The node to try now; the one after it comes next. `None` without any node.
    pub fn take(&mut self) -> Option<String> {
        let node = self.nodes.get(self.next)?.clone();
        self.next = (self.next + 1) % self.nodes.len();
        Some(node)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Notes that none of all nodes could be reached. Gives the wait before they are tried again.
    pub fn none_reached(&mut self, random: u64) -> Duration {
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).max(1);
        let rounds = (self.failures / nodes).saturating_add(1);
        self.failures = rounds.saturating_mul(nodes);
        delay(self.failures, self.nodes.len(), random)
    }

    /// Notes that a node that was reached was lost after it `served` for so long. Gives the wait before the
    /// next one.
    pub fn lost(&mut self, served: Duration, random: u64) -> Duration {
        if served >= STABLE_MIN {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        delay(self.failures, self.nodes.len(), random)
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(nodes: &[&str]) -> Vec<String> {
        nodes.iter().map(|&node| node.to_owned()).collect()
    }

    #[test]
    fn waits_double_up_to_the_bound() {
        let longest = |failures| delay(failures, 1, 100).as_millis();
        assert_eq!(longest(1), BACKOFF_MIN.as_millis());
        for (failures, half_ms) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (5, 1600),
            (6, 2500),
            (40, 2500),
        ] {
            assert_eq!(
                delay(failures, 1, 0).as_millis(),
                half_ms,
                "after {failures}"
            );
        }
    }

    #[test]
    fn only_a_round_without_a_node_makes_the_next_wait_longer() {
        let waits = (1..=9).map(|failures| delay(failures, 3, 0).as_millis());
        assert!(waits.eq([100, 100, 100, 100, 100, 200, 100, 100, 400]));
        assert_eq!(delay(u32::MAX - 1, 2, 0), BACKOFF_MAX / 2);
        assert_eq!(delay(7, 0, 0), delay(7, 1, 0));
    }

    #[test]
    fn nodes_are_taken_in_turn_and_others_may_take_their_place() {
        let mut rotation = Rotation::new(names(&["a", "b"]), 1);
        assert_eq!(rotation.take().as_deref(), Some("b"));
        rotation.replace(names(&["a", "b", "c", "b"]));
        let taken: Vec<_> = std::iter::from_fn(|| rotation.take()).take(4).collect();
        assert_eq!(taken, ["a", "b", "c", "a"]);
        rotation.replace(names(&["c", "b"]));
        assert_eq!(rotation.take().as_deref(), Some("b"));
        rotation.replace(names(&["d", "e"]));
        assert_eq!(rotation.take().as_deref(), Some("d"));
        assert_eq!(Rotation::new([], 7).take(), None);
    }

    #[test]
    fn a_connection_that_served_long_enough_starts_the_waits_anew() {
        let mut rotation = Rotation::new(names(&["a"]), 0);
        for _ in 0..5 {
            rotation.lost(Duration::ZERO, 0);
        }
        assert_eq!(rotation.failures(), 5);
        assert!(rotation.lost(STABLE_MIN, u64::MAX) <= BACKOFF_MIN);
        assert!(rotation.lost(STABLE_MIN - Duration::from_millis(1), 0) >= BACKOFF_MIN);
    }

    #[test]
    fn a_round_without_any_node_counts_as_the_failure_of_each() {
        let mut rotation = Rotation::new(names(&["a", "b", "c"]), 0);
        let waits: Vec<_> = (0..3)
            .map(|_| rotation.none_reached(0).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400]);
        assert_eq!(rotation.failures(), 9);
        rotation.lost(Duration::ZERO, 0);
        assert_eq!(rotation.none_reached(0).as_millis(), 800);
        assert_eq!(rotation.failures(), 12);
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(failures in 0_u32.., nodes in 0_usize..70, random: u64) {
            let wait = delay(failures, nodes, random);
            prop_assert!(wait >= BACKOFF_MIN / 2 && wait <= BACKOFF_MAX);
        }
    }
}
