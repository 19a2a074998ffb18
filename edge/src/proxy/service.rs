//! One request.

use std::rc::Rc;
use std::sync::Arc;

use domain::matching::{Request as Question, check_query};
use http::header::{ALT_SVC, CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper_util::rt::TokioIo;
use platform::{Clock, Entropy, Network};
use tokio::time::Instant;
use tracing::{Level, debug, enabled};

use super::body::{AnswerBody, Content};
use super::caching::{Caches, Matter};
use super::client::Scheme;
use super::connection::{Connection, Connections, Flight};
use super::dispatch::{Sent, is_good};
use super::error::{Code, Refusal};
use super::headers::Telling;
use super::http1::Dates;
use super::ids::RequestIds;
use super::scheme::{self, Open};
use super::tls::{Terminator, Tls};
use super::tunnel::Tunnel;
use super::websocket::{self, Wish};
use super::{headers, request, sticky};
use crate::active::{Active, Held, Reader};
use crate::cache::Cache;
use crate::metrics::{Answer, Tally};
use crate::route::{Forward, Target, Verdict};
use crate::settings::Settings;
use crate::telemetry::{Observer, Observing, Trace};
use crate::turn;
use crate::upstream::{self, Attached, ClientBody, ExchangeError, RequestBody, Upload, Upstreams};

/// One serving thread's state. It never leaves its thread, so nothing in it is locked.
pub struct Worker<N> {
    pub(super) settings: Arc<Settings>,
    pub(super) connections: Rc<Connections>,
    pub(super) upstreams: Upstreams<N>,
    pub(super) tally: Arc<Tally>,
    pub(super) caches: Caches,
    pub(super) observer: Observer,
    /// Connections on which TLS is being agreed on.
    pub(super) handshakes: Rc<Connections>,
    /// How TLS ends here, where it does.
    pub(super) terminator: Option<Terminator>,
    /// The date of answers that have none.
    pub(super) dates: Dates,
    reader: Reader,
    ids: RequestIds,
    via: Via,
    /// What clients of `https` are told of HTTP/3, where it is spoken.
    alt_svc: Option<HeaderValue>,
}

/// What the serving threads have in common.
pub struct Common {
    /// What is served.
    pub active: Arc<Active>,
    /// Keeps origins' answers.
    pub cache: Arc<Cache>,
    /// Whom observations are reported to.
    pub observing: Observing,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// The edge in `Via`, by the version in which a message came.
struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
    http3: HeaderValue,
}

/// What an answered request was, for the log. Collected only while somebody reads it.
struct Access {
    method: http::Method,
    uri: http::Uri,
    host: Option<HeaderValue>,
    begun: Instant,
}

/// An answer, and whose it is.
pub(super) type Answered = (Response<Content>, Answer);

impl<N: Network> Worker<N> {
    /// A thread; `tally` and `lane` are its own among the serving threads.
    pub fn new(
        settings: Arc<Settings>,
        network: N,
        common: Common,
        tally: Arc<Tally>,
        entropy: &dyn Entropy,
        lane: usize,
    ) -> Self {
        let Common {
            active,
            cache,
            observing,
            clock,
        } = common;
        Self {
            terminator: None,
            handshakes: Rc::default(),
            via: Via::new(&settings.edge.id),
            alt_svc: alt_svc(&settings),
            upstreams: Upstreams::new(network, settings.timeouts, Arc::clone(&tally), lane),
            reader: Reader::new(active),
            observer: Observer::new(observing, Arc::clone(&clock), entropy),
            ids: RequestIds::new(Arc::clone(&clock), entropy),
            dates: Dates::new(Arc::clone(&clock)),
            caches: Caches::new(cache, clock),
            connections: Rc::default(),
            settings,
            tally,
        }
    }

    /// The same, speaking TLS.
    ///
    /// # Errors
    /// When TLS cannot be spoken at all.
    pub fn with_tls(mut self, tls: Tls) -> Result<Self, rustls::Error> {
        self.terminator = Some(Terminator::new(tls)?);
        Ok(self)
    }

    /// The configuration in use.
    pub(super) fn configuration(&self) -> Rc<Held> {
        self.reader.current()
    }

    /// Answers a request. It has always an answer.
    ///
    /// The future is part of every connection of HTTP/1.1 on which requests come. What only some requests
    /// come to is therefore boxed in it.
    pub(super) async fn answer(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        mut request: Request<ClientBody>,
    ) -> Response<AnswerBody> {
        let version = request.version();
        let mut flight = connection.begin(is_multiplexed(version));
        connection.expect_body(!request.body().is_end_stream());
        let connects = *request.method() == Method::CONNECT;
        let asks_for_head = *request.method() == Method::HEAD;
        let trace = self
            .observer
            .begin(&mut request, connection.client().address());
        let access = enabled!(Level::DEBUG).then(|| Access::of(&request));
        let outcome = match trace.span() {
            None => self.outcome(connection, request, &trace).await,
            // So that lines of the log name the trace.
            Some(span) => Box::pin(span.scope(self.outcome(connection, request, &trace))).await,
        };
        let (mut response, by) = match outcome {
            // To a client of HTTP/2 or HTTP/3, success would mean that there is a tunnel.
            Ok((response, _)) if connects && opens_nothing(&response) => {
                let refusal = Code::UnsupportedProtocol.into();
                (self.refuse(refusal, &flight, &trace), Answer::Edge)
            }
            Ok(answered) => answered,
            Err(refusal) => (self.refuse(refusal, &flight, &trace), Answer::Edge),
        };
        if asks_for_head {
            leave_body_out(&mut response);
        }
        flight.answered();
        self.tally.answered(by, response.status());
        self.tally.protocols.answered(version);
        self.advertise(connection, version, &mut response);
        if let Some(access) = access {
            access.log(&response);
        }
        let watch = self
            .observer
            .finish(trace, by, || self.ids.next(), &mut response);
        response.map(|content| AnswerBody::new(content, flight, watch))
    }

    /// Tells a client that came over TLS and TCP where it finds the same over QUIC.
    fn advertise<B>(&self, connection: &Connection, version: Version, response: &mut Response<B>) {
        if let Some(alt_svc) = &self.alt_svc
            && connection.scheme() == Scheme::Https
            && version != Version::HTTP_3
        {
            response.headers_mut().insert(ALT_SVC, alt_svc.clone());
        }
    }

    async fn outcome(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        mut request: Request<ClientBody>,
        trace: &Trace,
    ) -> Result<Answered, Refusal> {
        request::settle(&mut request, &self.settings.edge.id)?;
        // Held until the response's head is here: what is published meanwhile is for the next.
        let configuration = self.reader.current();
        if configuration.manifest().is_none() {
            return Err(Code::NoConfiguration.into());
        }
        let host = request::host(request.headers())?;
        scheme::check_host(connection, &host)?;
        let served = configuration.find(&host).ok_or(Code::UnknownHost)?;
        if let Some(https) = &self.settings.https {
            match scheme::open(connection, &served.tls)? {
                Open::Yes => {}
                Open::OverTls => {
                    let redirect = scheme::redirect(&host, https, request.uri());
                    return Ok((redirect, Answer::Edge));
                }
            }
        }
        let query = request.uri().query().unwrap_or_default();
        if served.route.compiled().looks_at_query() {
            check_query(query)?;
        }
        let decision = served.route.decide(&Question {
            method: request.method().as_str(),
            host: &host,
            path: request.uri().path(),
            query,
            headers: &request::Fields(request.headers()),
            client: connection.client().ip(),
            region: &self.settings.edge.region,
        });
        drop(host);
        self.observer
            .routed(trace, &configuration, served, decision.rule);
        debug!(
            route = %served.entry.route_id,
            snapshot = %served.entry.snapshot_id,
            rule = decision.rule.map(tracing::field::display),
            "request routed"
        );
        match decision.verdict {
            Verdict::Forward(toward) => {
                // It is between the two alone, and nothing of it is kept.
                if let Some(wish) = websocket::wish(&mut request, || self.ids.websocket_key()) {
                    let switching = self.switch(connection, toward, request, wish, trace);
                    return Box::pin(switching).await;
                }
                let matter = Matter {
                    held: &configuration,
                    served,
                    rule: decision.rule,
                    toward,
                    trace,
                };
                self.serve(connection, matter, request).await
            }
            Verdict::NoTarget => Err(Code::NoTarget.into()),
            Verdict::NoRule => Err(Code::NoMatchingRule.into()),
            Verdict::Fixed(fixed) => Ok((fixed.response(), Answer::Rule)),
            Verdict::Redirect(redirect) => {
                let target = request
                    .uri()
                    .path_and_query()
                    .map_or("/", |target| target.as_str());
                Ok((redirect.response(target), Answer::Rule))
            }
        }
    }

    /// Sends a request on as the client sent it.
    pub(super) async fn forward(
        &self,
        connection: &Connection,
        toward: Forward<'_>,
        mut request: Request<ClientBody>,
        trace: &Trace,
    ) -> Result<Answered, Refusal> {
        if !request::may_be_forwarded(&mut request) {
            return Ok((Response::default(), Answer::Edge));
        }
        let (parts, body) = request.into_parts();
        let timeouts = &self.settings.timeouts;
        let (body, upload) = RequestBody::new(body, timeouts.idle(), timeouts.client_rate());
        // It goes through many hands.
        let request = Box::new(Request::from_parts(parts, body));
        let (response, by) = self
            .exchange(connection, toward, request, upload.as_deref(), trace)
            .await?;
        Ok((response.map(|content| content.beside(upload)), by))
    }

    /// Has an origin answer a request.
    pub(super) async fn exchange(
        &self,
        connection: &Connection,
        forward: Forward<'_>,
        mut request: Box<Request<RequestBody>>,
        upload: Option<&Upload>,
        trace: &Trace,
    ) -> Result<Answered, Refusal> {
        let keys = forward.keys(|key| sticky::hash(key, request.headers(), connection.client()));
        let lines = self.address_to_origin(connection, &mut request, forward.speaks_http1());
        let begun = turn::now();
        // A fallback may answer with a redirect that keeps the path.
        let path = forward.fallback().is_some().then(|| request.uri().clone());
        let attached = Attached {
            lines: lines.as_deref(),
            upload,
        };
        let sent = self.dispatch(forward, &keys, request, attached, trace);
        match sent.await? {
            Sent::Origin(response) | Sent::Fallback(response) if !is_understood(&response) => {
                self.observer.lost(trace);
                Err(Code::UpstreamMalformed.into())
            }
            Sent::Fallback(response) => Ok((
                self.address_to_client(response.map(Content::Upstream)),
                Answer::Fallback,
            )),
            Sent::Origin(response) => {
                let took = turn::now().saturating_duration_since(begun);
                self.tally.upstream_took(took);
                trace.upstream_took(took);
                Ok((
                    self.address_to_client(response.map(Content::Upstream)),
                    Answer::Origin,
                ))
            }
            Sent::Fixed(fixed) => Ok((fixed.response(), Answer::Rule)),
            Sent::Redirect(redirect) => {
                let target = path.as_ref().and_then(http::Uri::path_and_query);
                let target = target.map_or("/", |target| target.as_str());
                Ok((redirect.response(target), Answer::Rule))
            }
        }
    }

    /// Asks an origin to speak WebSocket with a client, and joins them if it agrees. An answer of
    /// another kind is an ordinary answer.
    async fn switch(
        &self,
        connection: &Rc<Connection>,
        toward: Forward<'_>,
        request: Request<ClientBody>,
        wish: Wish,
        trace: &Trace,
    ) -> Result<Answered, Refusal> {
        let http2 = request.version() == Version::HTTP_2;
        let keys = toward.keys(|key| sticky::hash(key, request.headers(), connection.client()));
        let mut request = request.map(drop);
        self.address_to_origin(connection, &mut request, false);
        wish.ask(request.headers_mut());
        let connect = async |target: &Target| self.upstreams.connect_alone(target).await;
        let (target, (stream, hold)) = self.reach(&toward, &keys, Some(trace), connect).await?;
        let asked = upstream::ask(stream, request, &self.settings.timeouts).await;
        let mut response = asked.map_err(|error| {
            self.blame(target, Some(trace));
            debug!(upstream = %target.upstream, target = %target.id, "{error}");
            Refusal::from(&error)
        })?;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let is_none = if switches {
            !wish.is_granted(response.headers())
        } else {
            !is_understood(&response)
        };
        if is_none {
            self.blame(target, Some(trace));
            return Err(Code::UpstreamMalformed.into());
        }
        if switches || is_good(target, &response) {
            target.health.succeeded();
        }
        if !switches {
            let response = response.map(|body| Content::Lone(Box::new(body.holding(hold))));
            return Ok((self.address_to_client(response), Answer::Origin));
        }
        let mut flight = connection.begin(http2);
        flight.answered();
        let tunnel = Tunnel::new(
            hyper::upgrade::on(&mut response),
            self.settings.timeouts.tunnel_idle(),
            Arc::clone(&self.tally),
            flight,
            hold,
        );
        let mut response = self.address_to_client(response.map(|_| Content::Empty));
        wish.grant(&mut response);
        response.extensions_mut().insert(Tunnelled);
        if http2 {
            tokio::task::spawn_local(join(wish, tunnel));
        } else {
            connection.switch_to(tunnel);
        }
        Ok((response, Answer::Origin))
    }

    /// What is given is to be written with the request's head.
    fn address_to_origin<B>(
        &self,
        connection: &Connection,
        request: &mut Request<B>,
        wants_lines: bool,
    ) -> Option<Rc<[u8]>> {
        let via = self.via.of(request.version());
        *request.version_mut() = Version::HTTP_11;
        // The connections to the origins are not the client's.
        request.extensions_mut().clear();
        let host = request.headers().get(HOST).cloned()?;
        let telling = Telling {
            client: connection.client(),
            host: &host,
            via,
        };
        headers::for_origin(request.headers_mut(), telling, wants_lines)
    }

    fn address_to_client(&self, mut response: Response<Content>) -> Response<Content> {
        let via = self.via.of(response.version());
        *response.version_mut() = Version::HTTP_11;
        response.extensions_mut().clear();
        headers::for_client(response.headers_mut(), via);
        response
    }

    fn refuse(&self, refusal: Refusal, flight: &Flight, trace: &Trace) -> Response<Content> {
        let id = trace.id(|| self.ids.next());
        trace.refused(refusal.code);
        self.tally.erred(refusal.code);
        debug!(request_id = %id, code = refusal.code.as_str(), "request answered with an error");
        refusal.response(id, flight.is_multiplexed())
    }
}

/// An upgrade was not asked for, and there is nobody to switch protocols with; a coding that is
/// not undone here would reach the client as if it were content.
pub(super) fn is_understood<B>(response: &Response<B>) -> bool {
    response.status() != StatusCode::SWITCHING_PROTOCOLS
        && headers::coding_is_known(response.headers())
}

/// Leaves of an answer what a request for the head alone gets, its body's length included (RFC 9110,
/// section 9.3.2). HTTP/1.1 would do so by itself, HTTP/2 does not.
fn leave_body_out(response: &mut Response<Content>) {
    if let Content::Whole(bytes) = response.body() {
        let length = HeaderValue::from(bytes.len());
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert(length);
        *response.body_mut() = Content::Empty;
    }
}

/// Marks an answer after which the client and an origin are joined.
#[derive(Clone, Copy, Debug)]
struct Tunnelled;

/// Whether a connection of this version has several requests at once, each on a stream of its own.
fn is_multiplexed(version: Version) -> bool {
    matches!(version, Version::HTTP_2 | Version::HTTP_3)
}

fn opens_nothing<B>(response: &Response<B>) -> bool {
    response.status().is_success() && response.extensions().get::<Tunnelled>().is_none()
}

/// Joins an HTTP/2 client's stream to an origin, once the answer to its request is sent.
async fn join(wish: Wish, tunnel: Tunnel) {
    let Some(client) = wish.client else { return };
    match client.await {
        Ok(client) => tunnel.join(TokioIo::new(client)).await,
        Err(error) => debug!(%error, "a client that was to switch protocols is gone"),
    }
}

/// Says what became of a request to a target, where it is handled.
pub(super) fn failed(target: &Target, error: &ExchangeError) -> Refusal {
    let refusal = Refusal::from(error);
    if !matches!(error, ExchangeError::Client(_)) {
        let cause = std::error::Error::source(error).map(tracing::field::display);
        debug!(upstream = %target.upstream, target = %target.id, address = target.authority, cause, "{error}");
    }
    refusal
}

fn alt_svc(settings: &Settings) -> Option<HeaderValue> {
    let alt_svc = settings.http3.as_ref()?.alt_svc();
    HeaderValue::from_str(&alt_svc).ok()
}

impl Via {
    fn new(edge: &str) -> Self {
        // The settings were checked: an edge's name is a token.
        let value = |version: &str| {
            HeaderValue::from_str(&format!("{version} {edge}"))
                .unwrap_or_else(|_| HeaderValue::from_static("1.1 vectorgate"))
        };
        Self {
            http10: value("1.0"),
            http11: value("1.1"),
            http2: value("2.0"),
            http3: value("3.0"),
        }
    }

    fn of(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_3 => &self.http3,
            Version::HTTP_2 => &self.http2,
            Version::HTTP_10 => &self.http10,
            _ => &self.http11,
        }
    }
}

impl Access {
    fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(HOST).cloned(),
            begun: Instant::now(),
        }
    }

    fn log<B>(&self, response: &Response<B>) {
        let host = self
            .host
            .as_ref()
            .and_then(|host| host.to_str().ok())
            .or_else(|| self.uri.authority().map(|host| host.as_str()));
        debug!(
            method = %self.method,
            host,
            path = self.uri.path(),
            status = response.status().as_u16(),
            elapsed_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request answered"
        );
    }
}
