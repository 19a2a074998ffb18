//! What requests have in their bodies. The operations read fields by name and by hand; these types
//! say the same for the document, and a test fails where the names differ from those that an
//! operation takes. A field that may be left out is an `Option`; it may not be `null` unless its
//! shape says so.
//!
//! What types cannot say, which fields go together, is added by [`refine`].

// They are described and never made.
#![allow(dead_code)]

pub(super) mod access;
pub(super) mod certificates;
pub(super) mod edge_tokens;
pub(super) mod release;
pub(super) mod rules;
#[cfg(test)]
mod tests;
pub(super) mod upstreams;
pub(super) mod webhooks;

use serde_json::{Value, json};

use crate::rest::upstreams::SETTINGS as UPSTREAM_SETTINGS;

/// What is added to the schema of this name.
pub(super) fn refine(name: &str, schema: &mut Value) {
    let not_both = |a: &str, b: &str| json!({"required": [a, b]});
    let (keyword, value) = match name {
        "Rollback" => (
            "not",
            json!({"anyOf": [
                not_both("snapshot_id", "version"),
                not_both("snapshot_id", "steps"),
                not_both("version", "steps"),
            ]}),
        ),
        "Switch" => (
            "dependentSchemas",
            json!({"comment": {"required": ["publish"], "properties": {"publish": {"const": true}}}}),
        ),
        // `null` is the default.
        "UpstreamCreate" | "UpstreamUpdate" => {
            for setting in UPSTREAM_SETTINGS {
                let property = schema["properties"][setting].take();
                schema["properties"][setting] = json!({"oneOf": [{"type": "null"}, property]});
            }
            return;
        }
        "CertificateUpdate" => (
            "dependentRequired",
            json!({"chain": ["private_key"], "private_key": ["chain"]}),
        ),
        "ShiftAbortOn" => ("dependentRequired", json!({"min_requests": ["error_rate"]})),
        "Reorder" => (
            "oneOf",
            json!([{"required": ["rule_ids"]}, {"required": ["moves"]}]),
        ),
        _ => return,
    };
    schema[keyword] = value;
}
