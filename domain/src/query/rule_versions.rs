//! Rules' versions.

use crate::id::{EnvironmentId, RuleId, SnapshotId};
use crate::model::{RuleVersion, RuleVersionNumber};
use crate::query::page::Page;
use crate::rows::View;
use crate::schema::{RULE_VERSION_SNAPSHOTS, RULE_VERSIONS};

/// A version of a rule, and the snapshot in which it first went live, if it did.
pub fn rule_version(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    rule: &RuleId,
    number: RuleVersionNumber,
) -> Option<(RuleVersion, Option<SnapshotId>)> {
    let key = (environment, rule, &number);
    let version = RULE_VERSIONS.get(view, key)?;
    Some((version, RULE_VERSION_SNAPSHOTS.get(view, key)))
}

/// A rule's versions, newest first, from before the given one on.
pub fn rule_versions_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    rule: &RuleId,
    before: Option<RuleVersionNumber>,
    limit: usize,
) -> Page<(RuleVersion, Option<SnapshotId>)> {
    let mut span = RULE_VERSIONS.under((environment, rule));
    if let Some(before) = &before {
        span.until = RULE_VERSIONS.key((environment, rule, before));
    }
    let rows = RULE_VERSIONS.scan_back(view, &span, limit.saturating_add(1));
    let has_more = rows.len() > limit;
    let shown = rows
        .into_iter()
        .take(limit)
        .map(|((_, _, number), version)| {
            let snapshot = RULE_VERSION_SNAPSHOTS.get(view, (environment, rule, &number));
            (version, snapshot)
        });
    Page {
        items: shown.collect(),
        has_more,
    }
}
