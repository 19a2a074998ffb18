//! Events and the audit log.

use http::StatusCode;
use serde_json::json;

use super::super::super::error::Code;
use super::super::super::object::{AuditObject, AuditProof, EventObject, WebhookDeliveryObject};
use super::super::super::operation::*;
use super::super::described::{
    Content, Described, Paging, Parameter, by, get, post, query, text, under,
};
use super::super::request::webhooks::Replay;
use super::super::schemas::Typed;
use super::super::shape::reference;

pub(super) fn rows() -> Vec<Described> {
    let mut rows = under("Events", events());
    rows.extend(under("Audit log", audit_log()));
    rows
}

fn filters_of_events() -> [Parameter; 5] {
    let types = Parameter {
        style: Some(("form", false)),
        ..by("type", "EventTypes", "Only of these types. A scan.")
    };
    [
        types,
        by("route_id", "RouteId", "Only about this route. A scan."),
        by("rule_id", "RuleId", "Only about this rule. A scan."),
        by(
            "upstream_id",
            "UpstreamId",
            "Only about this upstream. A scan.",
        ),
        text("region", "Only about this region or all of them. A scan."),
    ]
}

/// A stream carries measurements as well, for who asks for them.
fn filters_of_streams() -> Vec<Parameter> {
    let types = Parameter {
        style: Some(("form", false)),
        ..by(
            "type",
            "StreamTypes",
            "Only of these types. Measurements come only if they are among them, each 10 s.",
        )
    };
    let others = filters_of_events().into_iter().skip(1);
    std::iter::once(types).chain(others).collect()
}

fn events() -> Vec<Described> {
    let last = Parameter {
        place: "header",
        ..by(
            "Last-Event-ID",
            "EventId",
            "Goes on behind this event; without it the stream begins now.",
        )
    };
    let frames = json!({
        "type": "object",
        "properties": {
            "id": reference("EventId"),
            "event": {"type": "string"},
            "data": {"type": "string"},
            "retry": {"type": "integer"},
        },
        "description": "Frames of `id`, `event` (the type) and `data` (an Event in one line). A comment every 15 s when nothing happens. A frame `event: gap` without `id` where events may be missing. Frames `event: telemetry.latency` (a TelemetryLatency), `telemetry.availability` (a TelemetryAvailability) and `telemetry.decisions` (a DecisionSample) without `id`.",
    });
    vec![
        get(EVENTS_LIST, "List events")
            .about("The newest first.")
            .lists::<EventObject<'_>>()
            .with(filters_of_events())
            .leads("/v2/events/{id}", "$response.body#/data/0/id"),
        get(EVENTS_STREAM, "Stream events")
            .about("Server-sent events, as they happen. Ends when the node stops or the key is revoked: come back.")
            .answers(StatusCode::OK, [Content::Other("text/event-stream", frames, Some(event()))])
            .with(filters_of_streams())
            .with([last]),
        get(EVENTS_GET, "Get an event").gives::<EventObject<'_>>(),
        post(EVENTS_REPLAY, "Deliver an event again")
            .about("To the endpoints that are named, or to all that are enabled, whatever types they want otherwise.")
            .may_take::<Replay>()
            .gives_all::<WebhookDeliveryObject<'_>>()
            .refused(&[Code::EndpointDisabled, Code::LimitExceeded])
            .leads("/v2/webhook_deliveries/{id}", "$response.body#/data/0/id"),
    ]
}

fn event() -> Typed {
    Typed::of::<EventObject<'_>>()
}

fn audit_log() -> Vec<Described> {
    let lines = json!({"type": "string", "description": "One AuditEntry in each line."});
    let entry = || Typed::of::<AuditObject<'_>>();
    let second = || reference("Time");
    vec![
        get(AUDIT_LIST, "List the audit log")
            .about("The newest first. With `format=ndjson` all entries that the filters keep, the oldest first; then without `limit` and `cursor`.")
            .answers(
                StatusCode::OK,
                [
                    Content::List(entry()),
                    Content::Other("application/x-ndjson", lines, Some(entry())),
                ],
            )
            .paged(Paging::Usual)
            .with([
                query("format", json!({"enum": ["json", "ndjson"], "default": "json"}), "A page, or all of it."),
                by("actor", "ApiKeyId", "Only changes by this key. A scan."),
                text("operation", "Only of this operation. A scan."),
                by("object", "AuditedKind", "Only changes of this kind of objects. A scan."),
                text("object_id", "Only changes of this object. A scan."),
                by("route_id", "RouteId", "Only changes of this route. A scan."),
                by("request_id", "RequestId", "Only of this request. A scan."),
                query("since", second(), "Not before this second. A scan."),
                query("until", second(), "Not after this second. A scan."),
            ])
            .leads("/v2/audit_log/{id}", "$response.body#/data/0/id"),
        get(AUDIT_PROOF, "Get both ends of the audit log")
            .about("For who exported the log and holds it to them: entries are chained by their hashes. Keep some, and a log cannot be made anew up to them.")
            .gives::<AuditProof<'_>>(),
        get(AUDIT_GET, "Get an entry of the audit log").gives::<AuditObject<'_>>(),
    ]
}
