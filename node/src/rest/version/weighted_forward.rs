//! 2025-08-20: a forward action may name several weighted `upstreams`. Before, it named one
//! `upstream_id`. An action with a single weighted upstream means the same and is shown in the
//! older form; one with several has no older form and is shown as it is. A route's own
//! `config.upstreams` is left alone: the mode `balanced`, which needs it, is as old as v2.

use serde_json::{Map, Value};

use super::{Change, Release, is_a, rules_in};
use crate::rest::error::ApiError;
use crate::rest::operation::Operation;

pub(super) const CHANGE: Change = Change {
    since: Release::August2025,
    request,
    response,
};

fn request(operation: Operation, body: &Map<String, Value>) -> Result<(), ApiError> {
    for (path, rule) in rules_in(operation, body) {
        let action = rule.get("action").and_then(Value::as_object);
        if action.is_some_and(|action| action.contains_key("upstreams")) {
            return Err(ApiError::unknown(format!("{path}action.upstreams")));
        }
    }
    Ok(())
}

fn response(object: &mut Map<String, Value>) {
    if is_a(object, "rule") {
        object.get_mut("action").into_iter().for_each(older);
    }
    if is_a(object, "rule_version")
        && let Some(Value::Array(changes)) = object.get_mut("changes")
    {
        let of_actions = changes
            .iter_mut()
            .filter(|change| change["field"] == "action");
        for change in of_actions.filter_map(Value::as_object_mut) {
            for side in ["before", "after"] {
                change.get_mut(side).into_iter().for_each(older);
            }
        }
    }
}

/// Gives an action the older form, if there is one.
fn older(action: &mut Value) {
    let Value::Object(action) = action else {
        return;
    };
    let only = match action.get("upstreams") {
        Some(Value::Array(upstreams)) if upstreams.len() == 1 => upstreams[0].get("upstream_id"),
        _ => None,
    };
    if let Some(id) = only.cloned() {
        action.shift_remove("upstreams");
        action.insert("upstream_id".to_owned(), id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::operation::{RULES_BATCH, RULES_CREATE};

    #[test]
    fn an_action_is_shown_in_the_older_form_where_there_is_one() {
        let one = json!({"type": "forward", "upstreams": [{"upstream_id": "up_1", "weight": 5}]});
        let two = json!({"type": "forward", "upstreams": [
            {"upstream_id": "up_1", "weight": 5}, {"upstream_id": "up_2", "weight": 5}]});
        let plain = json!({"type": "forward", "upstream_id": "up_1"});
        let other = json!({"type": "fixed_response", "status": 204});
        for (action, expected) in [
            (&one, &plain),
            (&two, &two),
            (&plain, &plain),
            (&other, &other),
        ] {
            let rule = json!({"object": "rule", "action": action});
            let mut rule = rule.as_object().cloned().unwrap();
            response(&mut rule);
            assert_eq!(&rule["action"], expected);
            let version = json!({"object": "rule_version", "changes": [
                {"field": "name", "before": action, "after": action},
                {"field": "action", "before": null, "after": action}]});
            let mut version = version.as_object().cloned().unwrap();
            response(&mut version);
            let changes = json!([
                {"field": "name", "before": action, "after": action},
                {"field": "action", "before": null, "after": expected}]);
            assert_eq!(version["changes"], changes);
        }
    }

    #[test]
    fn a_request_with_weighted_upstreams_names_an_unknown_field() {
        for (body, refused) in [
            (
                json!({"action": {"type": "forward", "upstreams": []}}),
                true,
            ),
            (
                json!({"action": {"type": "forward", "upstream_id": "up_1"}}),
                false,
            ),
            (json!({"action": 7}), false),
            (json!({}), false),
        ] {
            let checked = request(RULES_CREATE, body.as_object().unwrap());
            assert_eq!(checked.is_err(), refused, "{body}");
        }
        let batch = json!({"operations": [{"op": "create", "action": {"upstreams": []}}]});
        let refused = request(RULES_BATCH, batch.as_object().unwrap()).unwrap_err();
        let param = refused.param.as_deref();
        assert_eq!(param, Some("operations[0].action.upstreams"));
    }
}
