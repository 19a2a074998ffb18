//! A diff as JSON for programs and as text for people.

use std::fmt;

use serde_json::{Value, json};

use super::{
    ChangedRule, ChangedUpstream, FieldChange, MovedRule, RuleChanges, SnapshotDiff,
    UpstreamChanges,
};
use crate::content::{RuleContent, UpstreamContent};

impl SnapshotDiff {
    /// The diff as JSON. A `before` or `after` of `null` stands for a field that is not there.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "identical": self.is_empty(),
            "route": fields_json(&self.route),
            "rules": self.rules.to_json(),
            "upstreams": self.upstreams.to_json(),
        })
    }

    /// The diff as lines: `+` added, `-` removed, `~` changed, `>` moved.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl RuleChanges {
    fn to_json(&self) -> Value {
        json!({
            "added": self.added.iter().map(RuleContent::to_json).collect::<Vec<_>>(),
            "removed": self.removed.iter().map(RuleContent::to_json).collect::<Vec<_>>(),
            "changed": self.changed.iter().map(ChangedRule::to_json).collect::<Vec<_>>(),
            "moved": self.moved.iter().map(MovedRule::to_json).collect::<Vec<_>>(),
        })
    }
}

impl ChangedRule {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id.as_str(),
            "name": self.name,
            "priority": self.priority.0,
            "fields": fields_json(&self.fields),
        })
    }
}

impl MovedRule {
    fn to_json(&self) -> Value {
        json!({ "id": self.id.as_str(), "name": self.name, "from": self.from.0, "to": self.to.0 })
    }
}

impl UpstreamChanges {
    fn to_json(&self) -> Value {
        json!({
            "added": self.added.iter().map(UpstreamContent::to_json).collect::<Vec<_>>(),
            "removed": self.removed.iter().map(UpstreamContent::to_json).collect::<Vec<_>>(),
            "changed": self.changed.iter().map(ChangedUpstream::to_json).collect::<Vec<_>>(),
        })
    }
}

impl ChangedUpstream {
    fn to_json(&self) -> Value {
        json!({ "id": self.id.as_str(), "name": self.name, "fields": fields_json(&self.fields) })
    }
}

fn fields_json(fields: &[FieldChange]) -> Vec<Value> {
    fields
        .iter()
        .map(|field| json!({ "path": field.path, "before": field.before, "after": field.after }))
        .collect()
}

impl fmt::Display for SnapshotDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "No differences.");
        }
        if !self.route.is_empty() {
            writeln!(f, "Route")?;
            write_fields(f, "  ", &self.route)?;
        }
        if !self.rules.is_empty() {
            write!(f, "Rules\n{}", self.rules)?;
        }
        if !self.upstreams.is_empty() {
            write!(f, "Upstreams\n{}", self.upstreams)?;
        }
        Ok(())
    }
}

impl fmt::Display for RuleChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.added {
            writeln!(
                f,
                "  + {} {} ({})",
                rule.priority.0,
                json!(rule.name),
                rule.id
            )?;
        }
        for rule in &self.removed {
            writeln!(
                f,
                "  - {} {} ({})",
                rule.priority.0,
                json!(rule.name),
                rule.id
            )?;
        }
        for rule in &self.changed {
            writeln!(
                f,
                "  ~ {} {} ({})",
                rule.priority.0,
                json!(rule.name),
                rule.id
            )?;
            write_fields(f, "      ", &rule.fields)?;
        }
        for rule in &self.moved {
            writeln!(
                f,
                "  > {} -> {} {} ({})",
                rule.from.0,
                rule.to.0,
                json!(rule.name),
                rule.id
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for UpstreamChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for upstream in &self.added {
            writeln!(f, "  + {} ({})", json!(upstream.name), upstream.id)?;
        }
        for upstream in &self.removed {
            writeln!(f, "  - {} ({})", json!(upstream.name), upstream.id)?;
        }
        for upstream in &self.changed {
            writeln!(f, "  ~ {} ({})", json!(upstream.name), upstream.id)?;
            write_fields(f, "      ", &upstream.fields)?;
        }
        Ok(())
    }
}

/// A path holds names that clients chose; none of them may end a line.
fn printable(path: &str) -> String {
    path.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// Values are written as JSON, so that no letter in them can look like a line of ours.
fn write_fields(f: &mut fmt::Formatter<'_>, indent: &str, fields: &[FieldChange]) -> fmt::Result {
    for FieldChange {
        path,
        before,
        after,
    } in fields
    {
        let path = printable(path);
        match (before, after) {
            (Some(before), Some(after)) => writeln!(f, "{indent}~ {path}: {before} -> {after}")?,
            (Some(before), None) => writeln!(f, "{indent}- {path}: {before}")?,
            (None, Some(after)) => writeln!(f, "{indent}+ {path}: {after}")?,
            (None, None) => {}
        }
    }
    Ok(())
}
