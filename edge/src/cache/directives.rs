//! `Cache-Control` of requests and responses, and `CDN-Cache-Control` (RFC 9213), as data. What
//! follows from them is decided elsewhere.
//!
//! Where a field contradicts itself, the stricter reading holds: of two lifetimes the shorter
//! (RFC 9111, section 4.2.1), of a lifetime that is no number, none.

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName};

/// Longer lifetimes are all the same (RFC 9111, section 1.2.2), in seconds.
const SECONDS_MAX: u64 = 1 << 31;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// What a response says about being kept. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`.
    pub max_age: Option<u64>,
    /// `s-maxage`.
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861).
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861).
    pub stale_if_error: Option<u64>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` without field names.
    pub no_cache: bool,
    /// `private` without field names.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// The fields that `no-cache` and `private` name: they are not kept, the rest may be.
    pub withheld: Vec<HeaderName>,
    /// They are from `CDN-Cache-Control`, so `Expires` is not looked at.
    pub targeted: bool,
}

/// What a request says about being answered from what is kept. Times are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-cache`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`.
    pub max_age: Option<u64>,
    /// `min-fresh`.
    pub min_fresh: Option<u64>,
    /// `max-stale`; without a number, any.
    pub max_stale: Option<u64>,
}

impl ResponseDirectives {
    /// Those of a response: of `CDN-Cache-Control` where there is one that can be read, else of
    /// `Cache-Control`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if let Some(targeted) = Self::targeted(headers) {
            return targeted;
        }
        let mut directives = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for (name, value) in members(line.as_bytes()) {
                directives.add(name, value);
            }
        }
        directives
    }

    /// RFC 9213, section 2.2: a field that is no dictionary is ignored as a whole.
    fn targeted(headers: &HeaderMap) -> Option<Self> {
        headers.get(&CDN_CACHE_CONTROL)?;
        let mut directives = Self {
            targeted: true,
            ..Self::default()
        };
        for line in headers.get_all(&CDN_CACHE_CONTROL) {
            for (name, value) in members(line.as_bytes()) {
                if !is_dictionary_member(name, value) {
                    return None;
                }
                directives.add(name, value);
            }
        }
        Some(directives)
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("max-age") {
            shorter(&mut self.max_age, value);
        } else if is("s-maxage") {
            shorter(&mut self.s_maxage, value);
        } else if is("stale-while-revalidate") {
            shorter(&mut self.stale_while_revalidate, value);
        } else if is("stale-if-error") {
            shorter(&mut self.stale_if_error, value);
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache |= !self.withhold(value);
        } else if is("private") {
            self.private |= !self.withhold(value);
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        }
    }

    /// Whether the directive is about some fields only. Names that are none make it about all.
    fn withhold(&mut self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else {
            return false;
        };
        let names: Result<Vec<_>, _> = value
            .split(|byte| *byte == b',')
            .map(|name| HeaderName::from_bytes(name.trim_ascii()))
            .collect();
        match names {
            Ok(names) if !self.targeted => self.withheld.extend(names),
            _ => return false,
        }
        true
    }
}

impl RequestDirectives {
    /// Those of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for (name, value) in members(line.as_bytes()) {
                directives.add(name, value);
            }
        }
        directives
    }

    /// A number that is none says nothing: these directives are advice.
    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            self.max_age = value.and_then(seconds).or(self.max_age);
        } else if is("min-fresh") {
            self.min_fresh = value.and_then(seconds).or(self.min_fresh);
        } else if is("max-stale") {
            self.max_stale = value.map_or(Some(SECONDS_MAX), seconds).or(self.max_stale);
        }
    }
}

fn shorter(time: &mut Option<u64>, value: Option<&[u8]>) {
    let given = value.and_then(seconds).unwrap_or(0);
    *time = Some(time.map_or(given, |known| known.min(given)));
}

/// Delta seconds: digits alone. More than can be counted is as long as can be counted.
#[must_use]
pub fn seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some(number.map_or(SECONDS_MAX, |number| number.min(SECONDS_MAX)))
}

/// What is between commas outside of quotes, as name and value without quotes. A name with
/// whitespace in it is one that nobody knows.
fn members(line: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    elements(line)
        .filter(|member| !member.is_empty())
        .map(
            |member| match member.iter().position(|byte| *byte == b'=') {
                None => (member, None),
                Some(place) => (&member[..place], Some(unquoted(&member[place + 1..]))),
            },
        )
}

/// The elements of a list, trimmed; commas between quotes separate nothing.
pub fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (element, next) = split_element(line);
        rest = next;
        Some(element.trim_ascii())
    })
}

fn split_element(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    for (place, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&line[..place], Some(&line[place + 1..])),
            _ => {}
        }
    }
    (line, None)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// Whether a member could stand in a structured dictionary (RFC 9651, section 3.2), as far as the
/// known directives need it: a key, and a number, a string or nothing.
fn is_dictionary_member(name: &[u8], value: Option<&[u8]>) -> bool {
    let key =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte);
    let bare = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    name.first()
        .is_some_and(|first| first.is_ascii_lowercase() || *first == b'*')
        && name.iter().all(key)
        && value.is_none_or(|value| !value.is_empty() && value.iter().all(bare))
}

#[cfg(test)]
mod tests;
