//! What is posted to webhook endpoints: one webhook for each type of event.

use domain::model::NoticeKind;
use serde_json::{Map, Value, json};

use super::shape::reference;

/// All of them, by type.
pub(super) fn webhooks() -> Value {
    let types = NoticeKind::NAMES.iter();
    let all: Map<_, _> = types
        .map(|(name, _)| ((*name).to_owned(), webhook(name)))
        .collect();
    Value::Object(all)
}

fn webhook(name: &str) -> Value {
    json!({
        "post": {
            "operationId": format!("event.{name}"),
            "tags": ["Webhooks"],
            "summary": format!("{name} happened"),
            "description": "Sent at least once; `id` is the same on every attempt. Any 2xx within ten seconds is success.",
            "security": [],
            "parameters": parameters(),
            "requestBody": {
                "required": true,
                "content": {
                    "application/json": {
                        "schema": {
                            "allOf": [reference("Event"), {"properties": {"type": {"const": name}}}],
                        },
                    },
                },
            },
            "responses": {"2XX": {"description": "Taken. What the answer says does not matter."}},
        },
    })
}

fn parameters() -> Value {
    let header = |name: &str, required: bool, pattern: &str, description: &str| {
        let schema = json!({"type": "string", "pattern": pattern});
        json!({"name": name, "in": "header", "required": required, "schema": schema, "description": description})
    };
    json!([
        header(
            "VectorGate-Signature",
            true,
            "^[0-9]+,[0-9a-f]{64}$",
            "`TIMESTAMP,HEX`: HMAC-SHA256 of `TIMESTAMP.BODY` by the secret's whole text.",
        ),
        header(
            "VectorGate-Signature-Previous",
            false,
            "^[0-9]+,[0-9a-f]{64}$",
            "The same with the secret before, while both are good.",
        ),
        header(
            "webhook-id",
            true,
            "^evt_[0-9A-Za-z]{8,64}$",
            "The event's identifier."
        ),
        header(
            "webhook-timestamp",
            true,
            "^[0-9]+$",
            "When this attempt was made, in Unix seconds."
        ),
        header(
            "webhook-signature",
            true,
            "^v1,",
            "The form of Standard Webhooks, for its libraries."
        ),
    ])
}
