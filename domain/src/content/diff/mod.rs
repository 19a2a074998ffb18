//! What differs between two snapshots, in the words of the configuration: rules added, removed,
//! changed (with the paths of the fields) and moved, fields of the route, upstreams and their
//! targets. It opens only the chunks that differ.

mod fields;
mod render;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use fields::FieldChange;
use fields::compare;
use serde_json::Value;

use super::load::{load_head, rule, upstream};
use super::{RouteContent, RuleContent, UpstreamContent};
use crate::id::{RuleId, UpstreamId};
use crate::model::Priority;
use crate::tree::{self, Change, ChunkSource, Hash, TreeError, TreeKind};

/// What differs between two snapshots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotDiff {
    /// The fields of the route itself.
    pub route: Vec<FieldChange>,
    /// The rules.
    pub rules: RuleChanges,
    /// The upstreams.
    pub upstreams: UpstreamChanges,
}

/// What differs between the rules of two snapshots; each list is in (priority, identifier) order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleChanges {
    /// Only in the second.
    pub added: Vec<RuleContent>,
    /// Only in the first.
    pub removed: Vec<RuleContent>,
    /// In both, with other content.
    pub changed: Vec<ChangedRule>,
    /// In both, with another priority; perhaps changed as well.
    pub moved: Vec<MovedRule>,
}

/// A rule whose content differs.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedRule {
    /// Which rule.
    pub id: RuleId,
    /// Its label in the second snapshot.
    pub name: String,
    /// Its priority in the second snapshot.
    pub priority: Priority,
    /// What differs.
    pub fields: Vec<FieldChange>,
}

/// A rule whose priority differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedRule {
    /// Which rule.
    pub id: RuleId,
    /// Its label in the second snapshot.
    pub name: String,
    /// Its priority in the first snapshot.
    pub from: Priority,
    /// Its priority in the second snapshot.
    pub to: Priority,
}

/// What differs between the upstreams of two snapshots; each list is in identifier order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamChanges {
    /// Only in the second.
    pub added: Vec<UpstreamContent>,
    /// Only in the first.
    pub removed: Vec<UpstreamContent>,
    /// In both, with other content.
    pub changed: Vec<ChangedUpstream>,
}

/// An upstream that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedUpstream {
    /// Which upstream.
    pub id: UpstreamId,
    /// Its label in the second snapshot.
    pub name: String,
    /// What differs, `targets.tgt_….weight` for a target's weight.
    pub fields: Vec<FieldChange>,
}

impl SnapshotDiff {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.route.is_empty() && self.rules.is_empty() && self.upstreams.is_empty()
    }
}

impl RuleChanges {
    fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.moved.is_empty()
    }
}

impl UpstreamChanges {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares the snapshots with these heads; `None` stands for a route that was never published.
///
/// # Errors
/// When a chunk that differs is missing or corrupt.
pub fn diff_snapshots<S: ChunkSource + ?Sized>(
    source: &S,
    before: Option<Hash>,
    after: Option<Hash>,
) -> Result<SnapshotDiff, TreeError> {
    if before == after {
        return Ok(SnapshotDiff::default());
    }
    let before = before.map(|head| load_head(source, head)).transpose()?;
    let after = after.map(|head| load_head(source, head)).transpose()?;
    let root = |side: &Option<RouteContent>, of: fn(&RouteContent) -> Hash| {
        side.as_ref().map_or(Hash::EMPTY_TREE, of)
    };
    Ok(SnapshotDiff {
        route: compare(
            before.as_ref().map(route_fields).as_ref(),
            after.as_ref().map(route_fields).as_ref(),
        ),
        rules: rules(
            source,
            root(&before, |head| head.rules),
            root(&after, |head| head.rules),
        )?,
        upstreams: upstreams(
            source,
            root(&before, |head| head.upstreams),
            root(&after, |head| head.upstreams),
        )?,
    })
}

/// The identifier is the same on both sides and says nothing.
fn route_fields(head: &RouteContent) -> Value {
    without(head.to_json(), &["route_id"])
}

fn without(mut value: Value, names: &[&str]) -> Value {
    if let Value::Object(object) = &mut value {
        object.retain(|name, _| !names.contains(&name.as_str()));
    }
    value
}

/// One object on both sides.
type Sides<T> = (Option<T>, Option<T>);

fn rules<S: ChunkSource + ?Sized>(
    source: &S,
    before: Hash,
    after: Hash,
) -> Result<RuleChanges, TreeError> {
    // The key holds the priority, so a rule that moved comes as one removal and one addition.
    let mut sides: BTreeMap<RuleId, Sides<RuleContent>> = BTreeMap::new();
    for Change {
        key,
        before: old,
        after: new,
    } in tree::diff(source, TreeKind::Rules, before, after)?
    {
        if let Some(old) = old {
            let old = rule(before, &key, &old)?;
            let id = old.id.clone();
            sides.entry(id).or_default().0 = Some(old);
        }
        if let Some(new) = new {
            let new = rule(after, &key, &new)?;
            let id = new.id.clone();
            sides.entry(id).or_default().1 = Some(new);
        }
    }
    let mut changes = RuleChanges::default();
    for side in sides.into_values() {
        changes.take(side);
    }
    changes.added.sort_by_key(RuleContent::key);
    changes.removed.sort_by_key(RuleContent::key);
    changes.changed.sort_by_key(|rule| rule.priority);
    changes.moved.sort_by_key(|rule| rule.to);
    Ok(changes)
}

impl RuleChanges {
    fn take(&mut self, sides: Sides<RuleContent>) {
        let (old, new) = match sides {
            (Some(old), Some(new)) => (old, new),
            (old, new) => {
                self.removed.extend(old);
                self.added.extend(new);
                return;
            }
        };
        if old.priority != new.priority {
            let (id, name) = (new.id.clone(), new.name.clone());
            self.moved.push(MovedRule {
                id,
                name,
                from: old.priority,
                to: new.priority,
            });
        }
        let fields = compare(Some(&rule_fields(&old)), Some(&rule_fields(&new)));
        if !fields.is_empty() {
            self.changed.push(ChangedRule {
                id: new.id,
                name: new.name,
                priority: new.priority,
                fields,
            });
        }
    }
}

fn rule_fields(rule: &RuleContent) -> Value {
    without(rule.to_json(), &["id", "priority"])
}

fn upstreams<S: ChunkSource + ?Sized>(
    source: &S,
    before: Hash,
    after: Hash,
) -> Result<UpstreamChanges, TreeError> {
    let mut changes = UpstreamChanges::default();
    for Change {
        key,
        before: old,
        after: new,
    } in tree::diff(source, TreeKind::Upstreams, before, after)?
    {
        let old = old
            .map(|value| upstream(before, &key, &value))
            .transpose()?;
        let new = new.map(|value| upstream(after, &key, &value)).transpose()?;
        match (old, new) {
            (Some(old), Some(new)) => {
                let fields = compare(Some(&upstream_fields(&old)), Some(&upstream_fields(&new)));
                changes.changed.push(ChangedUpstream {
                    id: new.id,
                    name: new.name,
                    fields,
                });
            }
            (old, new) => {
                changes.removed.extend(old);
                changes.added.extend(new);
            }
        }
    }
    Ok(changes)
}

fn upstream_fields(upstream: &UpstreamContent) -> Value {
    without(upstream.to_json(), &["id"])
}
