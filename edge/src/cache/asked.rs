//! What a request says that matters to a cache, and by which rules its route keeps answers.

use domain::content::Caching;
use domain::model::Mode;
use http::header::{
    AUTHORIZATION, COOKIE, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderValue, Method};

use super::directives::RequestDirectives;

/// How long after its freshness an answer is still better than an error, where the mode stands
/// for that: a day, in which somebody has noticed that an origin is down.
const STALE_IF_ERROR_S: u64 = 24 * 60 * 60;

/// A request, as a cache sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// It is a `HEAD`; a `GET` otherwise.
    pub head: bool,
    /// Its `Cache-Control`.
    pub directives: RequestDirectives,
    /// It has credentials.
    pub authorization: bool,
    /// It has cookies.
    pub cookie: bool,
    /// What it wants of the answer.
    pub conditions: Conditions,
}

/// Under which conditions a request wants an answer, and which part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The lines of `If-None-Match`.
    pub if_none_match: Vec<HeaderValue>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<HeaderValue>,
    /// `Range`.
    pub range: Option<HeaderValue>,
    /// `If-Range`.
    pub if_range: Option<HeaderValue>,
}

/// The rules by which a route keeps answers. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The traffic mode.
    pub mode: Mode,
    /// How long answers are fresh that do not say.
    pub ttl_s: Option<u64>,
    /// How long after its freshness an answer is served while a new one is fetched.
    pub stale_while_revalidate_s: u64,
    /// How long after its freshness an answer is served instead of an error.
    pub stale_if_error_s: u64,
}

impl Rules {
    /// Those of a route.
    #[must_use]
    pub fn of(caching: &Caching) -> Self {
        Self {
            mode: caching.mode,
            ttl_s: caching.ttl_s.map(u64::from),
            stale_while_revalidate_s: caching.stale_while_revalidate_s.into(),
            stale_if_error_s: match caching.mode {
                Mode::Balanced => 0,
                Mode::CacheFirst | Mode::OriginFirst => STALE_IF_ERROR_S,
            },
        }
    }
}

impl Asked {
    /// What a request says; nothing where a cache must stay out of it: another method, or a
    /// condition that only an origin can judge.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let head = *method == Method::HEAD;
        if !head && *method != Method::GET {
            return None;
        }
        if headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE) {
            return None;
        }
        Some(Self {
            head,
            directives: RequestDirectives::of(headers),
            authorization: headers.contains_key(AUTHORIZATION),
            cookie: headers.contains_key(COOKIE),
            conditions: Conditions::of(headers),
        })
    }

    /// Whether its answer from the origin could serve others: it asks for all of it, whatever
    /// anybody has of it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.head && !self.directives.no_store && self.conditions.are_none()
    }
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            if_none_match: headers.get_all(IF_NONE_MATCH).iter().cloned().collect(),
            if_modified_since: headers.get(IF_MODIFIED_SINCE).cloned(),
            range: headers.get(RANGE).cloned(),
            if_range: headers.get(IF_RANGE).cloned(),
        }
    }

    /// Takes them off a request, which then asks for all of the answer.
    pub fn strip(headers: &mut HeaderMap) {
        for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE] {
            headers.remove(name);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.if_none_match.is_empty() && self.if_modified_since.is_none() && self.range.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_cache_stays_out_of_what_only_an_origin_can_judge() {
        for (method, fields, takes_part, plain) in [
            ("GET", &[][..], true, true),
            ("HEAD", &[], true, false),
            ("POST", &[], false, false),
            ("OPTIONS", &[], false, false),
            ("GET", &[("if-match", "\"a\"")], false, false),
            ("GET", &[("if-unmodified-since", "x")], false, false),
            ("GET", &[("if-none-match", "\"a\"")], true, false),
            ("GET", &[("range", "bytes=0-")], true, false),
            ("GET", &[("cache-control", "no-store")], true, false),
            (
                "GET",
                &[("authorization", "x"), ("cookie", "y")],
                true,
                true,
            ),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let asked = Asked::of(&method, &headers(fields));
            assert_eq!(asked.is_some(), takes_part, "{method} {fields:?}");
            assert_eq!(
                asked.is_some_and(|asked| asked.is_plain()),
                plain,
                "{method} {fields:?}"
            );
        }
    }

    #[test]
    fn stripped_of_its_conditions_a_request_is_plain() {
        let mut fields = headers(&[
            ("if-none-match", "\"a\""),
            ("if-none-match", "\"b\""),
            ("if-modified-since", "x"),
            ("range", "bytes=0-"),
            ("if-range", "\"a\""),
            ("accept", "*/*"),
        ]);
        let asked = Asked::of(&Method::GET, &fields).unwrap();
        assert_eq!(asked.conditions.if_none_match.len(), 2);
        Conditions::strip(&mut fields);
        assert_eq!(fields, headers(&[("accept", "*/*")]));
        assert!(Asked::of(&Method::GET, &fields).unwrap().is_plain());
    }
}
