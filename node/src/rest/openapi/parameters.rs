//! Parameters and response headers that many operations share, by name.

use serde_json::{Value, json};

use super::super::error::Code;
use super::super::page::{LIMIT_DEFAULT, LIMIT_MAX};
use super::described::{Described, Paging, Parameter};
use super::shape::reference;

/// Which kind of identifier a path's first name is.
const IDENTIFIERS: [(&str, &str, &str); 14] = [
    ("/v2/rules/", "id", "RuleId"),
    ("/v2/routes/", "id", "RouteId"),
    ("/v2/upstreams/", "id", "UpstreamId"),
    ("/v2/upstreams/", "target", "TargetId"),
    ("/v2/snapshots/", "id", "SnapshotId"),
    ("/v2/events/", "id", "EventId"),
    ("/v2/audit_log/", "id", "AuditId"),
    ("/v2/webhook_endpoints/", "id", "WebhookEndpointId"),
    ("/v2/webhook_deliveries/", "id", "WebhookDeliveryId"),
    ("/v2/certificates/", "id", "CertificateId"),
    ("/v2/edge_tokens/", "id", "EdgeTokenId"),
    ("/v2/edges/{id}/revoke", "id", "EdgeName"),
    ("/v2/api_keys/", "id", "ApiKeyId"),
    ("/v2/environments/", "id", "EnvironmentId"),
];

/// A UUID of version 4, bare or in quotes.
fn uuid() -> String {
    let bare =
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}";
    format!("^({bare}|\"{bare}\")$")
}

/// What `If-Match` and `If-None-Match` may say: `*`, or up to 16 entity tags.
fn tags() -> Value {
    let tag = "(W/)?\"[!#-~]*\"";
    json!({
        "type": "string", "pattern": format!("^(\\*|{tag}( ?, ?{tag}){{0,15}})$"),
        "examples": ["\"42\""],
    })
}

/// The shared parameters, as components.
pub(super) fn components() -> Value {
    json!({
        "Version": {
            "name": "VectorGate-Version", "in": "header", "schema": reference("ApiVersion"),
            "description": "Pins the request to the newest release up to that date. Without it, the newest one.",
        },
        "Consistency": {
            "name": "VectorGate-Consistency", "in": "header",
            "schema": {"enum": ["linearizable", "stale"], "default": "linearizable"},
            "description": "`stale` takes what the node has applied, without asking the leader.",
        },
        "Environment": {
            "name": "VectorGate-Environment", "in": "header", "schema": {"type": "string", "minLength": 1},
            "description": "Which of the key's environments is meant, by name or identifier.",
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "pattern": uuid(), "examples": ["550e8400-e29b-41d4-a716-446655440000"]},
            "description": "A UUID of version 4. A retry with the same key changes nothing and gets the first answer.",
        },
        "IfMatch": {
            "name": "If-Match", "in": "header", "schema": tags(),
            "description": "The change goes on only if the object is in one of these states; otherwise 412.",
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header", "schema": tags(),
            "description": "Answers 304 without a body while the state is one of these.",
        },
        "DryRun": {
            "name": "dry_run", "in": "query", "schema": {"type": "boolean", "default": false},
            "description": "Judges the change and does not make it.",
        },
        "Limit": {
            "name": "limit", "in": "query", "schema": limit(Some(LIMIT_DEFAULT)),
            "description": "The most items on the page.",
        },
        "Cursor": {
            "name": "cursor", "in": "query", "schema": {"type": "string"},
            "description": "The `next_cursor` of the page before, with the same filters.",
        },
    })
}

fn limit(default: Option<u64>) -> Value {
    let mut schema = json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX});
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    schema
}

/// The shared response headers, as components.
pub(super) fn headers() -> Value {
    let header = |schema: Value, description: &str, required: bool| json!({"schema": schema, "description": description, "required": required});
    let number = || json!({"type": "integer", "minimum": 0});
    let text = || json!({"type": "string"});
    json!({
        "RequestId": header(reference("RequestId"), "Names the request in the node's log.", true),
        "Revision": header(number(), "The change itself, the state that was read, or what the node has applied.", true),
        "Version": header(reference("ApiVersion"), "The release that the answer was made by.", true),
        "ETag": header(text(), "The state that is shown. None in the answer to a dry run.", false),
        "Staleness": header(
            json!({"type": "string", "pattern": "^([0-9]+|unknown)$"}),
            "On stale reads: how many milliseconds ago the node was last sure of being up to date.",
            false,
        ),
        "Replayed": header(json!({"const": "true"}), "On replays of an earlier answer.", false),
        "RateLimitLimit": header(number(), "How many requests the key may make in a minute.", true),
        "RateLimitRemaining": header(number(), "How many of these are left.", true),
        "RateLimitReset": header(number(), "The Unix second from which all are there again.", true),
        "RetryAfter": header(json!({"type": "integer", "minimum": 1}), "When to ask again, in seconds.", true),
        "Authenticate": header(text(), "`Bearer`.", true),
    })
}

fn component(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// The headers of an answer that went well.
pub(super) fn headers_of_success(described: &Described) -> Value {
    let mut headers = headers_of_all();
    let mut add =
        |name: &str, component_name: &str| headers[name] = component("headers", component_name);
    if described.tagged {
        add("ETag", "ETag");
    }
    if described.is_write() {
        add("Idempotent-Replayed", "Replayed");
    } else {
        add("VectorGate-Staleness-Ms", "Staleness");
    }
    if described.is_guarded() {
        add("X-RateLimit-Limit", "RateLimitLimit");
        add("X-RateLimit-Remaining", "RateLimitRemaining");
        add("X-RateLimit-Reset", "RateLimitReset");
    }
    headers
}

/// The headers of a refusal with these codes.
pub(super) fn headers_of_refusal(codes: &[Code]) -> Value {
    let mut headers = headers_of_all();
    match codes.first().map(|code| code.status().as_u16()) {
        Some(429 | 503 | 507) => headers["Retry-After"] = component("headers", "RetryAfter"),
        Some(401) => headers["WWW-Authenticate"] = component("headers", "Authenticate"),
        _ => {}
    }
    headers
}

fn headers_of_all() -> Value {
    json!({
        "VectorGate-Request-Id": component("headers", "RequestId"),
        "VectorGate-Revision": component("headers", "Revision"),
        "VectorGate-Version": component("headers", "Version"),
    })
}

/// Every parameter of an operation.
pub(super) fn of(described: &Described) -> Vec<Value> {
    let mut all: Vec<Value> = described
        .path_parameters()
        .map(|name| in_path(described.operation.path, name))
        .collect();
    all.extend(described.parameters.iter().map(own));
    let mut share = |name: &str| all.push(component("parameters", name));
    match described.paging {
        Some(Paging::Usual) => ["Limit", "Cursor"].into_iter().for_each(&mut share),
        Some(Paging::Everything) => share("Cursor"),
        None => {}
    }
    if described.is_guarded() {
        share("Version");
        share("Environment");
    }
    if described.is_write() {
        ["IdempotencyKey", "IfMatch", "DryRun"]
            .into_iter()
            .for_each(&mut share);
    } else {
        if described.is_guarded() {
            share("Consistency");
        }
        if described.tagged {
            share("IfNoneMatch");
        }
    }
    if described.paging == Some(Paging::Everything) {
        all.push(json!({
            "name": "limit", "in": "query", "schema": limit(None),
            "description": "The most items on the page; all unless given, up to 1 000.",
        }));
    }
    all
}

fn own(parameter: &Parameter) -> Value {
    let mut value = json!({
        "name": parameter.name, "in": parameter.place, "schema": parameter.schema, "description": parameter.description,
    });
    if let Some((style, explode)) = parameter.style {
        value["style"] = style.into();
        value["explode"] = explode.into();
    }
    value
}

fn in_path(path: &str, name: &str) -> Value {
    let known = IDENTIFIERS
        .iter()
        .find(|(prefix, known, _)| path.starts_with(prefix) && *known == name);
    let is_side = path.ends_with("/diff/{other}");
    let (schema, description) = match (known, name) {
        _ if is_side => (
            json!({"oneOf": [reference("SnapshotId"), {"enum": ["draft", "active"]}]}),
            "A snapshot, or the word `draft` or `active`.",
        ),
        (_, "version") => (reference("PositiveInteger"), "The version's number."),
        (Some((_, _, shape)), _) => (reference(shape), "Its identifier."),
        (None, _) => (json!({"type": "string", "minLength": 1}), "Its name."),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema, "description": description})
}
