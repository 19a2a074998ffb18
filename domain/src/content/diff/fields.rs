//! Comparing two JSON values field by field.

use std::collections::BTreeSet;

use serde_json::Value;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Its dotted path: `match.region`, `action.upstreams.up_….weight`.
    pub path: String,
    /// Its value before, if it was there.
    pub before: Option<Value>,
    /// Its value after, if it is there.
    pub after: Option<Value>,
}

/// The fields of two objects that differ, in the order of their names. Objects inside are
/// compared by name again, arrays whose elements have identifiers by those; other arrays, and
/// objects that differ in `type`, as a whole.
pub(super) fn compare(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let names = [before, after]
        .into_iter()
        .flatten()
        .filter_map(part_names)
        .flatten();
    for name in names.collect::<BTreeSet<_>>() {
        let side = |side: Option<&'_ Value>| side.and_then(|value| part(value, &name)).cloned();
        collect(
            name.clone(),
            side(before).as_ref(),
            side(after).as_ref(),
            &mut changes,
        );
    }
    changes
}

fn collect(
    path: String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    if before == after {
        return;
    }
    let found = changes.len();
    if let (Some(before), Some(after)) = (before, after) {
        for name in shared_names(before, after) {
            collect(
                format!("{path}.{name}"),
                part(before, &name),
                part(after, &name),
                changes,
            );
        }
    }
    // Also where only the order of the parts differs: what differs is never passed in silence.
    if changes.len() == found {
        changes.push(FieldChange {
            path,
            before: before.cloned(),
            after: after.cloned(),
        });
    }
}

/// The names of the parts by which two values are compared; none where they are compared whole.
fn shared_names(before: &Value, after: &Value) -> BTreeSet<String> {
    let same_kind =
        before.is_object() == after.is_object() && before.get("type") == after.get("type");
    match (part_names(before), part_names(after)) {
        (Some(before), Some(after)) if same_kind => before.into_iter().chain(after).collect(),
        _ => BTreeSet::new(),
    }
}

/// The names of the parts of a value that has named parts.
fn part_names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Object(object) => Some(object.keys().cloned().collect()),
        Value::Array(elements) => elements
            .iter()
            .map(|element| identifier(element).map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn part<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Array(elements) => elements
            .iter()
            .find(|element| identifier(element) == Some(name)),
        value => value.get(name),
    }
}

fn identifier(element: &Value) -> Option<&str> {
    element
        .get("id")
        .or_else(|| element.get("upstream_id"))?
        .as_str()
}
