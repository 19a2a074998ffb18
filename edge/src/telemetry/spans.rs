//! A request as a part of a trace: what its client said of that, what the origin is told, and what is recorded of it. Of the
//! target there is no query and of the head no value of a field but `Host`: both carry secrets.

use domain::id::RequestId;
use edge_protocol::telemetry::{Decision, TargetKey};
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Version};
use platform::trace::{Kind, Span, TraceContext, Tracer};

use super::slot::Slot;
use super::trace::Trace;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Begins a request's span and writes its place into the request. Where the client has decided that nothing is to be recorded,
/// the origin is told what the client said.
pub(super) fn begin<B>(tracer: &Tracer, request: &mut Request<B>) -> Span {
    let remote = remote(request.headers());
    let mut span = tracer.begin(name(request.method()), Kind::Server, remote);
    if remote.is_some() && !span.is_recorded() {
        return span;
    }
    if remote.is_none() {
        // It goes with a `traceparent` that nobody understands, or with none.
        request.headers_mut().remove(TRACESTATE);
    }
    let place = span.context().map(|context| context.to_string());
    if let Some(place) = place.and_then(|place| HeaderValue::try_from(place).ok()) {
        request.headers_mut().insert(TRACEPARENT, place);
    }
    describe(&mut span, request);
    span
}

/// Of which trace the client says that the request is part. Two such fields say nothing.
fn remote(headers: &HeaderMap) -> Option<TraceContext> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    match (fields.next(), fields.next()) {
        (Some(only), None) => TraceContext::parse(only.as_bytes()),
        _ => None,
    }
}

/// A name of which there are few, as OpenTelemetry wants.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        _ => "HTTP",
    }
}

fn describe<B>(span: &mut Span, request: &Request<B>) {
    span.set("http.request.method", || match name(request.method()) {
        "HTTP" => "_OTHER",
        known => known,
    });
    span.set("url.path", || Decision::path(request.uri().path()));
    span.set("network.protocol.version", || match request.version() {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    });
    let host = request.uri().authority().map(|host| host.as_str());
    let field = || request.headers().get(HOST)?.to_str().ok();
    if let Some(host) = host.or_else(field) {
        span.set("server.address", || Decision::path(host));
    }
}

/// Says what became of a request.
pub(super) fn answered(
    span: &mut Span,
    trace: &Trace,
    slot: &Slot,
    (id, target, status): (&RequestId, Option<&TargetKey>, u16),
) {
    if !span.is_recorded() {
        return;
    }
    span.set("vectorgate.request_id", || id.as_str().to_owned());
    span.set("http.response.status_code", || i64::from(status));
    if let Some(labels) = &slot.labels {
        span.set("vectorgate.route", || labels.route.as_str().to_owned());
        span.set("vectorgate.snapshot", || {
            labels.snapshot.as_str().to_owned()
        });
        if let Some(rule) = &labels.rule {
            span.set("vectorgate.rule", || rule.as_str().to_owned());
        }
    }
    if let Some(target) = target {
        span.set("vectorgate.upstream", || {
            target.upstream.as_str().to_owned()
        });
        span.set("vectorgate.target", || target.target.as_str().to_owned());
    }
    if let Some(micros) = trace.upstream_micros.get() {
        span.set("vectorgate.upstream_us", || {
            i64::try_from(micros).unwrap_or(i64::MAX)
        });
    }
    if let Some(report) = trace.cache() {
        span.set("vectorgate.cache", || report.outcome.as_str());
    }
    let code = trace.error().map(crate::proxy::Code::as_str);
    if status >= 500 {
        span.fail(|| code.map_or_else(|| status.to_string(), str::to_owned));
    } else if let Some(code) = code {
        span.set("error.type", || code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_traceparent_that_is_one_names_the_trace_and_no_other_does() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (fields, expect) in [
            (&[good][..], true),
            (&[], false),
            (&["nothing"], false),
            (&[good, good], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(TRACEPARENT, HeaderValue::from_static(field));
            }
            assert_eq!(remote(&headers).is_some(), expect, "{fields:?}");
        }
    }
}
