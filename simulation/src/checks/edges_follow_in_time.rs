//! Ten seconds after everything was healed, every edge serves by a manifest that is at least as new
//! as the one that was current then.

use crate::history::{EdgeSight, History, Host};

/// How long an edge may take, in microseconds.
const FOLLOWED_US: u64 = 10_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let Some(healed) = history.healed_us else {
        return Vec::new();
    };
    let deadline = healed + FOLLOWED_US;
    if history.ended_us < deadline {
        // It ended because everything was equal before that.
        return Vec::new();
    }
    let Some(current) = current_at(history, healed) else {
        return Vec::new();
    };
    history
        .final_edges
        .keys()
        .filter(|edge| !is_new(history, **edge, healed))
        .filter_map(|edge| {
            let held = held_at(history, *edge, deadline);
            (held < Some(current)).then(|| {
                format!("edge {edge} serves by {held:?} ten seconds after {current:?} was current")
            })
        })
        .collect()
}

fn current_at(history: &History, at_us: u64) -> Option<(u64, u64)> {
    history
        .manifests_at
        .iter()
        .filter(|(_, since)| **since <= at_us)
        .map(|(manifest, _)| *manifest)
        .max()
}

fn held_at(history: &History, edge: usize, at_us: u64) -> Option<(u64, u64)> {
    let of = |sight: &&EdgeSight| sight.edge == edge && sight.at_us <= at_us;
    let newest = history.sights.iter().rfind(of)?;
    Some((newest.epoch, newest.version))
}

/// Whether an edge's process began after the healing.
fn is_new(history: &History, edge: usize, healed_us: u64) -> bool {
    history
        .lives
        .iter()
        .any(|life| life.host == Host::Edge(edge) && life.began_us > healed_us)
}

#[cfg(test)]
mod tests {
    use super::{FOLLOWED_US, check};
    use crate::checks::made_up::edge_sight;
    use crate::history::History;

    #[track_caller]
    fn found(followed_us: u64, violations: usize) {
        let history = History {
            healed_us: Some(1_000),
            ended_us: FOLLOWED_US + 5_000,
            manifests_at: [((1, 3), 0), ((1, 4), 900), ((1, 5), 3_000)].into(),
            sights: vec![edge_sight(0, 10, 3), edge_sight(0, followed_us, 4)],
            final_edges: [(0, (1, 4))].into(),
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn an_edge_that_takes_longer_is_found() {
        found(FOLLOWED_US, 0);
        found(FOLLOWED_US + 2_000, 1);
    }
}
