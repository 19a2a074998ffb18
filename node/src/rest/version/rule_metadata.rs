//! 2025-03-05: rules have `metadata`. Before, a rule was shown without it, its history did not
//! speak of it, and a request that carries it names a field that does not exist.

use serde_json::{Map, Value};

use super::{Change, Release, is_a, rules_in};
use crate::rest::error::ApiError;
use crate::rest::operation::Operation;

const FIELD: &str = "metadata";

pub(super) const CHANGE: Change = Change {
    since: Release::March2025,
    request,
    response,
};

fn request(operation: Operation, body: &Map<String, Value>) -> Result<(), ApiError> {
    for (path, rule) in rules_in(operation, body) {
        if rule.contains_key(FIELD) {
            return Err(ApiError::unknown(format!("{path}{FIELD}")));
        }
    }
    Ok(())
}

fn response(object: &mut Map<String, Value>) {
    if is_a(object, "rule_version") {
        forget(object);
        if let Some(Value::Array(changes)) = object.get_mut("changes") {
            changes.retain(|change| change["field"] != FIELD);
        }
    }
    if !is_a(object, "rule") {
        return;
    }
    object.shift_remove(FIELD);
    let Some(Value::Array(versions)) = object.get_mut("versions") else {
        return;
    };
    versions
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .for_each(forget);
}

/// Takes the field from those that a version changed.
fn forget(version: &mut Map<String, Value>) {
    if let Some(Value::Array(fields)) = version.get_mut("changed_fields") {
        fields.retain(|field| field != FIELD);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::operation::{ROUTES_UPDATE, RULES_BATCH, RULES_CREATE, RULES_UPDATE};

    #[test]
    fn a_rule_loses_its_labels_and_what_its_history_says_of_them() {
        let rule = json!({"object": "rule", "name": "a", "metadata": {"owner": "platform"},
            "versions": [{"version": 1, "changed_fields": ["name", "metadata"]}]});
        let shown = json!({"object": "rule", "name": "a",
            "versions": [{"version": 1, "changed_fields": ["name"]}]});
        let version = json!({"object": "rule_version", "changed_fields": ["name", "metadata"],
            "changes": [{"field": "name", "after": "a"}, {"field": "metadata", "after": {}}]});
        let shown_version = json!({"object": "rule_version", "changed_fields": ["name"],
            "changes": [{"field": "name", "after": "a"}]});
        let route = json!({"object": "route", "metadata": {}});
        for (object, expected) in [
            (rule, shown),
            (version, shown_version),
            (route.clone(), route),
        ] {
            let mut object = object.as_object().cloned().unwrap();
            response(&mut object);
            assert_eq!(Value::Object(object), expected);
        }
    }

    #[test]
    fn a_request_with_labels_names_an_unknown_field() {
        let body = json!({"name": "a", "metadata": {}});
        for (operation, refused) in [
            (RULES_CREATE, true),
            (RULES_UPDATE, true),
            (ROUTES_UPDATE, false),
        ] {
            let checked = request(operation, body.as_object().unwrap());
            assert_eq!(checked.is_err(), refused, "{}", operation.name);
        }
        let batch = json!({"operations": [7, {"op": "archive"}, {"op": "update", "metadata": {}}]});
        let refused = request(RULES_BATCH, batch.as_object().unwrap()).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("operations[2].metadata"));
    }
}
