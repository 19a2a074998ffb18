//! Made-up rules and requests over few words, so that much of it meets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::content::{Criteria, PathPattern, ValuePattern};
use crate::matching::request::Request;
use crate::model::IpRange;

pub(in crate::matching) type Line = (&'static str, &'static str);

/// A request that owns its parts.
#[derive(Clone, Debug)]
pub(in crate::matching) struct Sent {
    pub(super) method: &'static str,
    pub(super) host: &'static str,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<Line>,
    pub(super) client: IpAddr,
    pub(super) region: &'static str,
}

impl Sent {
    pub(in crate::matching) fn request(&self) -> Request<'_, [Line]> {
        Request {
            method: self.method,
            host: self.host,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            client: self.client,
            region: self.region,
        }
    }

    /// A plain request for a path.
    pub(super) fn of(path: &str) -> Self {
        Self {
            method: "GET",
            host: "a.example.net",
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            client: IpAddr::from([192, 0, 2, 1]),
            region: "eu",
        }
    }
}

const PATHS: [&str; 12] = [
    "/", "/a", "/aa", "/a/", "/a/b", "/ab", "/x/b", "/y/b/", "//a", "/a/b/c", "/abc", "/v1/abc",
];
const REGEXES: [&str; 10] = [
    "/a+",
    "/.*",
    "/(x|y)/b",
    "/abc",
    ".*abc",
    "/v[0-9]/abc",
    "(?i)/A.*",
    "/a(b|b/c)?",
    "[^/]*",
    "1|10|a b",
];
const METHODS: [&str; 3] = ["GET", "POST", "get"];
const HOSTS: [&str; 4] = ["a.example.net", "b.example.net", "example.net", "net"];
const HOST_PATTERNS: [&str; 4] = ["*.example.net", "*.net", "a.example.net", "net"];
const NAMES: [&str; 3] = ["x-a", "x-b", "long-name"];
const VALUES: [&str; 6] = ["", "/a", "/aa", "1", "10", "a b"];
const QUERIES: [&str; 9] = [
    "x-a",
    "x-a=1",
    "x-a=10&x-b=/a",
    "%78-a=%31",
    "x-b=a+b",
    "x-b=a%20b&x-b=1",
    "&&",
    "long-name=%2Faa&x-a",
    "x-c=1",
];
const NETWORKS: [&str; 6] = [
    "0.0.0.0/0",
    "192.0.2.0/24",
    "192.0.2.1/32",
    "192.0.0.0/16",
    "::/0",
    "2001:db8::/32",
];
const CLIENTS: [&str; 4] = ["192.0.2.1", "192.0.3.1", "2001:db8::1", "::ffff:192.0.2.9"];

fn texts(of: &'static [&'static str], max: usize) -> impl Strategy<Value = Vec<String>> {
    subsequence(of, 0..=max).prop_map(|texts| texts.into_iter().map(str::to_owned).collect())
}

fn path_pattern() -> impl Strategy<Value = PathPattern> {
    prop_oneof![
        select(&PATHS[..]).prop_map(|path| PathPattern::Exact(path.to_owned())),
        select(&PATHS[..]).prop_map(|path| PathPattern::Prefix(path.to_owned())),
        select(&REGEXES[..]).prop_map(|regex| PathPattern::Regex(regex.to_owned())),
    ]
}

fn value_pattern() -> impl Strategy<Value = ValuePattern> {
    prop_oneof![
        select(&VALUES[..]).prop_map(|value| ValuePattern::Exact(value.to_owned())),
        select(&VALUES[1..]).prop_map(|value| ValuePattern::Prefix(value.to_owned())),
        select(&REGEXES[..]).prop_map(|regex| ValuePattern::Regex(regex.to_owned())),
        any::<bool>().prop_map(ValuePattern::Present),
    ]
}

fn values() -> impl Strategy<Value = BTreeMap<String, Vec<ValuePattern>>> {
    let name = select(&NAMES[..]).prop_map(str::to_owned);
    prop_oneof![
        2 => Just(BTreeMap::new()),
        1 => btree_map(name, vec(value_pattern(), 1..3), 0..=2),
    ]
}

pub(in crate::matching) fn criteria() -> impl Strategy<Value = Criteria> {
    let network = select(&NETWORKS[..]).prop_map(|text| IpRange::parse(text).unwrap());
    (
        vec(path_pattern(), 0..3),
        texts(&METHODS, 2),
        texts(&["eu", "us"], 2),
        values(),
        values(),
        texts(&HOST_PATTERNS, 1),
        vec(network, 0..2),
    )
        .prop_map(
            |(path, method, region, header, query, host, ip_cidr)| Criteria {
                path,
                method,
                region,
                header,
                query,
                host,
                ip_cidr,
            },
        )
}

pub(in crate::matching) fn sent() -> impl Strategy<Value = Sent> {
    (
        select(&METHODS[..]),
        select(&HOSTS[..]),
        select(&PATHS[..]),
        select(&QUERIES[..]),
        vec((select(&NAMES[..]), select(&VALUES[..])), 0..4),
        select(&CLIENTS[..]),
        select(&["eu", "us", "ap"][..]),
    )
        .prop_map(
            |(method, host, path, query, headers, client, region)| Sent {
                method,
                host,
                path: path.to_owned(),
                query: query.to_owned(),
                headers,
                client: client.parse().unwrap(),
                region,
            },
        )
}
