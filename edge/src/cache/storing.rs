//! Which answers are kept (RFC 9111, section 3), and what of them.

use domain::model::Mode;
use http::StatusCode;
use http::header::{AGE, ETAG, HeaderMap, LAST_MODIFIED, SET_COOKIE, VARY};

use super::asked::{Asked, Rules};
use super::date::settle_date;
use super::directives::{ResponseDirectives, elements};
use super::freshness::{
    Kept, Lifetime, Source, Times, initial_age_ms, is_heuristically_cacheable, lifetime,
};

/// What is remembered of an answer to this request, if it may be kept and would be of use.
#[must_use]
pub fn keep(
    asked: &Asked,
    status: StatusCode,
    headers: &HeaderMap,
    rules: &Rules,
    times: Times,
) -> Option<Kept> {
    let directives = ResponseDirectives::of(headers);
    if !may_be_kept(asked, status, headers, &directives) {
        return None;
    }
    let kept = kept(status, headers, &directives, rules, times);
    (guess_is_safe(asked, kept.lifetime) && is_of_use(&kept, headers, rules, status))
        .then_some(kept)
}

/// What is remembered of an answer that may be kept.
fn kept(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    rules: &Rules,
    times: Times,
) -> Kept {
    let mut lifetime = lifetime(status, headers, directives, rules, times.came_ms);
    let age = initial_age_ms(headers, times);
    if age.is_none() {
        lifetime.ms = 0;
    }
    Kept {
        lifetime,
        initial_age_ms: age.unwrap_or(0),
        came_ms: times.came_ms,
        no_cache: directives.no_cache,
        never_stale: directives.must_revalidate || directives.proxy_revalidate,
        seldom_stale: directives.s_maxage.is_some(),
        stale_while_revalidate_s: directives.stale_while_revalidate.unwrap_or(0),
        stale_if_error_s: directives.stale_if_error.unwrap_or(0),
        shared: is_shared(directives),
    }
}

/// What forbids to keep an answer. Cookies are somebody's own, so what sets one is never kept.
fn may_be_kept(
    asked: &Asked,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
) -> bool {
    // RFC 9111, section 5.2.2.3: who understands the status need not heed `no-store` beside it.
    let no_store = if directives.must_understand {
        !is_understood(status)
    } else {
        directives.no_store
    };
    !asked.head
        && !asked.directives.no_store
        && status.as_u16() >= 200
        && !matches!(
            status,
            StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        )
        && !no_store
        && !directives.private
        && (!asked.authorization || is_shared(directives))
        && !headers.contains_key(SET_COOKIE)
        && !varies_by_everything(headers)
}

/// RFC 9111, section 3.5: what lets an answer to one with credentials serve another.
fn is_shared(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}

/// The statuses whose own rules about caches are kept here.
fn is_understood(status: StatusCode) -> bool {
    is_heuristically_cacheable(status)
        || matches!(
            status.as_u16(),
            302 | 303 | 307 | 400 | 401 | 403 | 429 | 500 | 502 | 503 | 504
        )
}

fn varies_by_everything(headers: &HeaderMap) -> bool {
    headers
        .get_all(VARY)
        .iter()
        .any(|line| elements(line.as_bytes()).any(|name| name == b"*"))
}

/// A page made for somebody may say nothing at all, so with cookies nothing is guessed.
fn guess_is_safe(asked: &Asked, lifetime: Lifetime) -> bool {
    !(asked.cookie && lifetime.source == Source::Guess)
}

/// Whether it will ever be served: at once, after the origin has confirmed it, or if that fails.
fn is_of_use(kept: &Kept, headers: &HeaderMap, rules: &Rules, status: StatusCode) -> bool {
    let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    let is_about_caches = kept.no_cache || kept.lifetime.source == Source::Answer;
    let survives = !kept.no_cache
        && !kept.never_stale
        && (kept.stale_while_revalidate_s > 0 || kept.stale_if_error_s > 0);
    let stands_in = rules.mode == Mode::OriginFirst
        && !kept.no_cache
        && !kept.never_stale
        && status.is_success()
        && (is_heuristically_cacheable(status) || is_about_caches);
    kept.was_fresh() || (has_validator && is_about_caches) || survives || stands_in
}

/// Makes the fields of an answer those that are kept of it.
pub fn settle_fields(headers: &mut HeaderMap, times: Times) {
    for name in ResponseDirectives::of(headers).withheld {
        headers.remove(name);
    }
    headers.remove(AGE);
    settle_date(headers, times.came_ms);
}

#[cfg(test)]
mod tests;
