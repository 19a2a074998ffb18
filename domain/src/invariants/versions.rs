//! Source: nothing of a rule's history is lost that was promised. The newest versions have their
//! records, and so have older ones while the journal tells of them; told from the first they give the
//! rule as it is, and the newest are the same in the rule.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ensure;
use super::state::State;
use crate::decide::only_version;
use crate::model::{Rule, RuleVersion, RuleVersionNumber};
use crate::rows::MemoryRows;
use crate::schema::{JOURNAL, RULE_VERSION_SNAPSHOTS, RULE_VERSIONS};

pub(super) fn check(state: &State) -> Result<(), String> {
    let (mut versions, mut snapshots) = (0, 0);
    for rule in state.routes.values().flat_map(|route| &route.rules) {
        let told = tell(&state.rows, rule)?;
        versions += told.len() - usize::from(only_version(rule).is_some());
        snapshots += check_newest(&state.rows, rule, &told)?;
    }
    let stored = RULE_VERSIONS.walk(&state.rows, RULE_VERSIONS.all()).count();
    ensure(stored == versions, || {
        format!("{stored} versions are stored, rules have {versions}")
    })?;
    // Those that went live before the newest are there as well.
    let all = RULE_VERSION_SNAPSHOTS.all();
    let stored = RULE_VERSION_SNAPSHOTS.walk(&state.rows, all).count();
    ensure(stored >= snapshots, || {
        format!("{stored} versions went live, rules know of {snapshots}")
    })
}

/// A rule's versions, which must give what the rule is.
fn tell(rows: &MemoryRows, rule: &Rule) -> Result<Vec<RuleVersion>, String> {
    let span = RULE_VERSIONS.under((&rule.environment_id, &rule.id));
    let stored = RULE_VERSIONS.walk(rows, span).map(|(_, version)| version);
    let versions: Vec<_> = only_version(rule).into_iter().chain(stored).collect();
    check_kept(rows, rule, &versions)?;
    let mut told: BTreeMap<&str, &str> = BTreeMap::new();
    for version in &versions {
        for change in &version.changes {
            told.insert(change.field.as_str(), &change.after);
        }
    }
    let whole = versions.first().map(|version| version.version) == Some(RuleVersionNumber(1));
    let metadata = json!(rule.metadata).to_string();
    let (name, priority) = (
        Value::from(rule.name.as_str()).to_string(),
        rule.priority.0.to_string(),
    );
    for (field, is) in [
        ("name", name.as_str()),
        ("priority", &priority),
        ("match", &rule.criteria),
        ("action", &rule.action),
        ("metadata", &metadata),
    ] {
        // What never changed since is not told without the first version.
        let said = told.get(field).copied();
        let said = said.unwrap_or(if whole { "{}" } else { is });
        ensure(said == is, || {
            format!("rule {}: {field} is {is}, its versions say {said}", rule.id)
        })?;
    }
    Ok(versions)
}

/// The newest are all there, and of the others those that the journal tells of.
fn check_kept(rows: &MemoryRows, rule: &Rule, versions: &[RuleVersion]) -> Result<(), String> {
    let newest = rule.versions.last().map_or(0, |newest| newest.version);
    let promised = newest.saturating_sub(RuleVersion::KEPT) + 1..=newest;
    let kept: Vec<_> = versions.iter().map(|version| version.version.0).collect();
    let first = kept.partition_point(|number| number < promised.start());
    ensure(kept[first..].iter().copied().eq(promised), || {
        format!("rule {}: of {newest} versions it has {kept:?}", rule.id)
    })?;
    versions[..first].iter().try_for_each(|version| {
        let row = (&rule.environment_id, &version.at, &version.revision);
        ensure(JOURNAL.has(rows, row), || {
            format!(
                "rule {}: nothing tells of version {}",
                rule.id, version.version.0
            )
        })
    })
}

/// The versions in the rule are the last of those told; says how many of them went live.
fn check_newest(rows: &MemoryRows, rule: &Rule, told: &[RuleVersion]) -> Result<usize, String> {
    let differs = || format!("rule {}: its versions are not as it says", rule.id);
    let begin = told
        .len()
        .checked_sub(rule.versions.len())
        .ok_or_else(differs)?;
    let mut live = 0;
    for (kept, told) in rule.versions.iter().zip(&told[begin..]) {
        let fields = told.changes.iter().map(|change| change.field);
        let same = RuleVersionNumber(kept.version) == told.version
            && kept.changed_fields.iter().copied().eq(fields)
            && (&kept.actor, kept.at) == (&told.actor, told.at);
        ensure(same, differs)?;
        let key = (&rule.environment_id, &rule.id, &told.version);
        let snapshot = RULE_VERSION_SNAPSHOTS.get(rows, key);
        ensure(snapshot == kept.snapshot_id, differs)?;
        live += usize::from(snapshot.is_some());
    }
    Ok(live)
}
