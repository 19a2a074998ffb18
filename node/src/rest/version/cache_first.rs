//! 2025-03-05: routes have the mode `cache_first`. Before, nobody could ask for it. A route that
//! got it from a newer client is shown with it all the same: no older mode would be true of it.

use serde_json::{Map, Value};

use super::{Change, Release, shown_alike};
use crate::rest::error::ApiError;
use crate::rest::operation::{Operation, ROUTES_CREATE, ROUTES_UPDATE};

pub(super) const CHANGE: Change = Change {
    since: Release::March2025,
    request,
    response: shown_alike,
};

fn request(operation: Operation, body: &Map<String, Value>) -> Result<(), ApiError> {
    let takes_routes = operation == ROUTES_CREATE || operation == ROUTES_UPDATE;
    let mode = body.get("mode").and_then(Value::as_str);
    if takes_routes && mode == Some("cache_first") {
        let message = "Must be one of: balanced, origin_first.";
        return Err(ApiError::invalid("mode", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_new_mode_is_refused() {
        for (body, refused) in [
            (json!({"mode": "cache_first"}), true),
            (json!({"mode": "balanced"}), false),
            (json!({"mode": 1}), false),
            (json!({}), false),
        ] {
            for operation in [ROUTES_CREATE, ROUTES_UPDATE] {
                let checked = request(operation, body.as_object().unwrap());
                assert_eq!(checked.is_err(), refused, "{body}");
            }
        }
    }
}
