//! What the limits mean for a request: it is refused, or goes on, and either way its answer says how
//! the limit stands. How requests are counted across the cluster is `crate::limits`' matter.

use std::sync::OnceLock;

use domain::id::RouteId;
use domain::query;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, Code};
use crate::limits::{Quota, Verdict, WindowId};

/// How the limits of a request stand, as far as they were asked.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    key: OnceLock<Standing>,
    /// Of the route that was asked last, where there are several.
    route: Mutex<Option<Standing>>,
}

/// How a limit stands, as headers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    limit: u32,
    remaining: u32,
    /// The Unix second from which the whole limit is there, if nothing more is asked.
    reset_at_s: u64,
}

/// Limit, remaining and reset of the key.
const KEY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// The same of new rules on a route.
const ROUTE: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-route-limit"),
    HeaderName::from_static("x-ratelimit-route-remaining"),
    HeaderName::from_static("x-ratelimit-route-reset"),
];

impl Standings {
    /// Writes them into an answer.
    pub(crate) fn show(&self, headers: &mut HeaderMap) {
        let standings = [(self.key.get().copied(), KEY), (*self.route.lock(), ROUTE)];
        for (standing, names) in standings {
            if let Some(standing) = standing {
                standing.show(names, headers);
            }
        }
    }
}

impl Standing {
    /// Rounded up, and in the future: a second that has begun is not one to wait for.
    fn new(api: &Api, verdict: &Verdict) -> Self {
        let now_ms = api.clock.now().0;
        let reset_at_s = (now_ms + verdict.reset_in_ms).div_ceil(1000);
        Self {
            limit: verdict.limit,
            remaining: verdict.remaining,
            reset_at_s: reset_at_s.max(now_ms / 1000 + 1),
        }
    }

    fn show(&self, [limit, remaining, reset]: [HeaderName; 3], headers: &mut HeaderMap) {
        headers.insert(limit, HeaderValue::from(self.limit));
        headers.insert(remaining, HeaderValue::from(self.remaining));
        headers.insert(reset, HeaderValue::from(self.reset_at_s));
    }
}

/// Counts a request of a caller, and refuses it beyond the key's limit.
pub(crate) async fn of_key(
    api: &Api,
    caller: &Caller,
    standings: &Standings,
) -> Result<(), ApiError> {
    let quota = Quota::of(caller.plan, api.limits.settings());
    let verdict = api.limits.admit(caller.window, quota.requests).await;
    standings.key.get_or_init(|| Standing::new(api, &verdict));
    passes(
        &verdict,
        "The API key has used up its requests for now. See Retry-After.",
    )
}

/// Counts `count` new rules of a route, and refuses them beyond the route's limit. A route that is
/// not there is not counted: the state machine will say that it is not, and nobody fills windows
/// with routes that they invent.
///
/// The window is asked for one, and for the others only if it has them all: what is refused costs
/// no more than one.
pub(crate) async fn of_route(
    api: &Api,
    caller: &Caller,
    standings: &Standings,
    route: &RouteId,
    count: u32,
) -> Result<(), ApiError> {
    let environment = &caller.environment_id;
    let (found, _) = api
        .control
        .read_local(|view| query::route(&view, environment, route).is_some())?;
    if !found {
        return Ok(());
    }
    let limit = Quota::of(caller.plan, api.limits.settings()).route_mutations;
    if count > limit {
        let message = format!("Only {limit} rules can be made on a route in a minute.");
        return Err(ApiError::new(Code::LimitExceeded, message).at("route_id"));
    }
    let window = WindowId::of_route(environment, route);
    for left in (0..count).rev() {
        let verdict = api.limits.admit(window, limit).await;
        *standings.route.lock() = Some(Standing::new(api, &verdict));
        let message = "Too many rules were made on this route. See Retry-After.";
        passes(&verdict, message).map_err(|error| error.at("route_id"))?;
        if verdict.remaining < left {
            let retry_after_s = verdict.reset_in_ms.div_ceil(1000);
            return Err(ApiError::rate_limited(retry_after_s, message).at("route_id"));
        }
    }
    Ok(())
}

fn passes(verdict: &Verdict, message: &str) -> Result<(), ApiError> {
    if verdict.admitted {
        return Ok(());
    }
    let retry_after_s = verdict.retry_in_ms.div_ceil(1000);
    Err(ApiError::rate_limited(retry_after_s, message))
}
