//! What makes two requests the same to the cache.
//!
//! | part | holds | why there |
//! |---|---|---|
//! | key | route, scheme, host with port, path, query | one URL of one route; an unsafe method or a purge takes all below it |
//! | section | the rule that took the request, headers and cookies that the route's `cache.key` names | other rules have other origins |
//! | selection | the fields that the answer's `Vary` names | see [`super::vary`] |
//!
//! The host is in every key: without it, whoever may choose a host could have one tenant's answer
//! given to another.

use std::hash::DefaultHasher;
use std::hash::Hasher;

use domain::content::{CacheKey, QueryPart};
use http::header::{COOKIE, HeaderMap};

/// One URL of a route.
#[derive(Clone, Copy, Debug)]
pub struct Url<'a> {
    /// The route's identifier.
    pub route: &'a str,
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// The `Host` field.
    pub host: &'a [u8],
    /// The path.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
}

impl Url<'_> {
    /// The bytes that stand for it. Parts end with a byte that is in none of them.
    pub fn write(&self, key: &CacheKey, into: &mut Vec<u8>) {
        into.clear();
        for part in [self.route.as_bytes(), self.scheme.as_bytes()] {
            into.extend_from_slice(part);
            into.push(0);
        }
        let start = into.len();
        into.extend_from_slice(self.host);
        into[start..].make_ascii_lowercase();
        into.push(0);
        into.extend_from_slice(self.path.as_bytes());
        if let Some(query) = self.query {
            write_query(query, &key.query, into);
        }
    }
}

/// The keys of a route.
#[must_use]
pub fn is_of_route(key: &[u8], route: &str) -> bool {
    key.strip_prefix(route.as_bytes())
        .is_some_and(|rest| rest.starts_with(&[0]))
}

/// Whether a key is of a URL, whatever its scheme and the host's port; on any host where that is empty. `target` are the bytes that
/// [`target`] gives for it.
#[must_use]
pub fn is_of_url(key: &[u8], route: &str, host: &str, target: &[u8]) -> bool {
    let mut parts = key.splitn(4, |byte| *byte == 0);
    let (of, _scheme, at, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    of == Some(route.as_bytes())
        && at.is_some_and(|at| host.is_empty() || without_port(at) == host.as_bytes())
        && rest == Some(target)
}

/// The part of a key that path and query make.
#[must_use]
pub fn target(path: &str, query: Option<&str>, key: &CacheKey) -> Vec<u8> {
    let mut bytes = path.as_bytes().to_vec();
    if let Some(query) = query {
        write_query(query, &key.query, &mut bytes);
    }
    bytes
}

/// A host without its port and one trailing dot.
fn without_port(host: &[u8]) -> &[u8] {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let rest = &host[..host.len() - digits.count()];
    let name = rest.strip_suffix(b":").unwrap_or(host);
    name.strip_suffix(b".").unwrap_or(name)
}

fn write_query(query: &str, part: &QueryPart, into: &mut Vec<u8>) {
    match part {
        QueryPart::Whole => {
            into.push(b'?');
            into.extend_from_slice(query.as_bytes());
        }
        QueryPart::Named(names) => {
            for name in names {
                into.push(0);
                for pair in query.split('&').filter(|pair| is_named(pair, name)) {
                    into.extend_from_slice(pair.as_bytes());
                    into.push(b'&');
                }
            }
        }
    }
}

fn is_named(pair: &str, name: &str) -> bool {
    pair.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The bytes of a request's section.
pub fn write_section(rule: &str, key: &CacheKey, headers: &HeaderMap, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(rule.as_bytes());
    for name in &key.headers {
        into.push(0);
        for value in headers.get_all(name) {
            into.extend_from_slice(value.as_bytes());
            into.push(b'\n');
        }
    }
    for name in &key.cookies {
        into.push(0);
        for value in cookies(headers, name) {
            into.extend_from_slice(value);
            into.push(b';');
        }
    }
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            pair.trim_ascii()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")
        })
}

/// A key's hash. The secret keeps clients from choosing keys that meet in one place.
#[must_use]
pub fn hash(secret: &[u8; 16], key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(secret);
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    fn url<'a>(host: &'a str, path: &'a str, query: Option<&'a str>) -> Url<'a> {
        Url {
            route: "rt_1",
            scheme: "http",
            host: host.as_bytes(),
            path,
            query,
        }
    }

    fn bytes(url: Url<'_>, key: &CacheKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        url.write(key, &mut bytes);
        bytes
    }

    fn named(names: &[&str]) -> CacheKey {
        CacheKey {
            query: QueryPart::Named(names.iter().map(|name| (*name).to_owned()).collect()),
            ..CacheKey::default()
        }
    }

    #[test]
    fn every_part_tells_urls_apart() {
        let whole = CacheKey::default();
        let one = url("a.example", "/x", Some("q=1"));
        for other in [
            Url {
                route: "rt_2",
                ..one
            },
            Url {
                scheme: "https",
                ..one
            },
            Url {
                host: b"b.example",
                ..one
            },
            Url {
                host: b"a.example:80",
                ..one
            },
            Url { path: "/X", ..one },
            Url {
                query: Some("q=2"),
                ..one
            },
            Url {
                query: Some(""),
                ..one
            },
            Url { query: None, ..one },
        ] {
            assert_ne!(bytes(one, &whole), bytes(other, &whole), "{other:?}");
        }
        let upper = Url {
            host: b"A.Example",
            ..one
        };
        assert_eq!(bytes(one, &whole), bytes(upper, &whole));
    }

    #[test]
    fn only_named_parameters_count_where_some_are_named() {
        let key = named(&["v", "w"]);
        let of = |query| bytes(url("a", "/x", Some(query)), &key);
        for (one, other, same) in [
            ("v=1", "v=1&utm=2", true),
            ("w=2&v=1", "v=1&w=2", true),
            ("v=1", "v=2", false),
            ("v", "v=", false),
            ("v=1&v=2", "v=2&v=1", false),
            ("vv=1", "x=1", true),
            ("v=1", "w=1", false),
        ] {
            assert_eq!(of(one) == of(other), same, "{one} {other}");
        }
        let none = named(&[]);
        let of = |query| bytes(url("a", "/x", query), &none);
        assert_eq!(of(Some("v=1")), of(None));
    }

    #[test]
    fn a_url_is_found_among_keys_whatever_its_scheme_and_port() {
        let key = named(&["v"]);
        let purged = target("/x", Some("utm=2&v=1"), &key);
        let of = |url: Url<'_>| is_of_url(&bytes(url, &key), "rt_1", "a.example", &purged);
        let one = url("a.example", "/x", Some("v=1"));
        for same in [
            one,
            Url {
                scheme: "https",
                ..one
            },
            Url {
                host: b"A.example:8080",
                ..one
            },
            Url {
                host: b"a.example.",
                ..one
            },
            Url {
                query: Some("v=1&utm=1"),
                ..one
            },
        ] {
            assert!(of(same), "{same:?}");
            assert!(is_of_route(&bytes(same, &key), "rt_1"));
        }
        for other in [
            Url {
                route: "rt_10",
                ..one
            },
            Url {
                host: b"b.example",
                ..one
            },
            Url {
                host: b"xa.example",
                ..one
            },
            Url { path: "/x/", ..one },
            Url {
                query: Some("v=2"),
                ..one
            },
            Url { query: None, ..one },
        ] {
            assert!(!of(other), "{other:?}");
        }
        assert!(!is_of_route(
            &bytes(
                Url {
                    route: "rt_10",
                    ..one
                },
                &key
            ),
            "rt_1"
        ));
    }

    #[test]
    fn sections_keep_rules_headers_and_cookies_apart() {
        let key = CacheKey {
            headers: vec!["x-tenant".to_owned()],
            cookies: vec!["plan".to_owned()],
            ..CacheKey::default()
        };
        let of = |rule: &str, lines: &[&str]| {
            let mut bytes = Vec::new();
            write_section(rule, &key, &fields(lines), &mut bytes);
            bytes
        };
        let one = of("r", &["x-tenant: a", "cookie: id=7; plan=pro", "accept: x"]);
        assert_eq!(one, of("r", &["x-tenant: a", "cookie: plan=pro;id=8"]));
        for (rule, lines) in [
            ("s", &["x-tenant: a", "cookie: plan=pro"][..]),
            ("r", &["x-tenant: b", "cookie: plan=pro"]),
            ("r", &["x-tenant: a", "cookie: plan=free"]),
            ("r", &["x-tenant: a", "cookie: planet=pro"]),
            ("r", &["cookie: plan=pro"]),
            ("r", &["x-tenant: a"]),
        ] {
            assert_ne!(one, of(rule, lines), "{rule} {lines:?}");
        }
    }

    proptest::proptest! {
        /// No two URLs have the same bytes.
        #[test]
        fn keys_are_unambiguous(
            one in ("[a-z.]{1,4}", "/[a-z?&]{0,4}", proptest::option::of("[a-z=&]{0,4}")),
            other in ("[a-z.]{1,4}", "/[a-z?&]{0,4}", proptest::option::of("[a-z=&]{0,4}")),
        ) {
            proptest::prop_assume!(one != other);
            // A path holds no question mark; what follows the first is the query.
            proptest::prop_assume!(!one.1.contains('?') && !other.1.contains('?'));
            let of = |(host, path, query): &(String, String, Option<String>)| {
                bytes(url(host, path, query.as_deref()), &CacheKey::default())
            };
            proptest::prop_assert_ne!(of(&one), of(&other));
        }
    }
}
