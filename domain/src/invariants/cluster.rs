//! Source: operators' changes are kept up to a number, which is counted.

use super::ensure;
use super::state::State;
use crate::model::ClusterRecord;
use crate::schema::{CLUSTER, CLUSTER_CHANGES};

pub(super) fn check(state: &State) -> Result<(), String> {
    let kept = CLUSTER_CHANGES
        .walk(&state.rows, CLUSTER_CHANGES.all())
        .count() as u64;
    let counted = CLUSTER.get(&state.rows, ()).unwrap_or_default().changes;
    ensure(kept == counted, || {
        format!("{kept} changes of the cluster are kept and {counted} are counted")
    })?;
    ensure(kept <= ClusterRecord::KEPT, || {
        format!("{kept} changes of the cluster are kept")
    })
}
