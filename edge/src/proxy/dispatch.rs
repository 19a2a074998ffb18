//! A request's way through targets: one after the other until one answers, then the route's
//! fallback.
//!
//! ```text
//!   targets that are fit ──▶ the fallback ──▶ any target, where none was tried at all
//!     up to ATTEMPTS_MAX       (action: it answers;
//!     within the budget         upstream: up to ATTEMPTS_MAX)
//! ```
//!
//! A request is sent once more only where that cannot do anything twice: when it was certainly not
//! sent, or when it has no body and its method is idempotent. One that a target was too slow to
//! answer is not sent to the next, which would be as slow and be asked by everybody; the fallback
//! may have it. All attempts together have as much time for an answer as one alone, and those of the
//! fallback as much once more. Retries are bounded by a budget, because retries of everybody are what keeps
//! targets down that came under load (the numbers are Envoy's).

use http::{Request, Response};
use platform::Network;
use tokio::time::Instant;

use super::error::{Code, Refusal};
use super::service::{Worker, failed, is_understood};
use crate::health::GroupHealth;
use crate::route::{Fallback, Fixed, Forward, Keys, Redirect, Target};
use crate::telemetry::Trace;
use crate::turn;
use crate::upstream::{Attached, ExchangeError, Failed, RequestBody, UpstreamBody};

/// How often a request is sent to targets, and once more as often to those of the fallback.
const ATTEMPTS_MAX: usize = 3;

/// Retries at once, of a hundred requests under way.
const RETRIES_PERCENT: u32 = 20;

/// Retries at once that are always allowed: with little to do, a fifth of it is nothing.
const RETRIES_MIN: u32 = 3;

/// What a forwarded request is answered with.
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, and mostly the large one"
)]
pub(super) enum Sent<'a> {
    /// A target's response.
    Origin(Response<UpstreamBody>),
    /// That of a target of the fallback.
    Fallback(Response<UpstreamBody>),
    /// The fallback's redirect.
    Redirect(&'a Redirect),
    /// The fallback's response.
    Fixed(&'a Fixed),
}

/// How far a request is.
struct Course<'a> {
    trace: &'a Trace,
    /// The request, where it may be sent (again).
    request: Option<Box<Request<RequestBody>>>,
    tried: Vec<&'a Target>,
    /// Why the last attempt failed.
    failure: Option<Refusal>,
    /// The last target was too slow.
    was_slow: bool,
    /// The client is gone; nobody waits for an answer.
    is_final: bool,
}

/// A place among the retries of an upstream.
struct Retry<'a>(&'a GroupHealth);

impl Drop for Retry<'_> {
    fn drop(&mut self) {
        self.0.retried();
    }
}

impl<N: Network> Worker<N> {
    /// Sends a request where it may go until somebody answers.
    pub(super) async fn dispatch<'a>(
        &self,
        forward: Forward<'a>,
        keys: &Keys,
        request: Box<Request<RequestBody>>,
        attached: Attached<'_>,
        trace: &'a Trace,
    ) -> Result<Sent<'a>, Refusal> {
        let mut course = Course {
            trace,
            request: Some(request),
            tried: Vec::new(),
            failure: None,
            was_slow: false,
            is_final: false,
        };
        let fit = |tried: &[&Target]| forward.pick(tried, keys).map(|target| &**target);
        if let Some(response) = self.attempts(&forward, fit, &mut course, attached).await {
            return Ok(Sent::Origin(response));
        }
        if !course.is_final
            && let Some(fallback) = forward.fallback()
            && let Some(sent) = self.fall_back(fallback, keys, &mut course, attached).await
        {
            return Ok(sent);
        }
        if course.tried.is_empty() {
            let any = |tried: &[&Target]| forward.pick_any(tried, keys).map(|target| &**target);
            if let Some(response) = self.attempts(&forward, any, &mut course, attached).await {
                return Ok(Sent::Origin(response));
            }
        }
        Err(course.failure.unwrap_or_else(|| Code::NoTarget.into()))
    }

    /// A connection of its own to one target after the other, until one takes it: nothing was sent
    /// to those that do not, so the next may have whatever it is for.
    pub(super) async fn reach<'a, T>(
        &self,
        forward: &Forward<'a>,
        keys: &Keys,
        trace: Option<&Trace>,
        connect: impl AsyncFn(&Target) -> Result<T, ExchangeError>,
    ) -> Result<(&'a Target, T), Refusal> {
        let mut tried: Vec<&Target> = Vec::new();
        let mut failure = None;
        let mut any = false;
        while tried.len() < ATTEMPTS_MAX {
            let fit = if any {
                None
            } else {
                forward.pick(&tried, keys)
            };
            // Where none is fit from the first, any will do, as for requests.
            any |= fit.is_none() && tried.is_empty();
            let target = if any {
                forward.pick_any(&tried, keys)
            } else {
                fit
            };
            let Some(target) = target.map(|target| &**target) else {
                break;
            };
            let retry = (!tried.is_empty()).then(|| retry(forward, target));
            if matches!(retry, Some(None)) {
                self.tally.upstream_retry_refused();
                break;
            }
            if retry.is_some() {
                self.tally.upstream_retried();
            }
            if let Some(trace) = trace {
                self.observer.sent(trace, target);
            }
            let error = match connect(target).await {
                Ok(connection) => return Ok((target, connection)),
                Err(error) => error,
            };
            if !error.is_innocent() {
                self.blame(target, trace);
            }
            failure = Some(failed(target, &error));
            tried.push(target);
        }
        Err(failure.unwrap_or_else(|| Code::NoTarget.into()))
    }

    /// A target failed.
    pub(super) fn blame(&self, target: &Target, trace: Option<&Trace>) {
        target.health.failed();
        if let Some(trace) = trace {
            self.observer.lost(trace);
        }
    }

    async fn fall_back<'a>(
        &self,
        fallback: Fallback<'a>,
        keys: &Keys,
        course: &mut Course<'a>,
        attached: Attached<'_>,
    ) -> Option<Sent<'a>> {
        let sent = match fallback {
            Fallback::Redirect(redirect) => Sent::Redirect(redirect),
            Fallback::Fixed(fixed) => Sent::Fixed(fixed),
            Fallback::Forward(forward) => {
                let fit = |tried: &[&Target]| forward.pick(tried, keys).map(|target| &**target);
                let response = self.attempts(&forward, fit, course, attached).await?;
                Sent::Fallback(response)
            }
        };
        self.tally.upstream_fell_back();
        Some(sent)
    }

    /// Sends the request to one target after the other, as `pick` gives them.
    async fn attempts<'a>(
        &self,
        forward: &Forward<'a>,
        pick: impl Fn(&[&Target]) -> Option<&'a Target>,
        course: &mut Course<'a>,
        attached: Attached<'_>,
    ) -> Option<Response<UpstreamBody>> {
        let spares = forward.has_alternatives();
        let until = turn::now() + self.settings.timeouts.response_header();
        for attempt in 0..ATTEMPTS_MAX {
            if course.is_final || course.request.is_none() {
                return None;
            }
            if attempt > 0 && course.was_slow {
                return None;
            }
            let target = pick(&course.tried)?;
            let retry = (attempt > 0).then(|| retry(forward, target));
            if matches!(retry, Some(None)) {
                self.tally.upstream_retry_refused();
                return None;
            }
            let request = course.request.take()?;
            if attempt > 0 {
                self.tally.upstream_retried();
            }
            self.observer.sent(course.trace, target);
            let sending = self
                .upstreams
                .send(target, request, attached, spares, until);
            match sending.await {
                Ok(mut response) => {
                    if is_good(target, &response) && !response.body_mut().promise() {
                        target.health.succeeded();
                    }
                    return Some(response);
                }
                Err(lost) => {
                    // A target is not to blame for the time that others have taken.
                    let hurried = attempt > 0 && lost.error.is_slow() && Instant::now() >= until;
                    if !hurried && !lost.error.is_innocent() {
                        self.blame(target, Some(course.trace));
                    }
                    course.lost(target, lost);
                }
            }
        }
        None
    }
}

impl<'a> Course<'a> {
    fn lost(&mut self, target: &'a Target, lost: Failed) {
        let Failed { error, request } = lost;
        self.failure = Some(failed(target, &error));
        self.tried.push(target);
        self.request = request;
        self.was_slow = matches!(error, ExchangeError::Timeout);
        if let ExchangeError::Client(_) = error {
            self.is_final = true;
        }
    }
}

/// A place among the retries, if the budget has one.
fn retry<'a>(forward: &Forward<'a>, target: &'a Target) -> Option<Retry<'a>> {
    let under_way = forward.under_way();
    let max = (under_way * RETRIES_PERCENT / 100).max(RETRIES_MIN);
    let group = &*target.health.group;
    group.retry(max).then(|| Retry(group))
}

/// Whether an answer's head is one of success. The target is told if not.
pub(super) fn is_good<B>(target: &Target, response: &Response<B>) -> bool {
    let good = is_understood(response) && !response.status().is_server_error();
    if !good {
        target.health.failed();
    }
    good
}
