//! On every node: purged ≤ checkpoint ≤ applied ≤ committed ≤ last. What was purged is in a
//! checkpoint, what is in a checkpoint was applied, what was applied is committed, and what is
//! committed is there.

use crate::history::{History, NodeSight, Place};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    history
        .nodes
        .iter()
        .filter_map(|sight| {
            let what = out_of_order(sight)?;
            Some(format!("{what}: {sight:?}"))
        })
        .collect()
}

fn out_of_order(sight: &NodeSight) -> Option<&'static str> {
    let index = |place: Option<Place>| place.map_or(0, |place| place.index);
    let steps = [
        ("purged before a checkpoint", sight.purged, sight.checkpoint),
        (
            "a checkpoint of what was not applied",
            sight.checkpoint,
            sight.applied,
        ),
        (
            "applied before it was committed",
            sight.applied,
            sight.committed,
        ),
        ("committed and not there", sight.committed, sight.last),
    ];
    steps
        .into_iter()
        .find(|(_, low, high)| index(*low) > index(*high))
        .map(|(what, _, _)| what)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{place, sight};
    use crate::history::History;

    #[track_caller]
    fn found([purged, checkpoint, applied, committed, last]: [u64; 5], violations: usize) {
        let mut sight = sight(1, 10, 1, 1);
        sight.purged = Some(place(1, 1, purged));
        sight.checkpoint = Some(place(1, 1, checkpoint));
        sight.applied = Some(place(1, 1, applied));
        sight.committed = Some(place(1, 1, committed));
        sight.last = Some(place(1, 1, last));
        let history = History {
            nodes: vec![sight],
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn each_step_out_of_order_is_found() {
        found([1, 2, 3, 4, 5], 0);
        found([5, 5, 5, 5, 5], 0);
        found([3, 2, 3, 4, 5], 1);
        found([1, 4, 3, 4, 5], 1);
        found([1, 2, 5, 4, 5], 1);
        found([1, 2, 3, 6, 5], 1);
    }
}
