//! How old an answer is, how long it is fresh, and what may be done with it at a moment (RFC 9111,
//! section 4.2; RFC 5861). Whether it is kept at all is decided in [`super::storing`].
//!
//! ```text
//!   came                fresh until        + while revalidating      + if error
//!    |----- as it is -------|--- at once, and fetched anew ---|--- if the origin fails ---|
//! ```

use domain::model::Mode;
use http::StatusCode;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, LAST_MODIFIED};

use super::asked::{Asked, Rules};
use super::date::date;
use super::directives::{ResponseDirectives, seconds};

/// The part of the time since its last change for which an answer is taken to be fresh (RFC 9111,
/// section 4.2.2 names this tenth).
const HEURISTIC_PART: u64 = 10;

/// The longest that is guessed: an hour. Beyond, a publisher who never thought of caches would
/// be surprised.
const HEURISTIC_MS_MAX: u64 = 60 * 60 * 1000;

/// The longest for which a route's own time holds for an error, in seconds: a page that is not
/// there yet should not be missed for a day.
const TTL_OF_ERRORS_S_MAX: u64 = 60;

/// When a request was sent and when its answer came, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Sent.
    pub asked_ms: u64,
    /// Came.
    pub came_ms: u64,
}

/// Who says how long an answer is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The answer.
    Answer,
    /// The route.
    Route,
    /// Nobody: it is a guess.
    Guess,
    /// Nobody, and there is nothing to guess by.
    Nobody,
}

/// How long an answer is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// In milliseconds.
    pub ms: u64,
    /// Who says so.
    pub source: Source,
}

/// What is remembered of an answer to judge it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How long it is fresh, from the time it was made.
    pub lifetime: Lifetime,
    /// How old it was when it came, in milliseconds.
    pub initial_age_ms: u64,
    /// When it came.
    pub came_ms: u64,
    /// It is not used before an origin has confirmed it.
    pub no_cache: bool,
    /// It is not used stale, whatever else is said.
    pub never_stale: bool,
    /// It is not used stale unless that is said in so many words (`s-maxage`).
    pub seldom_stale: bool,
    /// Its own `stale-while-revalidate`, in seconds.
    pub stale_while_revalidate_s: u64,
    /// Its own `stale-if-error`, in seconds.
    pub stale_if_error_s: u64,
    /// It may answer requests with credentials.
    pub shared: bool,
}

/// What may be done with an answer at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How old it is, in milliseconds.
    pub age_ms: u64,
    /// It may be served as it is.
    pub usable: bool,
    /// It may be served while a new one is fetched.
    pub while_revalidating: bool,
    /// It may be served if the origin fails.
    pub if_error: bool,
}

/// How long an answer is fresh (RFC 9111, section 4.2.1).
#[must_use]
pub fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    rules: &Rules,
    came_ms: u64,
) -> Lifetime {
    let of = |seconds: u64, source| Lifetime {
        ms: seconds * 1000,
        source,
    };
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return of(seconds, Source::Answer);
    }
    if !directives.targeted && headers.contains_key(EXPIRES) {
        let made_ms = date(headers, &DATE).unwrap_or(came_ms);
        let until_ms = date(headers, &EXPIRES).unwrap_or(0);
        return Lifetime {
            ms: until_ms.saturating_sub(made_ms),
            source: Source::Answer,
        };
    }
    if !directives.public && !is_heuristically_cacheable(status) {
        return of(0, Source::Nobody);
    }
    match rules.ttl_s {
        Some(ttl_s) if status.as_u16() >= 400 => of(ttl_s.min(TTL_OF_ERRORS_S_MAX), Source::Route),
        Some(ttl_s) => of(ttl_s, Source::Route),
        None => guess(headers, came_ms),
    }
}

fn guess(headers: &HeaderMap, came_ms: u64) -> Lifetime {
    let Some(changed_ms) = date(headers, &LAST_MODIFIED) else {
        return Lifetime {
            ms: 0,
            source: Source::Nobody,
        };
    };
    let made_ms = date(headers, &DATE).unwrap_or(came_ms);
    Lifetime {
        ms: (made_ms.saturating_sub(changed_ms) / HEURISTIC_PART).min(HEURISTIC_MS_MAX),
        source: Source::Guess,
    }
}

/// Whether an answer with this status may be kept without saying so (RFC 9110, section 15.1).
#[must_use]
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// How old an answer was when it came (RFC 9111, section 4.2.3). Nothing where its `Age` cannot be
/// read: section 5.1 would ignore that, but then an answer of unknown age would pass as new, so
/// it is taken to be too old.
#[must_use]
pub fn initial_age_ms(headers: &HeaderMap, times: Times) -> Option<u64> {
    let mut lines = headers.get_all(AGE).iter();
    let age_ms = match (lines.next(), lines.next()) {
        (None, _) => 0,
        (Some(only), None) => seconds(only.as_bytes().trim_ascii())? * 1000,
        _ => return None,
    };
    let delay_ms = times.came_ms.saturating_sub(times.asked_ms);
    let apparent_ms = date(headers, &DATE).map_or(0, |made| times.came_ms.saturating_sub(made));
    Some(apparent_ms.max(age_ms + delay_ms))
}

impl Kept {
    /// How old it is.
    #[must_use]
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        self.initial_age_ms + now_ms.saturating_sub(self.came_ms)
    }

    /// How long it is fresh from now on, in milliseconds; how long it has been stale where that is
    /// below zero.
    #[must_use]
    pub fn fresh_for_ms(&self, now_ms: u64) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(self.lifetime.ms).saturating_sub(signed(self.age_ms(now_ms)))
    }

    /// Whether there was a time in which it served without being asked about. Requests for others
    /// are each the origin's to answer, and none waits for another.
    #[must_use]
    pub fn was_fresh(&self) -> bool {
        !self.no_cache && self.lifetime.ms > self.initial_age_ms
    }

    /// What may be done with it.
    #[must_use]
    pub fn standing(&self, asked: &Asked, rules: &Rules, now_ms: u64) -> Standing {
        let stale_ms = self.fresh_for_ms(now_ms).saturating_neg();
        let within = |seconds: u64| {
            seconds > 0 && stale_ms <= i64::try_from(seconds * 1000).unwrap_or(i64::MAX)
        };
        let stale_allowed = !self.no_cache && !self.never_stale;
        let if_error = self.stale_if_error_s.max(rules.stale_if_error_s);
        let while_revalidating = self
            .stale_while_revalidate_s
            .max(rules.stale_while_revalidate_s);
        let usable = match rules.mode {
            Mode::OriginFirst => false,
            Mode::CacheFirst => !self.no_cache && stale_ms < 0,
            Mode::Balanced => self.suits(asked, stale_ms, now_ms),
        };
        Standing {
            age_ms: self.age_ms(now_ms),
            usable,
            while_revalidating: stale_allowed
                && rules.mode != Mode::OriginFirst
                && (rules.mode == Mode::CacheFirst || !asked.directives.wants_new())
                && within(while_revalidating),
            if_error: (stale_allowed && within(if_error))
                || (rules.mode == Mode::OriginFirst && !self.no_cache && stale_ms < 0),
        }
    }

    /// Whether it is what a request asks for by its own directives (RFC 9111, section 5.2.1). Where
    /// the cache goes first they are not heard: they would let any client have the origin asked.
    fn suits(&self, asked: &Asked, stale_ms: i64, now_ms: u64) -> bool {
        let wants = &asked.directives;
        let ms = |seconds: u64| i64::try_from(seconds * 1000).unwrap_or(i64::MAX);
        let stale_allowed = !self.no_cache && !self.never_stale && !self.seldom_stale;
        let tolerated_ms = match wants.max_stale {
            Some(seconds) if stale_allowed => ms(seconds).saturating_add(1),
            _ => 0,
        };
        let young = wants
            .max_age
            .is_none_or(|max| self.age_ms(now_ms) <= max * 1000 && max > 0);
        let fresh_enough = wants.min_fresh.is_none_or(|min| -stale_ms >= ms(min));
        !self.no_cache && !wants.no_cache && stale_ms < tolerated_ms && young && fresh_enough
    }
}

impl super::directives::RequestDirectives {
    /// Whether what is fresh enough for others is not for this one.
    fn wants_new(&self) -> bool {
        self.no_cache || self.max_age.is_some() || self.min_fresh.is_some()
    }
}

#[cfg(test)]
mod tests;
