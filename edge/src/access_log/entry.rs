//! What stands in a line, and who waits for the end of an answer to write it.

use domain::id::RequestId;
use domain::time::Timestamp;
use edge_protocol::telemetry::TargetKey;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method, Request, Version};
use platform::trace::Span;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tokio::time::Instant;

use super::AccessLog;
use crate::telemetry::{Labels, micros};

/// The longest path of a line, in bytes; longer ones are cut.
const PATH_BYTES_MAX: usize = 2048;

/// The longest host of a line, in bytes: the longest name that there can be, and a port.
const HOST_BYTES_MAX: usize = 262;

/// A request, as far as it is known.
#[derive(Debug)]
pub(crate) struct Entry {
    at: Timestamp,
    client: HeaderValue,
    method: Method,
    host: Option<String>,
    path: String,
    protocol: &'static str,
    request_bytes: Option<u64>,
    pub(crate) request_id: Option<RequestId>,
    /// The trace that it is part of, if that is recorded.
    pub(crate) trace_id: Option<String>,
    pub(crate) labels: Option<Labels>,
    pub(crate) target: Option<TargetKey>,
    pub(crate) status: u16,
    pub(crate) error: Option<&'static str>,
    pub(crate) cache: Option<&'static str>,
    pub(crate) head_us: u64,
    pub(crate) upstream_us: Option<u64>,
}

impl Entry {
    /// What a request's head says.
    pub(crate) fn of<B>(request: &Request<B>, client: &HeaderValue, at: Timestamp) -> Self {
        let headers = request.headers();
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = request.uri().authority().map(|host| host.as_str());
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        Self {
            at,
            client: client.clone(),
            method: request.method().clone(),
            host: authority.or(host).map(|host| cut(host, HOST_BYTES_MAX)),
            path: cut(request.uri().path(), PATH_BYTES_MAX),
            protocol: protocol(request.version()),
            request_bytes: length.and_then(|length| length.parse().ok()),
            request_id: None,
            trace_id: None,
            labels: None,
            target: None,
            status: 0,
            error: None,
            cache: None,
            head_us: 0,
            upstream_us: None,
        }
    }

    fn line(&self, end: &End) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        // Nothing of it fails to be JSON, and a vector takes everything.
        let _ = Ended(self, end).serialize(&mut serde_json::Serializer::new(&mut line));
        line.push(b'\n');
        line
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP",
    }
}

/// How an answer ended.
#[derive(Debug)]
struct End {
    total_us: u64,
    /// Of the answer's body, as far as it was given to the client's connection.
    bytes: u64,
    /// Whether that was all of it.
    complete: bool,
}

/// A whole line.
struct Ended<'a>(&'a Entry, &'a End);

impl Serialize for Ended<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(entry, end) = self;
        let labels = entry.labels.as_ref();
        let target = entry.target.as_ref();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("at_ms", &entry.at.0)?;
        map.serialize_entry("request_id", &entry.request_id)?;
        map.serialize_entry("trace_id", &entry.trace_id)?;
        map.serialize_entry("client", &entry.client.to_str().unwrap_or_default())?;
        map.serialize_entry("method", entry.method.as_str())?;
        map.serialize_entry("host", &entry.host)?;
        map.serialize_entry("path", &entry.path)?;
        map.serialize_entry("protocol", entry.protocol)?;
        map.serialize_entry("route", &labels.map(|labels| &labels.route))?;
        map.serialize_entry("snapshot", &labels.map(|labels| &labels.snapshot))?;
        map.serialize_entry("snapshot_version", &labels.map(|labels| labels.version.0))?;
        map.serialize_entry("rule", &labels.and_then(|labels| labels.rule.as_ref()))?;
        map.serialize_entry("upstream", &target.map(|target| &target.upstream))?;
        map.serialize_entry("target", &target.map(|target| &target.target))?;
        map.serialize_entry("status", &entry.status)?;
        map.serialize_entry("error", &entry.error)?;
        map.serialize_entry("cache", &entry.cache)?;
        map.serialize_entry("request_bytes", &entry.request_bytes)?;
        map.serialize_entry("bytes", &end.bytes)?;
        map.serialize_entry("complete", &end.complete)?;
        map.serialize_entry("upstream_us", &entry.upstream_us)?;
        map.serialize_entry("head_us", &entry.head_us)?;
        map.serialize_entry("total_us", &end.total_us)?;
        map.end()
    }
}

/// Waits for the end of an answer, which is the end of the request's span.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What is to be logged, and where, if anything.
    line: Option<(AccessLog, Entry)>,
    span: Span,
    begun: Instant,
    bytes: u64,
    complete: bool,
}

impl Watch {
    pub(crate) fn new(
        line: Option<(AccessLog, Entry)>,
        span: Span,
        (begun, is_head): (Instant, bool),
    ) -> Self {
        Self {
            line,
            span,
            // The answer to HEAD has no body that could break off.
            complete: is_head,
            begun,
            bytes: 0,
        }
    }

    /// A piece of the body went to the client's connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// There is no more of the body.
    pub(crate) fn ended(&mut self) {
        self.complete = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.span.set("http.response.body.size", || {
            i64::try_from(self.bytes).unwrap_or(i64::MAX)
        });
        self.span.set("vectorgate.complete", || self.complete);
        let Some((log, entry)) = &self.line else {
            return;
        };
        let end = End {
            total_us: micros(self.begun.elapsed()),
            bytes: self.bytes,
            complete: self.complete,
        };
        log.put(entry.line(&end));
    }
}
