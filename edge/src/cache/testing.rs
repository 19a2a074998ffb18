//! Answers and rules for the tables beside the policy.

use domain::content::Caching;
use domain::model::Mode;
use http::HeaderValue;
use http::header::HeaderMap;

use super::asked::{Asked, Rules};
use super::date;

/// When the answers of the tables come: some Thursday.
pub(crate) const CAME_MS: u64 = 1_700_000_000_000;

/// Fields from lines; `@-5` stands for the date five seconds before [`CAME_MS`].
pub(crate) fn fields(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim();
        let value = match value.strip_prefix('@') {
            Some(seconds) => {
                let offset_ms = seconds.parse::<i64>().unwrap() * 1000;
                date::format(CAME_MS.checked_add_signed(offset_ms).unwrap())
            }
            None => HeaderValue::from_str(value).unwrap(),
        };
        headers.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value,
        );
    }
    headers
}

/// A `GET` with these fields.
pub(crate) fn get(lines: &[&str]) -> Asked {
    Asked::of(&http::Method::GET, &fields(lines)).unwrap()
}

/// The rules of a mode, with a time of its own of 100 s and 50 s beyond where the cache goes first.
pub(crate) fn rules(mode: Mode) -> Rules {
    let first = mode == Mode::CacheFirst;
    Rules::of(&Caching {
        mode,
        ttl_s: first.then_some(100),
        stale_while_revalidate_s: if first { 50 } else { 0 },
        ..Caching::plain()
    })
}
