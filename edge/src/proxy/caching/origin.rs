//! Asking the origin on behalf of the cache, and what becomes of what is kept by what it says.

use std::sync::Arc;

use http::header::HeaderMap;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use platform::Network;

use super::Seeker;
use crate::cache::asked::{Asked, Conditions};
use crate::cache::body::Body;
use crate::cache::conditional::{ask_to_confirm, confirms, has_validator, updated};
use crate::cache::fill::fill;
use crate::cache::flight::{Landed, Lead};
use crate::cache::freshness::{Kept, Standing, Times};
use crate::cache::stored::Stored;
use crate::cache::storing::{keep, settle_fields};
use crate::cache::{Outcome, Report};
use crate::metrics::Answer;
use crate::proxy::body::Content;
use crate::proxy::error::Refusal;
use crate::proxy::service::Answered;
use crate::upstream::{RequestBody, UpstreamBody};

/// What is kept and may still be of use.
pub(super) type Found = Option<(Arc<Stored>, Standing)>;

/// What an origin was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// What the client asked.
    AsItIs,
    /// All of the answer, whatever the client has of it.
    Whole,
    /// Whether what is kept still holds.
    Confirmed,
}

impl<N: Network> Seeker<'_, N> {
    /// Asks the origin, whether what is kept still holds if there is anything.
    pub(super) async fn ask_origin(
        &self,
        found: Found,
        lead: Option<Lead>,
    ) -> Result<Answered, Refusal> {
        let wish = self.wish(found.as_ref());
        let (outcome, times) = self.exchange(wish, found.as_ref()).await;
        if let Some(answered) = self.stand_in(found.as_ref(), &outcome) {
            land(lead, Landed::NotKept);
            return Ok(answered);
        }
        let (answered, lead) = landed_unless_answered(outcome, lead)?;
        let not_modified = answered.0.status() == StatusCode::NOT_MODIFIED;
        let (Wish::Confirmed, true, Some((stored, _))) = (wish, not_modified, &found) else {
            return Ok(self.received(answered, wish, found, lead, times));
        };
        if let Some(answered) = self.confirmed(stored, answered.0.headers(), lead.as_ref(), times) {
            land(lead, Landed::Kept);
            return Ok(answered);
        }
        // It is about something else, or what is kept is gone: ask for all of it.
        self.cache().remove(stored);
        let (outcome, times) = self.exchange(Wish::Whole, None).await;
        let (answered, lead) = landed_unless_answered(outcome, lead)?;
        Ok(self.received(answered, Wish::Whole, None, lead, times))
    }

    fn wish(&self, found: Option<&(Arc<Stored>, Standing)>) -> Wish {
        match found {
            Some(_) if self.asked.head || self.asked.directives.no_store => Wish::AsItIs,
            Some((stored, _)) if has_validator(&stored.headers) => Wish::Confirmed,
            Some(_) => Wish::Whole,
            None => Wish::AsItIs,
        }
    }

    async fn exchange(
        &self,
        wish: Wish,
        found: Option<&(Arc<Stored>, Standing)>,
    ) -> (Result<Answered, Refusal>, Times) {
        let mut request = Box::new(Request::new(RequestBody::Empty));
        self.request.method().clone_into(request.method_mut());
        self.request.uri().clone_into(request.uri_mut());
        *request.version_mut() = self.request.version();
        let mut headers = self.request.headers().clone();
        match (wish, found) {
            (Wish::Confirmed, Some((stored, _))) => ask_to_confirm(&mut headers, &stored.headers),
            (Wish::AsItIs, _) => {}
            _ => Conditions::strip(&mut headers),
        }
        *request.headers_mut() = headers;
        self.changes.set(self.cache().changes(self.place.hash));
        let asked_ms = self.now_ms();
        // What is kept is better than the fallback.
        let stands_in = found.is_some_and(|(_, standing)| standing.if_error);
        let toward = if stands_in {
            self.matter.toward.without_fallback()
        } else {
            self.matter.toward
        };
        let outcome = self
            .worker
            .exchange(self.connection, toward, request, None, self.matter.trace)
            .await;
        let came_ms = self.now_ms();
        (outcome, Times { asked_ms, came_ms })
    }

    /// What is kept, in the place of an origin that failed.
    fn stand_in(
        &self,
        found: Option<&(Arc<Stored>, Standing)>,
        outcome: &Result<Answered, Refusal>,
    ) -> Option<Answered> {
        let (stored, _) = found.filter(|(_, standing)| standing.if_error)?;
        let failed = match outcome {
            Ok((response, by)) => *by == Answer::Origin && is_failure(response.status()),
            Err(refusal) => refusal.code.is_upstream(),
        };
        if !failed {
            return None;
        }
        let age_ms = stored.kept.age_ms(self.now_ms());
        self.answer(stored, age_ms, Outcome::StaleIfError)
    }

    /// What is kept, renewed by a 304. Nothing where that is about something else.
    fn confirmed(
        &self,
        stored: &Arc<Stored>,
        not_modified: &HeaderMap,
        lead: Option<&Lead>,
        times: Times,
    ) -> Option<Answered> {
        if !confirms(not_modified, &stored.headers) {
            return None;
        }
        // How old it was when it came is the 304's to say.
        let mut headers = aged(updated(&stored.headers, not_modified), not_modified);
        let kept = keep(&self.asked, stored.status, &headers, &self.rules, times);
        settle_fields(&mut headers, times);
        let Some(kept) = kept else {
            self.cache().remove(stored);
            let answer = self.response(stored, headers)?;
            self.report(Outcome::Revalidated);
            return Some((answer, Answer::Cache));
        };
        let age_ms = kept.age_ms(self.now_ms());
        let renewed = self.stored(stored.status, headers, kept, Arc::clone(&stored.body));
        let answered = self.answer(&renewed, age_ms, Outcome::Revalidated)?;
        // One that still grows goes on growing in its old place.
        if stored.body.whole().is_some() && !lead.is_some_and(Lead::is_outdated) {
            self.cache().insert(&renewed, self.changes.get());
        }
        Some(answered)
    }

    /// An answer of the origin's: kept if it may be, and in any case the client's.
    fn received(
        &self,
        answered: Answered,
        wish: Wish,
        found: Found,
        lead: Option<Lead>,
        times: Times,
    ) -> Answered {
        let (response, by) = answered;
        let (parts, content) = response.into_parts();
        let body = match content {
            Content::Upstream(body) if by == Answer::Origin => body,
            other => {
                land(lead, Landed::NotKept);
                self.report(Outcome::Miss);
                return (Response::from_parts(parts, other), by);
            }
        };
        let outdated = lead.as_ref().is_some_and(Lead::is_outdated);
        let kept = keep(
            &self.asked,
            parts.status,
            &parts.headers,
            &self.rules,
            times,
        )
        .filter(|_| !outdated && self.fits(&body));
        let Some(kept) = kept else {
            self.not_kept(parts.status, &parts.headers, found, times);
            land(lead, Landed::NotKept);
            self.report(Outcome::Miss);
            return (Response::from_parts(parts, Content::Upstream(body)), by);
        };
        let mut headers = parts.headers.clone();
        settle_fields(&mut headers, times);
        let stored = self.take_in(parts.status, headers, kept, body);
        let response = if wish == Wish::AsItIs {
            self.first_response(&stored, parts)
        } else {
            self.response(&stored, parts.headers)
        };
        land(lead, Landed::Kept);
        // Nobody can have taken the beginning of a body that is read from here on.
        self.report(Outcome::Stored);
        (response.unwrap_or_default(), by)
    }

    /// Keeps an answer, and has its body filled in the background.
    fn take_in(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        kept: Kept,
        body: UpstreamBody,
    ) -> Arc<Stored> {
        let cache = self.cache();
        if body.is_end_stream() {
            let stored = self.stored(status, headers, kept, Body::of(bytes::Bytes::new()));
            cache.insert(&stored, self.changes.get());
            return stored;
        }
        let (growing, filler) = Body::growing(body.size_hint().exact());
        let stored = self.stored(status, headers, kept, growing);
        // If it is not kept after all, its body is passed on to those who read it.
        cache.insert(&stored, self.changes.get());
        let filling = fill(Arc::clone(cache), Arc::clone(&stored), filler, body);
        tokio::task::spawn_local(filling);
        stored
    }

    fn stored(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        kept: Kept,
        body: Arc<Body>,
    ) -> Arc<Stored> {
        let id = self.cache().number();
        let place = self.place.clone();
        let answer = (status, headers, kept);
        Arc::new(Stored::new(id, place, self.request.headers(), answer, body))
    }

    /// The answer to the one who had it fetched, as the origin gave it.
    fn first_response(
        &self,
        stored: &Stored,
        parts: http::response::Parts,
    ) -> Option<Response<Content>> {
        let content = match stored.body.whole() {
            Some(_) => Content::Empty,
            None => Content::Shared(stored.body.read(0, u64::MAX)?),
        };
        Some(Response::from_parts(parts, content))
    }

    /// What an answer that is not kept says of what is.
    fn not_kept(&self, status: StatusCode, headers: &HeaderMap, found: Found, times: Times) {
        if let Some((stored, _)) = found {
            let outlived = if self.asked.head {
                status == StatusCode::OK && contradicts(headers, &stored)
            } else {
                // What the request itself keeps from being stored says nothing of the answer.
                !status.is_server_error()
                    && status != StatusCode::NOT_MODIFIED
                    && !self.asked.directives.no_store
            };
            if outlived {
                self.cache().remove(&stored);
            }
        }
        // A client with credentials or cookies is told what others are not.
        let anybody = Asked::default();
        if self.asked.is_plain() && keep(&anybody, status, headers, &self.rules, times).is_none() {
            self.cache().mark(self.place.hash, times.came_ms);
        }
    }

    fn fits(&self, body: &UpstreamBody) -> bool {
        body.size_hint().lower() <= self.cache().body_bytes_max()
    }

    fn report(&self, outcome: Outcome) {
        let report = Report {
            collapsed: self.collapsed,
            ..Report::of(outcome)
        };
        self.worker.report(self.matter.trace, report);
    }
}

/// Without an answer there is nothing to wait for.
fn landed_unless_answered(
    outcome: Result<Answered, Refusal>,
    lead: Option<Lead>,
) -> Result<(Answered, Option<Lead>), Refusal> {
    match outcome {
        Ok(answered) => Ok((answered, lead)),
        Err(refusal) => {
            land(lead, Landed::NotKept);
            Err(refusal)
        }
    }
}

fn land(lead: Option<Lead>, landed: Landed) {
    if let Some(lead) = lead {
        lead.land(landed);
    }
}

/// The statuses in whose place a stale answer may stand (RFC 5861, section 4).
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Fields with the age and the date of another message; one without a date is of now.
fn aged(mut headers: HeaderMap, of: &HeaderMap) -> HeaderMap {
    use http::header::{AGE, DATE};
    for name in [AGE, DATE] {
        headers.remove(&name);
        if let Some(value) = of.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// Whether the answer to a `HEAD` is about another body than the one that is kept (RFC 9111,
/// section 4.3.5).
fn contradicts(headers: &HeaderMap, stored: &Stored) -> bool {
    use http::header::{CONTENT_LENGTH, ETAG, LAST_MODIFIED};
    [CONTENT_LENGTH, ETAG, LAST_MODIFIED].iter().any(|name| {
        match (headers.get(name), stored.headers.get(name)) {
            (Some(new), Some(known)) => new != known,
            _ => false,
        }
    })
}
