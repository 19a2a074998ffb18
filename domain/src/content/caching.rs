//! What a published route says about keeping answers: its mode, and `cache` of its `config` with
//! types. The mode decides what an edge may do with an answer; how it does it is the edge's matter.

use serde_json::Value;

use super::RouteContent;
use crate::model::Mode;

/// How long a `cache_first` route serves an answer after its freshness when its `config` does not
/// say: as long again as it was fresh, at most this, in seconds. An hour bounds what the first
/// visitor after a long silence sees.
const STALE_WHILE_REVALIDATE_S_MAX: u32 = 60 * 60;

/// How a route keeps answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// The traffic mode.
    pub mode: Mode,
    /// How long an answer that says nothing about it is fresh, in seconds; only in `cache_first`.
    pub ttl_s: Option<u32>,
    /// How long after its freshness an answer is served while a new one is fetched, in seconds,
    /// whatever the answer itself allows.
    pub stale_while_revalidate_s: u32,
    /// What, beside host and path, makes two requests the same.
    pub key: CacheKey,
}

/// What, beside host and path, makes two requests the same. Host and path always do: an answer
/// for one of a wildcard's hosts is never another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    /// Which part of the query.
    pub query: QueryPart,
    /// Request headers, by lower-case name.
    pub headers: Vec<String>,
    /// Cookies, by name.
    pub cookies: Vec<String>,
}

/// Which part of the query is in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryPart {
    /// All of it, byte for byte.
    Whole,
    /// Only these parameters; nothing where there are none.
    Named(Vec<String>),
}

impl Default for CacheKey {
    fn default() -> Self {
        Self {
            query: QueryPart::Whole,
            headers: Vec::new(),
            cookies: Vec::new(),
        }
    }
}

impl Caching {
    /// A route that keeps what its origins allow, and nothing beyond.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            mode: Mode::Balanced,
            ttl_s: None,
            stale_while_revalidate_s: 0,
            key: CacheKey::default(),
        }
    }

    /// What a published route says. Its `config` was checked when it was written, so what does
    /// not parse here says nothing.
    #[must_use]
    pub fn of(content: &RouteContent) -> Self {
        let config: Value = serde_json::from_str(&content.config).unwrap_or_default();
        let cache = &config["cache"];
        let seconds = |name: &str| {
            cache[name]
                .as_u64()
                .and_then(|value| u32::try_from(value).ok())
        };
        let plain = Self {
            mode: content.mode,
            key: CacheKey::of(&cache["key"]),
            ..Self::plain()
        };
        if content.mode != Mode::CacheFirst {
            return plain;
        }
        let ttl_s = seconds("ttl_s");
        let stale = || ttl_s.unwrap_or(0).min(STALE_WHILE_REVALIDATE_S_MAX);
        Self {
            ttl_s,
            stale_while_revalidate_s: seconds("stale_while_revalidate_s").unwrap_or_else(stale),
            ..plain
        }
    }
}

impl CacheKey {
    fn of(parts: &Value) -> Self {
        let Some(parts) = parts.as_array() else {
            return Self::default();
        };
        let mut key = Self {
            query: QueryPart::Named(Vec::new()),
            ..Self::default()
        };
        for part in parts.iter().filter_map(Value::as_str) {
            key.add(part);
        }
        key
    }

    fn add(&mut self, part: &str) {
        match part.split_once(':') {
            None if part == "query" => self.query = QueryPart::Whole,
            Some(("query", name)) => {
                if let QueryPart::Named(names) = &mut self.query {
                    names.push(name.to_owned());
                }
            }
            Some(("header", name)) => self.headers.push(name.to_ascii_lowercase()),
            Some(("cookie", name)) => self.cookies.push(name.to_owned()),
            // Host, path and method are in every key.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::id::RouteId;
    use crate::tree::Hash;

    use super::*;

    #[track_caller]
    fn check(mode: Mode, config: &str, expect: Caching) {
        let content = RouteContent {
            route_id: RouteId::parse("rt_00000001").unwrap(),
            name: "route".to_owned(),
            hostname: "api.example.net".to_owned(),
            mode,
            enabled: true,
            default_upstreams: Vec::new(),
            config: config.to_owned(),
            upstreams: Hash::EMPTY_TREE,
            rules: Hash::EMPTY_TREE,
            rule_count: 0,
        };
        assert_eq!(Caching::of(&content), expect, "{config}");
    }

    fn first(ttl_s: u32, stale_while_revalidate_s: u32) -> Caching {
        Caching {
            mode: Mode::CacheFirst,
            ttl_s: Some(ttl_s),
            stale_while_revalidate_s,
            key: CacheKey::default(),
        }
    }

    #[test]
    fn a_mode_says_what_there_is_beside_what_answers_say() {
        check(Mode::Balanced, "{}", Caching::plain());
        check(Mode::CacheFirst, r#"{"cache":{"ttl_s":60}}"#, first(60, 60));
        check(
            Mode::CacheFirst,
            r#"{"cache":{"ttl_s":86400}}"#,
            first(86_400, 3_600),
        );
        check(
            Mode::CacheFirst,
            r#"{"cache":{"ttl_s":60,"stale_while_revalidate_s":0}}"#,
            first(60, 0),
        );
        let asked = Caching {
            mode: Mode::OriginFirst,
            ..Caching::plain()
        };
        check(Mode::OriginFirst, r#"{"cache":{"ttl_s":60}}"#, asked);
    }

    #[test]
    fn the_parts_of_a_key_replace_the_query() {
        for (parts, query, headers, cookies) in [
            (r#"["query"]"#, QueryPart::Whole, &[][..], &[][..]),
            (
                r#"["host","path","method"]"#,
                QueryPart::Named(Vec::new()),
                &[],
                &[],
            ),
            (
                r#"["query:v","query:page","header:X-Tenant","cookie:Plan"]"#,
                QueryPart::Named(vec!["v".to_owned(), "page".to_owned()]),
                &["x-tenant"],
                &["Plan"],
            ),
            (
                r#"["query:v","query","query:w"]"#,
                QueryPart::Whole,
                &[],
                &[],
            ),
        ] {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let key = CacheKey {
                query,
                headers: owned(headers),
                cookies: owned(cookies),
            };
            let config = format!(r#"{{"cache":{{"ttl_s":60,"key":{parts}}}}}"#);
            check(
                Mode::CacheFirst,
                &config,
                Caching {
                    key,
                    ..first(60, 60)
                },
            );
        }
    }
}
