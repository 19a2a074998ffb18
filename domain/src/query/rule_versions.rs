//! Rules' versions.

use crate::decide::only_version;
use crate::id::{EnvironmentId, RuleId, SnapshotId};
use crate::model::{RuleVersion, RuleVersionNumber};
use crate::query::page::Page;
use crate::rows::View;
use crate::schema::{RULE_VERSION_SNAPSHOTS, RULE_VERSIONS, RULES};

/// A rule that has no other version has no record of this one.
const FIRST: RuleVersionNumber = RuleVersionNumber(1);

/// A version of a rule, and the snapshot in which it first went live, if it did.
pub fn rule_version(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    rule: &RuleId,
    number: RuleVersionNumber,
) -> Option<(RuleVersion, Option<SnapshotId>)> {
    let key = (environment, rule, &number);
    let version = match RULE_VERSIONS.get(view, key) {
        Some(version) => version,
        None if number == FIRST => only_version(&RULES.get(view, (environment, rule))?)?,
        None => return None,
    };
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
    if before.is_none_or(|before| before > FIRST)
        && let Some(only) = RULES
            .get(view, (environment, rule))
            .as_ref()
            .and_then(only_version)
    {
        let snapshot = RULE_VERSION_SNAPSHOTS.get(view, (environment, rule, &FIRST));
        return Page {
            items: vec![(only, snapshot)],
            has_more: false,
        };
    }
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
