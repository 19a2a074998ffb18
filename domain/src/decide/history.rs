//! A rule's history: the events and versions that it keeps, and the record of each version with the
//! values that changed.

use serde_json::{Value, json};

use super::Context;
use super::draft::Drafting;
use crate::command::Actor;
use crate::event::Event;
use crate::id::SnapshotId;
use crate::model::{
    FieldChange, Rule, RuleChange, RuleEvent, RuleEventKind, RuleField, RuleVersion,
    RuleVersionNumber,
};
use crate::rows::View;
use crate::schema::{JOURNAL, RULE_VERSIONS};
use crate::time::Timestamp;

/// A field whose changes make versions.
struct Field {
    field: RuleField,
    differs: fn(&Rule, &Rule) -> bool,
    /// The value as compact JSON.
    value: fn(&Rule) -> String,
}

const FIELDS: [Field; 6] = [
    Field {
        field: RuleField::Name,
        differs: |a, b| a.name != b.name,
        value: |rule| Value::from(rule.name.as_str()).to_string(),
    },
    Field {
        field: RuleField::Priority,
        differs: |a, b| a.priority != b.priority,
        value: |rule| rule.priority.0.to_string(),
    },
    Field {
        field: RuleField::Match,
        differs: |a, b| a.criteria != b.criteria,
        value: |rule| rule.criteria.clone(),
    },
    Field {
        field: RuleField::Action,
        differs: |a, b| a.action != b.action,
        value: |rule| rule.action.clone(),
    },
    Field {
        field: RuleField::Metadata,
        differs: |a, b| a.metadata != b.metadata,
        value: |rule| json!(rule.metadata).to_string(),
    },
    Field {
        field: RuleField::Status,
        differs: |a, b| a.status != b.status,
        value: |rule| Value::from(rule.status.as_str()).to_string(),
    },
];

/// The fields in which two states of a rule differ.
pub(super) fn changed_fields(before: &Rule, after: &Rule) -> Vec<RuleField> {
    FIELDS
        .iter()
        .filter(|field| (field.differs)(before, after))
        .map(|field| field.field)
        .collect()
}

/// Adds a line to a rule's history, which keeps the newest.
pub(super) fn log(rule: &mut Rule, kind: RuleEventKind, at: Timestamp) {
    rule.events.push(RuleEvent { kind, at });
    rule.events_logged = rule.events_logged.saturating_add(1);
    let surplus = rule.events.len().saturating_sub(Rule::EVENTS_MAX);
    rule.events.drain(..surplus);
}

/// Adds a version to a rule that was `before`, or begins. The newest stay in the rule; each has its
/// record, but for the first while it is the only one.
pub(super) fn add_version<V: View + ?Sized>(
    context: &Context<'_, V>,
    drafting: &mut Drafting<'_, '_, V>,
    actor: &Actor,
    before: Option<&Rule>,
    rule: &mut Rule,
) {
    let version = rule.versions.last().map_or(0, |last| last.version) + 1;
    let changes = changes(before, rule);
    let versioned = |rule: &Rule, version| Event::RuleVersioned {
        environment_id: rule.environment_id.clone(),
        rule_id: rule.id.clone(),
        version,
    };
    if let Some(first) = before.and_then(only_version) {
        drafting.event(versioned(rule, first));
    }
    rule.versions.push(RuleChange {
        version,
        changed_fields: changes.iter().map(|change| change.field).collect(),
        actor: actor.api_key_id.clone(),
        at: context.at,
        revision: context.revision,
        snapshot_id: None,
    });
    let surplus = rule.versions.len().saturating_sub(Rule::VERSIONS_MAX);
    rule.versions.drain(..surplus);
    if before.is_none() {
        return;
    }
    let record = RuleVersion {
        version: RuleVersionNumber(version),
        changes,
        actor: actor.api_key_id.clone(),
        at: context.at,
        revision: context.revision,
    };
    drafting.event(versioned(rule, record));
    if let Some(removed) = superseded(context, rule, version) {
        drafting.event(removed);
    }
}

/// What is known of a rule's first version while it is the only one: the rule is as it made it.
pub(crate) fn only_version(rule: &Rule) -> Option<RuleVersion> {
    let [first] = rule.versions.as_slice() else {
        return None;
    };
    (first.version == 1).then(|| RuleVersion {
        version: RuleVersionNumber(1),
        changes: changes(None, rule),
        actor: first.actor.clone(),
        at: first.at,
        revision: first.revision,
    })
}

/// The removal of the version that has become one too many with `newest`. While the journal tells of
/// it, it stays, and goes with the journal's row.
fn superseded<V: View + ?Sized>(
    context: &Context<'_, V>,
    rule: &Rule,
    newest: u32,
) -> Option<Event> {
    let version = RuleVersionNumber(newest.checked_sub(RuleVersion::KEPT)?);
    let record = RULE_VERSIONS.get(context.view, (&rule.environment_id, &rule.id, &version))?;
    let row = (&rule.environment_id, &record.at, &record.revision);
    (!JOURNAL.has(context.view, row)).then(|| Event::RuleVersionRemoved {
        environment_id: rule.environment_id.clone(),
        rule_id: rule.id.clone(),
        version,
    })
}

/// The rule's newest version goes live in `snapshot_id`, unless it did before.
pub(super) fn version_published<V: View + ?Sized>(
    drafting: &mut Drafting<'_, '_, V>,
    rule: &mut Rule,
    snapshot_id: &SnapshotId,
) {
    let Some(newest) = rule.versions.last_mut() else {
        return;
    };
    if newest.snapshot_id.is_some() {
        return;
    }
    newest.snapshot_id = Some(snapshot_id.clone());
    let version = RuleVersionNumber(newest.version);
    drafting.event(Event::RuleVersionPublished {
        environment_id: rule.environment_id.clone(),
        rule_id: rule.id.clone(),
        version,
        snapshot_id: snapshot_id.clone(),
    });
}

fn changes(before: Option<&Rule>, rule: &Rule) -> Vec<FieldChange> {
    let is_told = |field: &&Field| match before {
        Some(before) => (field.differs)(before, rule),
        // A rule begins as a draft, and mostly without labels.
        None => {
            field.field != RuleField::Status
                && (field.field != RuleField::Metadata || !rule.metadata.is_empty())
        }
    };
    let change = |field: &Field| FieldChange {
        field: field.field,
        before: before.map(field.value),
        after: (field.value)(rule),
    };
    FIELDS.iter().filter(is_told).map(change).collect()
}
