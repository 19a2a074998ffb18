//! 2025-08-20: a forward action may name several weighted `upstreams`. Before, it named one
//! `upstream_id`. An action with a single weighted upstream means the same and is shown in the
//! older form; one with several has no older form and is shown as it is. A route's own
//! `config.upstreams` is left alone: the mode `balanced`, which needs it, is as old as v2.

use serde_json::{Map, Value};

use super::{Change, Release, is_a};
use crate::rest::error::ApiError;
use crate::rest::operation::{Operation, RULES_CREATE, RULES_UPDATE};

pub(super) const CHANGE: Change = Change {
    since: Release::August2025,
    request,
    response,
};

fn request(operation: Operation, body: &Map<String, Value>) -> Result<(), ApiError> {
    let takes_rules = operation == RULES_CREATE || operation == RULES_UPDATE;
    let action = body.get("action").and_then(Value::as_object);
    if takes_rules && action.is_some_and(|action| action.contains_key("upstreams")) {
        return Err(ApiError::unknown("action.upstreams"));
    }
    Ok(())
}

fn response(object: &mut Map<String, Value>) {
    if !is_a(object, "rule") {
        return;
    }
    let Some(Value::Object(action)) = object.get_mut("action") else {
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
    }
}
