//! A request as a part of a trace: what its client said of that, and what is recorded of it, by OpenTelemetry's names for HTTP. Of
//! the target there is the route's pattern and no query, and of the head nothing but `traceparent`: both carry secrets.

use domain::id::RequestId;
use http::{HeaderMap, Method, StatusCode};
use platform::trace::{Kind, Span, TraceContext, Tracer};

use super::course::Course;
use super::operation::Operation;

const TRACEPARENT: &str = "traceparent";

/// Begins a request's span.
pub(super) fn begin(
    tracer: &Tracer,
    operation: Operation,
    method: &Method,
    headers: &HeaderMap,
) -> Span {
    if !tracer.is_on() {
        return Span::default();
    }
    let mut span = tracer.begin(operation.name, Kind::Server, remote(headers));
    span.rename(|| format!("{method} {}", operation.path));
    span.set("http.request.method", || method.as_str().to_owned());
    span.set("http.route", || operation.path);
    span.set("vectorgate.operation", || operation.name);
    span
}

/// Says what became of a request.
pub(super) fn answered(
    span: &mut Span,
    request_id: &RequestId,
    course: &Course,
    status: StatusCode,
) {
    span.set("vectorgate.request_id", || request_id.as_str().to_owned());
    span.set("http.response.status_code", || i64::from(status.as_u16()));
    if let Some(environment) = course.environment() {
        span.set("vectorgate.environment", || environment.as_str().to_owned());
    }
    if status.is_server_error() {
        span.fail(|| status.as_u16().to_string());
    }
}

/// Of which trace the client says that the request is part. Two such fields say nothing.
fn remote(headers: &HeaderMap) -> Option<TraceContext> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    match (fields.next(), fields.next()) {
        (Some(only), None) => TraceContext::parse(only.as_bytes()),
        _ => None,
    }
}
