//! What several nodes know of the same edges, made one: each edge once.

use std::collections::BTreeMap;

use super::record::ACKS_MAX;
use super::wire::{Ack, Answer, EdgeRow};
use crate::control_plane::MemberId;

/// An edge and the node that knows best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) node_id: MemberId,
    pub(super) row: EdgeRow,
}

impl Known {
    /// Whose word counts: a node that the edge is connected to, and among those the one that
    /// heard of it last. (For the moment until it is noticed that a connection is dead, two nodes
    /// think that they have the edge.)
    fn rank(&self) -> impl Ord + use<> {
        (
            self.row.connected,
            std::cmp::Reverse(self.row.quiet_ms),
            std::cmp::Reverse(self.node_id),
        )
    }
}

/// Each edge once, in the order of identifiers, with what the best informed node says of it and
/// the acknowledgements that any node heard.
pub(super) fn merge(answers: impl IntoIterator<Item = Answer>) -> Vec<Known> {
    let mut edges: BTreeMap<String, Known> = BTreeMap::new();
    for Answer { node_id, rows, .. } in answers {
        for row in rows {
            let mut other = Known { node_id, row };
            let Some(known) = edges.get_mut(&other.row.edge_id) else {
                edges.insert(other.row.edge_id.clone(), other);
                continue;
            };
            let acks = merge_acks(&known.row.acks, &other.row.acks);
            if other.rank() > known.rank() {
                std::mem::swap(known, &mut other);
            }
            known.row.acks = acks;
        }
    }
    edges.into_values().collect()
}

/// The latest ones, each manifest once: from the node that measured it, or else with the earliest time.
fn merge_acks(some: &[Ack], others: &[Ack]) -> Vec<Ack> {
    let mut merged: BTreeMap<_, Ack> = BTreeMap::new();
    for ack in some.iter().chain(others) {
        let earliest = merged.entry((ack.epoch, ack.version)).or_insert(*ack);
        if (ack.steps.is_none(), ack.at) < (earliest.steps.is_none(), earliest.at) {
            *earliest = *ack;
        }
    }
    let beyond = merged.len().saturating_sub(ACKS_MAX);
    merged.into_values().skip(beyond).collect()
}
