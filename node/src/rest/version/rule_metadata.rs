//! 2025-03-05: rules have `metadata`. Before, a rule was shown without it, its history did not
//! speak of it, and a request that carries it names a field that does not exist.

use serde_json::{Map, Value};

use super::{Change, Release, is_a};
use crate::rest::error::ApiError;
use crate::rest::operation::{Operation, RULES_CREATE, RULES_UPDATE};

const FIELD: &str = "metadata";

pub(super) const CHANGE: Change = Change {
    since: Release::March2025,
    request,
    response,
};

fn request(operation: Operation, body: &Map<String, Value>) -> Result<(), ApiError> {
    let takes_rules = operation == RULES_CREATE || operation == RULES_UPDATE;
    if takes_rules && body.contains_key(FIELD) {
        return Err(ApiError::unknown(FIELD));
    }
    Ok(())
}

fn response(object: &mut Map<String, Value>) {
    if !is_a(object, "rule") {
        return;
    }
    object.shift_remove(FIELD);
    let Some(Value::Array(versions)) = object.get_mut("versions") else {
        return;
    };
    for version in versions {
        if let Some(Value::Array(fields)) = version.get_mut("changed_fields") {
            fields.retain(|field| field != FIELD);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::operation::ROUTES_UPDATE;

    #[test]
    fn a_rule_loses_its_labels_and_what_its_history_says_of_them() {
        let rule = json!({"object": "rule", "name": "a", "metadata": {"owner": "platform"},
            "versions": [{"version": 1, "changed_fields": ["name", "metadata"]}]});
        let shown = json!({"object": "rule", "name": "a",
            "versions": [{"version": 1, "changed_fields": ["name"]}]});
        let route = json!({"object": "route", "metadata": {}});
        for (object, expected) in [(rule, shown), (route.clone(), route)] {
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
    }
}
