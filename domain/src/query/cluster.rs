//! The cluster itself: where it should be led, whose numbers are used up, what was asked of it.

use std::collections::BTreeMap;

use crate::model::{ClusterRecord, MemberId, RetiredMember};
use crate::rows::View;
use crate::schema::{CLUSTER, CLUSTER_CHANGES, RETIRED_MEMBERS};
use crate::time::Revision;

/// The region in which the leader should be, if operators said one.
pub fn preferred_region(view: &(impl View + ?Sized)) -> Option<String> {
    CLUSTER.get(view, ())?.preferred_region
}

/// All members that were removed, or are being removed. There are as many as nodes were ever replaced.
pub fn retired_members(view: &(impl View + ?Sized)) -> BTreeMap<MemberId, RetiredMember> {
    let rows = RETIRED_MEMBERS.walk(view, RETIRED_MEMBERS.all());
    rows.map(|((member,), record)| (member, record)).collect()
}

/// The last changes that operators asked for, the latest first.
pub fn cluster_changes(
    view: &(impl View + ?Sized),
    limit: usize,
) -> Vec<(Revision, ClusterRecord)> {
    let rows = CLUSTER_CHANGES.scan_back(view, &CLUSTER_CHANGES.all(), limit);
    rows.into_iter()
        .map(|((revision,), record)| (revision, record))
        .collect()
}
