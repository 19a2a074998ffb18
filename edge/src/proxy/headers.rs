//! Header fields between two connections: what belongs to one of them stays there (RFC 9110,
//! section 7.6.1), and the origin is told whom it serves (`X-Forwarded-*`, RFC 7239, `Via`).

use std::rc::Rc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, Entry, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};

use super::client::Client;
use crate::http1::write_field;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// CGI programs take it for the address of a proxy to use (<https://httpoxy.org>).
const PROXY: HeaderName = HeaderName::from_static("proxy");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields that mean the connection they came on.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HTTP2_SETTINGS,
];

/// What of a message's fields an edge has to do with. Messages have few fields and mostly none or one of
/// these: looking at all of them once is less than looking for each of these.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// By places in [`HOP_BY_HOP`].
    hop_by_hop: u16,
    via: bool,
    /// Any of those that tell of the client.
    told: bool,
    proxy: bool,
    expect: bool,
    has_length: bool,
    /// Whether the length is not said once.
    lengths_differ: bool,
}

impl Seen {
    fn of(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for (name, value) in headers {
            seen.note(name, value);
        }
        seen
    }

    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            VIA => self.via = true,
            FORWARDED => self.told = true,
            EXPECT => self.expect = true,
            CONTENT_LENGTH => {
                self.lengths_differ |= self.has_length || value.as_bytes().contains(&b',');
                self.has_length = true;
            }
            CONNECTION | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRANSFER_ENCODING
            | UPGRADE => self.note_hop_by_hop(name),
            // The others have names of their own, of these lengths.
            _ => match name.as_str().len() {
                5 => self.proxy |= *name == PROXY,
                10 | 14 => self.note_hop_by_hop(name),
                15 | 17 => {
                    self.told |= *name == X_FORWARDED_FOR || *name == X_FORWARDED_PROTO;
                }
                16 => {
                    self.told |= *name == X_FORWARDED_HOST;
                    self.note_hop_by_hop(name);
                }
                _ => {}
            },
        }
    }

    fn note_hop_by_hop(&mut self, name: &HeaderName) {
        if let Some(place) = HOP_BY_HOP.iter().position(|bound| bound == name) {
            self.hop_by_hop |= 1 << place;
        }
    }
}

/// Removes what belongs to the connection, also what its `Connection` field names.
pub(super) fn strip(headers: &mut HeaderMap) {
    let seen = Seen::of(headers);
    strip_seen(headers, seen);
}

fn strip_seen(headers: &mut HeaderMap, seen: Seen) {
    if seen.hop_by_hop == 0 {
        return;
    }
    // Beside a coding that frames the body, a length says nothing true; without the coding it
    // would be believed.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in nominated(headers) {
        headers.remove(name);
    }
    for (place, name) in HOP_BY_HOP.iter().enumerate() {
        if seen.hop_by_hop & 1 << place != 0 {
            headers.remove(name);
        }
    }
}

/// The fields that `Connection` names. `Host` is not one that a connection could keep to itself.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    names
        // What it mostly says names no field, or one that is removed anyway.
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive"))
        .filter(|name| !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| *name != HOST)
        .collect()
}

/// Whether the body is coded for the connection in no way that is not undone here: who reads bodies undoes
/// `chunked`, and nothing else would be undone by anyone.
pub(super) fn coding_is_known(headers: &HeaderMap) -> bool {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return true;
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Says the length once. Whoever read the head has checked that all say the same.
fn settle_length(headers: &mut HeaderMap) {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (Some(first), more) = (lengths.next(), lengths.next()) else {
        return;
    };
    if more.is_none() && !first.as_bytes().contains(&b',') {
        return;
    }
    let length = first
        .as_bytes()
        .split(|byte| *byte == b',')
        .next()
        .unwrap_or_default();
    if let Ok(length) = HeaderValue::from_bytes(length.trim_ascii()) {
        headers.insert(CONTENT_LENGTH, length);
    }
}

/// Whether the sender takes trailers.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    let Some(first) = headers.get(TE) else {
        return false;
    };
    let trailers = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    };
    trailers(first) || headers.get_all(TE).iter().any(trailers)
}

/// What a request to an origin is told of by: the client, the host that it asked for, and the edge.
#[derive(Clone, Copy)]
pub(super) struct Telling<'a> {
    pub(super) client: &'a Client,
    pub(super) host: &'a HeaderValue,
    pub(super) via: &'a HeaderValue,
}

/// Makes a request's fields those of the request to an origin, but for those that say whom it serves: whoever
/// writes the request writes the lines that are given. Nothing is given where the fields had to be put among
/// the others, because some of them are there already, or because `lines` are not wanted.
pub(super) fn for_origin(
    headers: &mut HeaderMap,
    telling: Telling<'_>,
    wants_lines: bool,
) -> Option<Rc<[u8]>> {
    let seen = Seen::of(headers);
    let trailers = seen.hop_by_hop != 0 && takes_trailers(headers);
    strip_seen(headers, seen);
    if seen.proxy {
        headers.remove(PROXY);
    }
    // The edge has the body sent when it is wanted; the origin need not ask for it again.
    if seen.expect {
        headers.remove(EXPECT);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    let Telling { client, host, via } = telling;
    // What `Connection` named is gone by now: what was seen is there at most.
    if wants_lines && !seen.told && !seen.via {
        return Some(client.lines(host, via));
    }
    append_to_list(headers, X_FORWARDED_FOR, client.address());
    headers.insert(X_FORWARDED_HOST, host.clone());
    headers.insert(X_FORWARDED_PROTO, client.scheme().clone());
    append_to_list(headers, FORWARDED, &client.forwarded(host));
    append_to_list(headers, VIA, via);
    None
}

/// The lines that say whom a request serves.
pub(super) fn lines(client: &Client, host: &HeaderValue, via: &HeaderValue) -> Rc<[u8]> {
    let forwarded = client.forwarded(host);
    let mut lines = Vec::new();
    for (name, value) in [
        (&X_FORWARDED_FOR, client.address()),
        (&X_FORWARDED_HOST, host),
        (&X_FORWARDED_PROTO, client.scheme()),
        (&FORWARDED, &forwarded),
        (&VIA, via),
    ] {
        write_field(&mut lines, name, value.as_bytes());
    }
    lines.into()
}

/// Makes a response's fields those of the response to a client.
pub(super) fn for_client(headers: &mut HeaderMap, via: &HeaderValue) {
    let seen = Seen::of(headers);
    strip_seen(headers, seen);
    if seen.lengths_differ {
        settle_length(headers);
    }
    if seen.via {
        append_to_list(headers, VIA, via);
    } else {
        headers.append(VIA, via.clone());
    }
}

/// Adds an element at the end of a list. Several lines become one, since some readers look at
/// the first line only.
fn append_to_list(headers: &mut HeaderMap, name: HeaderName, element: &HeaderValue) {
    let mut entry = match headers.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(element.clone());
            return;
        }
        Entry::Occupied(entry) => entry,
    };
    let mut list = Vec::new();
    for line in entry.iter().chain([element]) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(line.as_bytes());
    }
    // Values and separators are what values consist of.
    entry.insert(HeaderValue::from_bytes(&list).unwrap_or_else(|_| element.clone()));
}

/// Whether `Via` says that a request has been here, under the name that `via` ends with.
pub(super) fn was_here(headers: &HeaderMap, name: &str) -> bool {
    let Some(_) = headers.get(VIA) else {
        return false;
    };
    let mut elements = headers
        .get_all(VIA)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    elements.any(|element| {
        element.trim_ascii().split(u8::is_ascii_whitespace).nth(1) == Some(name.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::super::client::Scheme;
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn listed(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_belongs_to_the_connection_stays_there() {
        let mut fields = headers(&[
            ("connection", "close, X-Mine"),
            ("connection", " keep-alive ,x-also, host, ,\u{22}bad\u{22}"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAMAAABkAAQ"),
            ("x-mine", "1"),
            ("x-also", "2"),
            ("x-kept", "3"),
            ("host", "a"),
        ]);
        strip(&mut fields);
        assert_eq!(listed(&fields), ["host: a", "x-kept: 3"]);
    }

    #[test]
    fn a_body_is_framed_in_one_way() {
        for (fields, left, known) in [
            (
                &[("content-length", "5")][..],
                &["content-length: 5"][..],
                true,
            ),
            (
                &[("content-length", "5"), ("transfer-encoding", "Chunked ")],
                &[],
                true,
            ),
            (
                &[("content-length", "5"), ("content-length", "5")],
                &["content-length: 5"],
                true,
            ),
            (&[("content-length", "5, 5")], &["content-length: 5"], true),
            (&[("transfer-encoding", "gzip, chunked")], &[], false),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                &[],
                false,
            ),
            (&[("transfer-encoding", "identity")], &[], false),
        ] {
            let mut fields = headers(fields);
            assert_eq!(coding_is_known(&fields), known, "{fields:?}");
            for_client(&mut fields, &HeaderValue::from_static("1.1 edge-1"));
            fields.remove(VIA);
            assert_eq!(listed(&fields), left);
        }
    }

    #[test]
    fn trailers_are_taken_when_te_says_so() {
        for (values, takes) in [
            (&["trailers"][..], true),
            (&["gzip, Trailers;q=1"], false),
            (&["gzip ,trailers"], true),
            (&["gzip", "trailers"], true),
            (&[], false),
        ] {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(TE, HeaderValue::from_static(value));
            }
            assert_eq!(takes_trailers(&fields), takes, "{values:?}");
        }
    }

    #[test]
    fn the_origin_is_told_whom_it_serves() {
        let client = Client::new("192.0.2.7:1234".parse().unwrap(), Scheme::Http);
        let mut fields = headers(&[
            ("host", "api.example.net:8080"),
            ("te", "trailers"),
            ("proxy", "http://evil"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("via", "1.1 other"),
        ]);
        let host = fields["host"].clone();
        let telling = Telling {
            client: &client,
            host: &host,
            via: &HeaderValue::from_static("1.1 edge-1"),
        };
        assert_eq!(for_origin(&mut fields, telling, true), None);
        assert_eq!(
            listed(&fields),
            [
                "connection: te",
                "forwarded: for=192.0.2.7;host=\"api.example.net:8080\";proto=http",
                "host: api.example.net:8080",
                "te: trailers",
                "via: 1.1 other, 1.1 edge-1",
                "x-forwarded-for: 10.0.0.1, 10.0.0.2, 192.0.2.7",
                "x-forwarded-host: api.example.net:8080",
                "x-forwarded-proto: http",
            ]
        );
    }

    #[test]
    fn the_origin_is_told_the_same_by_lines() {
        let client = Client::new("192.0.2.7:1234".parse().unwrap(), Scheme::Http);
        let fields = headers(&[
            ("host", "api.example.net"),
            ("connection", "x-mine"),
            ("x-mine", "1"),
            ("expect", "100-continue"),
            ("proxy", "http://evil"),
        ]);
        let host = fields["host"].clone();
        let telling = Telling {
            client: &client,
            host: &host,
            via: &HeaderValue::from_static("1.1 edge-1"),
        };
        let mut with_lines = fields.clone();
        let lines = for_origin(&mut with_lines, telling, true).expect("lines");
        assert_eq!(listed(&with_lines), ["host: api.example.net"]);
        let mut without = fields.clone();
        assert_eq!(for_origin(&mut without, telling, false), None);
        without.remove(HOST);
        let text = String::from_utf8(lines.to_vec()).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, listed(&without));
        // They are the same as long as the host is.
        let again = for_origin(&mut fields.clone(), telling, true).expect("lines");
        assert_eq!(again.to_vec(), text.as_bytes());
        let other = HeaderValue::from_static("b");
        let other = Telling {
            host: &other,
            ..telling
        };
        let lines = for_origin(&mut fields.clone(), other, true).expect("lines");
        assert!(String::from_utf8_lossy(&lines).contains("x-forwarded-host: b\r\n"));
        for there in [
            "via",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
        ] {
            let mut fields = fields.clone();
            fields.insert(there, HeaderValue::from_static("x"));
            assert_eq!(for_origin(&mut fields, telling, true), None, "{there}");
        }
    }

    #[test]
    fn an_ipv6_client_is_quoted_in_forwarded_and_bare_elsewhere() {
        let client = Client::new("[2001:db8::7]:1234".parse().unwrap(), Scheme::Http);
        assert_eq!(client.address(), "2001:db8::7");
        assert_eq!(
            client.forwarded(&HeaderValue::from_static("a")),
            "for=\"[2001:db8::7]\";host=\"a\";proto=http"
        );
        let secure = Client::new("192.0.2.7:1".parse().unwrap(), Scheme::Https);
        assert_eq!(secure.scheme(), "https");
        assert_eq!(
            secure.forwarded(&HeaderValue::from_static("a")),
            "for=192.0.2.7;host=\"a\";proto=https"
        );
        let mapped = Client::new("[::ffff:192.0.2.7]:1".parse().unwrap(), Scheme::Http);
        assert_eq!(mapped.address(), "192.0.2.7");
    }

    #[test]
    fn a_request_that_was_here_is_known() {
        for (via, here) in [
            ("1.1 edge-1", true),
            ("1.1 other, 2.0 edge-1 (note)", true),
            ("1.1 edge-10", false),
            ("edge-1", false),
            ("1.1 other", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(VIA, HeaderValue::from_str(via).unwrap());
            assert_eq!(was_here(&fields, "edge-1"), here, "{via}");
        }
        assert!(!was_here(&HeaderMap::new(), "edge-1"));
    }
}
