//! Requests through the cache: look, wait for another's answer, or ask the origin and keep what it
//! says. The policy is [`crate::cache`]'s; what is sent to whom is [`answer`]'s and the worker's.
//!
//! ```text
//!   not GET/HEAD, a body, an upgrade ----------------------------------> origin, then invalidate
//!   marked as not kept -----------------------------------------------> origin
//!   kept and usable --------------------------------------------------> answer
//!   kept, stale, may be served meanwhile -----------------------------> answer, refresh behind it
//!   somebody asks for the same -- wait --> look again
//!   otherwise: ask (does what is kept still hold?) -- keep, tell those who wait --> answer
//! ```

mod answer;
mod invalidation;
mod origin;
mod refresh;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use domain::content::Caching;
use domain::id::RuleId;
use http::header::{CACHE_CONTROL, HOST, UPGRADE};
use http::{Method, Request};
use http_body::Body;
use platform::{Clock, Network};

use super::connection::Connection;
use super::error::{Code, Refusal};
use super::service::{Answered, Worker};
use crate::active::Held;
use crate::cache::asked::{Asked, Rules};
use crate::cache::flight::{Landed, wait};
use crate::cache::key::{Url, write_section};
use crate::cache::marks::Known;
use crate::cache::store::{Company, Question, Step};
use crate::cache::stored::{Place, Spot};
use crate::cache::{Cache, Outcome, Report};
use crate::configuration::Served;
use crate::route::Forward;
use crate::telemetry::Trace;
use crate::turn;
use crate::upstream::ClientBody;

use invalidation::Subject;

/// A thread's way to the cache that all share.
pub(super) struct Caches {
    cache: Arc<Cache>,
    clock: Arc<dyn Clock>,
    /// The key of the request at hand; kept so that looking at a mark allocates nothing.
    key: RefCell<Vec<u8>>,
}

/// The route's part in a request.
#[derive(Clone, Copy)]
pub(super) struct Matter<'a> {
    pub(super) held: &'a Rc<Held>,
    pub(super) served: &'a Served,
    pub(super) rule: Option<&'a RuleId>,
    pub(super) toward: Forward<'a>,
    pub(super) trace: &'a Trace,
}

/// A request that looks for an answer.
struct Seeker<'a, N> {
    worker: &'a Rc<Worker<N>>,
    connection: &'a Rc<Connection>,
    matter: Matter<'a>,
    rules: Rules,
    asked: Asked,
    place: Place,
    request: Request<()>,
    collapsed: bool,
    /// The cache's changes before the origin was asked.
    changes: Cell<u64>,
}

impl Caches {
    pub(super) fn new(cache: Arc<Cache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            clock,
            key: RefCell::default(),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        turn::wall_ms(&*self.clock)
    }

    /// The hash of a request's key.
    fn hash<B>(&self, caching: &Caching, route: &str, scheme: &str, request: &Request<B>) -> u64 {
        let mut key = self.key.borrow_mut();
        url(route, scheme, request).write(&caching.key, &mut key);
        self.cache.hash(&key)
    }

    /// Where the answer to a request belongs whose key was the last to be hashed, to `hash`.
    fn place<B>(&self, matter: Matter<'_>, hash: u64, request: &Request<B>) -> Place {
        let caching = &matter.served.route.compiled().caching;
        let mut section = Vec::new();
        let rule = matter.rule.map_or("", RuleId::as_str);
        write_section(rule, &caching.key, request.headers(), &mut section);
        Place {
            hash,
            key: self.key.borrow().as_slice().into(),
            section: section.into(),
        }
    }
}

/// How the client came.
fn scheme(connection: &Connection) -> &'static str {
    connection.scheme().as_str()
}

fn url<'a, B>(route: &'a str, scheme: &'a str, request: &'a Request<B>) -> Url<'a> {
    Url {
        route,
        scheme,
        host: request
            .headers()
            .get(HOST)
            .map_or(&[], |host| host.as_bytes()),
        path: request.uri().path(),
        query: request.uri().query(),
    }
}

impl<N: Network> Worker<N> {
    /// Answers a request that is the origins' to answer, by what is kept of their answers where
    /// that may be.
    pub(super) async fn serve(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        matter: Matter<'_>,
        request: Request<ClientBody>,
    ) -> Result<Answered, Refusal> {
        if !self.caches.cache.is_on() {
            return self
                .forward(connection, matter.toward, request, matter.trace)
                .await;
        }
        let caching = &matter.served.route.compiled().caching;
        let route = matter.served.entry.route_id.as_str();
        let scheme = scheme(connection);
        let hash = self.caches.hash(caching, route, scheme, &request);
        if !looks_for_an_answer(&request) {
            return self.serve_around(connection, matter, hash, request).await;
        }
        let known = self.caches.cache.marks.check(hash, self.caches.now_ms());
        // Who says nothing of caches does not insist on what is kept.
        if known == Known::NotKept && !request.headers().contains_key(CACHE_CONTROL) {
            return self.bypass(connection, matter, request).await;
        }
        let Some(asked) = Asked::of(request.method(), request.headers()) else {
            return self.bypass(connection, matter, request).await;
        };
        if known == Known::NotKept && !asked.directives.only_if_cached {
            return self.bypass(connection, matter, request).await;
        }
        let mut seeker = Seeker {
            worker: self,
            connection,
            rules: Rules::of(caching),
            place: self.caches.place(matter, hash, &request),
            matter,
            asked,
            request: request.map(drop),
            collapsed: false,
            changes: Cell::new(0),
        };
        // What few requests need is kept out of the room that each connection has for one: see
        // `service`.
        Box::pin(seeker.answered(known)).await
    }

    /// A request that the cache does not answer, though it may be about what is kept.
    async fn serve_around(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        matter: Matter<'_>,
        hash: u64,
        request: Request<ClientBody>,
    ) -> Result<Answered, Refusal> {
        let subject = (!request.method().is_safe()).then(|| Subject::of(hash, &request));
        let answered = self.bypass(connection, matter, request).await?;
        if let Some(subject) = subject {
            self.invalidate(matter, connection, &subject, &answered.0);
        }
        Ok(answered)
    }

    async fn bypass(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        matter: Matter<'_>,
        request: Request<ClientBody>,
    ) -> Result<Answered, Refusal> {
        let answered = self
            .forward(connection, matter.toward, request, matter.trace)
            .await?;
        self.report(matter.trace, Report::of(Outcome::Bypass));
        Ok(answered)
    }

    /// Counts what the cache did, and notes it of the request.
    fn report(&self, trace: &Trace, report: Report) {
        self.tally.cache.answered(&report);
        trace.cached(report);
    }
}

/// Whether a request may be looked up at all. One with a body or for another protocol is for the
/// origin alone.
fn looks_for_an_answer(request: &Request<ClientBody>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.body().is_end_stream()
        && !request.headers().contains_key(UPGRADE)
}

impl<N: Network> Seeker<'_, N> {
    async fn answered(&mut self, known: Known) -> Result<Answered, Refusal> {
        let mut company = match known {
            Known::Nothing => Company::Wait,
            Known::NotKept | Known::Probe => Company::Alone,
        };
        loop {
            let (stored, standing, lead) = match self.step(company) {
                Step::Ask(..) if self.asked.directives.only_if_cached => {
                    return Err(Code::NotCached.into());
                }
                Step::Ask(found, lead) => return self.ask_origin(found, lead).await,
                Step::Wait(landed) => {
                    self.collapsed = true;
                    company = match wait(landed).await {
                        Landed::Kept => Company::Lead,
                        Landed::NotKept => Company::Alone,
                        Landed::Gone => Company::Wait,
                    };
                    continue;
                }
                Step::Serve(stored, standing) => (stored, standing, None),
                Step::ServeAndRefresh(stored, standing, lead) => (stored, standing, Some(lead)),
            };
            let outcome = if standing.usable {
                Outcome::Hit
            } else {
                Outcome::Stale
            };
            let answered = self.answer(&stored, standing.age_ms, outcome);
            if let Some(lead) = lead {
                self.refresh(&stored, lead);
            }
            match answered {
                Some(answered) => return Ok(answered),
                // Its body broke off or was passed on already.
                None => self.cache().remove(&stored),
            }
        }
    }

    fn step(&self, company: Company) -> Step {
        let question = Question {
            spot: Spot {
                hash: self.place.hash,
                key: &self.place.key,
                section: &self.place.section,
            },
            asked: &self.asked,
            request: self.request.headers(),
            rules: &self.rules,
            now_ms: self.now_ms(),
        };
        self.cache().ask(&question, company)
    }

    fn cache(&self) -> &Arc<Cache> {
        &self.worker.caches.cache
    }

    fn now_ms(&self) -> u64 {
        self.worker.caches.now_ms()
    }
}
