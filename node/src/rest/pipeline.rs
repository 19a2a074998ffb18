//! One request from its head to its response: everything that all operations have in common.
//!
//! ```text
//! request id        first, so that every answer and every log line has it
//! span              around all that is worth being recorded, where the client's trace or its share is
//! deadline          around all work, so that nobody waits forever
//! panic             inside the deadline; one request fails, the process goes on
//! head              what can be refused by its form is refused before any look-up
//! membership        a node that is not part of a cluster yet knows nobody
//! caller            before the body is read: strangers do not make us buffer
//! policy            whether the caller's key suffices, before the operation sees anything
//! limit             once it is known whose; before the body too, so that refusing stays cheap
//! operation         reads its body and fields, proposes or reads
//! version           an answer is shown as the release that the request is pinned to shows it
//! headers, log      last, on answers and failures alike
//! ```
//!
//! This is one function and not a stack of tower layers: each layer would box a future and the
//! order above would be spread over as many types.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::response::Response;
use domain::command::{Idempotency, Precondition};
use domain::id::RequestId;
use futures_util::FutureExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use platform::trace;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::{Answer, Answered, Failure, JSON};
use super::auth::{self, Caller};
use super::course::Course;
use super::deadline::Deadline;
use super::error::{ApiError, Code};
use super::etag::Tags;
use super::head::Head;
use super::limits;
use super::operation::{Effect, Operation, READYZ};
use super::query::Query;
use super::version::{self, sunset};
use super::{Api, authorize, idempotency, json, span};
use crate::control_plane::Consistency;

/// By when every request is answered that does not wait for edges. It is longer than reading a body and proposing a command
/// may take together, which have deadlines of their own and say more exactly what happened.
const REQUEST_DEADLINE: Duration = Duration::from_secs(25);

/// A request that took longer is logged although nothing failed.
const SLOW: Duration = Duration::from_secs(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("vectorgate-request-id");
const REVISION: HeaderName = HeaderName::from_static("vectorgate-revision");
const VERSION: HeaderName = HeaderName::from_static(version::HEADER);
const STALENESS: HeaderName = HeaderName::from_static("vectorgate-staleness-ms");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Marks a response whose body is made while it is sent: the request is under way until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streamed;

/// Where a request came from; an extension of every one that came over a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// A request, as an operation sees it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request_id: RequestId,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Where it came from.
    pub(crate) address: Option<IpAddr>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) consistency: Consistency,
    pub(crate) operation: Operation,
    /// Whether the change is only to be judged.
    pub(crate) dry_run: bool,
    /// What the client expects of the object that it changes.
    pub(crate) precondition: Option<Precondition>,
    /// Set by [`Self::object`].
    pub(crate) idempotency: Option<Idempotency>,
    params: Vec<String>,
    /// Never locked; it lets the rest be looked at while something is waited for.
    body: Mutex<Option<Body>>,
    /// What is known of the request by now.
    pub(crate) course: Arc<Course>,
}

impl Call {
    /// The identifiers in the path, in order.
    pub(crate) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// The identifier in the path. One that cannot exist is answered like one that does not.
    pub(crate) fn id<T, E>(
        &self,
        object: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ApiError> {
        parse(self.param(0)).map_err(|_| ApiError::not_found(object))
    }

    /// Reads the body of a write and how a retry of it is recognised.
    pub(crate) async fn object(
        &mut self,
        presence: Presence,
    ) -> Result<Map<String, Value>, ApiError> {
        std::mem::take(&mut self.query).finish()?;
        let key = idempotency::key(&self.headers)?;
        let body = self.body.get_mut().take().unwrap_or_default();
        let map = json::read_object(&self.headers, body, presence != Presence::Required).await?;
        if presence == Presence::None && !map.is_empty() {
            return Err(ApiError::unknown(
                map.keys().next().map_or("", String::as_str),
            ));
        }
        version::check_request(self.course.version(), self.operation, &map)?;
        let value = Value::Object(map);
        self.idempotency =
            key.map(|key| idempotency::identify(key, &self.method, &self.path, &value));
        let Value::Object(map) = value else {
            return Err(ApiError::internal());
        };
        Ok(map)
    }

    /// Makes a request whose answer holds a secret the caller's own, before it is proposed: nobody
    /// else's retry gets that answer.
    pub(crate) fn bind(&mut self, caller: &Caller) {
        let given = self.idempotency.take();
        self.idempotency = given.map(|given| idempotency::bind(given, &caller.api_key_id));
    }
}

/// Whether a write has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    None,
}

/// Serves a request whose caller must have a key.
pub(crate) async fn guarded<H, F>(
    api: Arc<Api>,
    operation: Operation,
    request: Request,
    handler: H,
) -> Response
where
    H: FnOnce(Arc<Api>, Caller, Call) -> F,
    F: Future<Output = Answered>,
{
    let authenticated = |api: Arc<Api>, call: Call| async move {
        if !api.control.has_joined() {
            return Err(ApiError::not_joined().into());
        }
        let stamp = api.control.access_changed();
        let caller =
            auth::authenticate(&api, &call.headers, call.address, call.consistency).await?;
        call.course.pin(caller.version);
        if trace::current().is_some() {
            call.course.place(&caller.environment_id);
        }
        limits::of_key(&api, &caller, &call.course.standings).await?;
        api.key_uses.note(&caller, api.clock.now());
        authorize::authorize(&api, operation.policy, &caller, &call).await?;
        let key = caller.recognised;
        let answered = handler(Arc::clone(&api), caller, call).await;
        if operation.effect == Effect::Read && api.control.access_changed() != stamp {
            auth::confirm(&api, &key).await?;
        }
        answered
    };
    open(api, operation, request, authenticated).await
}

/// Serves a request of anybody.
pub(crate) async fn open<H, F>(
    api: Arc<Api>,
    operation: Operation,
    request: Request,
    handler: H,
) -> Response
where
    H: FnOnce(Arc<Api>, Call) -> F,
    F: Future<Output = Answered>,
{
    let started = Instant::now();
    let request_id = RequestId::new(api.seed());
    let method = request.method().clone();
    let mut span = span::begin(&api.tracer, operation, &method, request.headers());
    let version = version::asked(request.headers(), api.clock.now());
    let course = Arc::new(Course::new(Deadline::after(REQUEST_DEADLINE)));
    if let Ok(Some(version)) = &version {
        course.pin(*version);
    }
    let head = Head::read(operation, &request, version);
    let stale = operation.effect == Effect::Read
        && head
            .as_ref()
            .is_ok_and(|head| head.consistency == Consistency::Stale);
    let dry_run = head.as_ref().is_ok_and(|head| head.dry_run);
    let known = Arc::clone(&course);
    let work = serve(
        &api,
        operation,
        request_id.clone(),
        known,
        head,
        request,
        handler,
    );
    let work = span.scope(AssertUnwindSafe(work).catch_unwind());
    let answered = match course.deadline.bound(work).await {
        Some(Ok(answered)) => answered,
        // The panic hook has logged the place; the client gets none of it.
        Some(Err(_panic)) => Err(panicked(operation, dry_run).into()),
        None => Err(overdue(operation, dry_run).into()),
    };
    let mut response = respond(&api, &request_id, stale, answered);
    course.standings.show(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static(course.version().date()));
    let took = started.elapsed();
    let status = response.status();
    span::answered(&mut span, &request_id, &course, status);
    span.within(|| log(operation, &method, &request_id, status, took));
    api.metrics
        .observe(operation.name, response.status().as_u16(), took);
    response
}

async fn serve<H, F>(
    api: &Arc<Api>,
    operation: Operation,
    request_id: RequestId,
    course: Arc<Course>,
    head: Result<Head, ApiError>,
    request: Request,
    handler: H,
) -> Answered
where
    H: FnOnce(Arc<Api>, Call) -> F,
    F: Future<Output = Answered>,
{
    let Head {
        consistency,
        query,
        dry_run,
        if_match,
        if_none_match,
    } = head?;
    let (mut parts, body) = request.into_parts();
    let params = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => params.iter().map(|(_, value)| value.to_owned()).collect(),
        // No parameters, or one that is no UTF-8 and so names nothing.
        Err(_) => Vec::new(),
    };
    let call = Call {
        request_id,
        operation,
        dry_run,
        precondition: if_match.as_ref().map(Tags::precondition),
        consistency,
        query,
        path: parts.uri.path().to_owned(),
        address: parts
            .extensions
            .get::<ClientAddress>()
            .map(|ClientAddress(address)| *address),
        method: parts.method,
        headers: parts.headers,
        idempotency: None,
        params,
        body: Mutex::new(Some(body)),
        course: Arc::clone(&course),
    };
    let answer = handler(Arc::clone(api), call).await?;
    let answer = if dry_run { answer.of_dry_run() } else { answer };
    Ok(version::show(course.version(), answer)?.unless_known(if_none_match.as_ref()))
}

/// What is known of a request that was cut off at its deadline.
fn overdue(operation: Operation, dry_run: bool) -> ApiError {
    match operation.effect {
        Effect::Write if dry_run => ApiError::unavailable(1),
        Effect::Read => ApiError::unavailable(1),
        Effect::Write => ApiError::outcome_unknown(),
    }
}

/// What is known of a request that panicked: a write may have been proposed before.
fn panicked(operation: Operation, dry_run: bool) -> ApiError {
    match operation.effect {
        Effect::Write if !dry_run => ApiError::outcome_unknown(),
        Effect::Read | Effect::Write => ApiError::internal(),
    }
}

fn respond(api: &Api, request_id: &RequestId, stale: bool, answered: Answered) -> Response {
    let applied = || api.applied();
    let (response, revision, replayed, etag, own) = match answered {
        Ok(Answer {
            status,
            content_type,
            body,
            stream,
            revision,
            replayed,
            etag,
            headers,
        }) => {
            let response = match stream {
                None => plain(status, content_type, Body::from(body)),
                Some(stream) => {
                    let mut response = plain(status, content_type, stream);
                    response.extensions_mut().insert(Streamed);
                    response
                }
            };
            (response, revision, replayed, etag, headers)
        }
        Err(Failure {
            error,
            revision,
            replayed,
        }) => (
            failed(&error, request_id),
            revision,
            replayed,
            None,
            &[][..],
        ),
    };
    let mut response = response;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, text(request_id.as_str()));
    headers.insert(REVISION, revision.unwrap_or_else(applied).0.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    for (name, value) in own {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    if let Some(etag) = etag {
        headers.insert(header::ETAG, etag.header());
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if stale {
        headers.insert(STALENESS, staleness(api));
    }
    response
}

/// How old a stale read may be.
fn staleness(api: &Api) -> HeaderValue {
    match api.control.readiness().last_contact {
        Some(ago) => u64::try_from(ago.as_millis()).unwrap_or(u64::MAX).into(),
        None => HeaderValue::from_static("unknown"),
    }
}

fn plain(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // An answer that leaves out what the client has is of no type.
    if status != StatusCode::NOT_MODIFIED {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn failed(error: &ApiError, request_id: &RequestId) -> Response {
    let body = Body::from(error.body(request_id.as_str()));
    let mut response = plain(error.code.status(), JSON, body);
    if let Some(seconds) = error.retry_after_s {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    if error.code == Code::ApiVersionSunset {
        sunset::announce(response.headers_mut());
    }
    if error.code == Code::InvalidApiKey {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A header value of our own making, which is visible ASCII.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

/// One line for each request. What went well is logged at `debug`: at tens of thousands of
/// requests a second the log would otherwise cost more than the work. So is a probe that hears
/// *not ready*: that is an answer, and whoever probes asks again at once.
fn log(
    operation: Operation,
    method: &Method,
    request_id: &RequestId,
    status: StatusCode,
    took: Duration,
) {
    let latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let is_probe = operation == READYZ;
    let (operation, path, status) = (operation.name, operation.path, status.as_u16());
    if status >= 500 && !is_probe {
        tracing::warn!(%method, path, operation, status, latency_us, %request_id, "request failed");
    } else if took >= SLOW {
        tracing::info!(%method, path, operation, status, latency_us, %request_id, "slow request");
    } else {
        tracing::debug!(%method, path, operation, status, latency_us, %request_id, "request");
    }
}
