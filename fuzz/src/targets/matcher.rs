//! Which rule takes a request: the index against trying all rules one by one. The input chooses rules and
//! requests from few words, so that much of it meets, and from words of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use domain::content::{Action, Criteria, PathPattern, RuleContent, ValuePattern};
use domain::id::{RuleId, Seed};
use domain::matching::{
    CompiledCriteria, CompiledRoute, Request, Shadows, check_path, check_query,
};
use domain::model::{IpRange, Metadata, Priority};

use super::rule::route;
use crate::Seen;
use crate::choices::Choices;
use crate::seen::size;

const PATHS: [&str; 10] = [
    "/", "/a", "/a/b", "/ab", "/a/", "/abc", "/v1/abc", "//a", "/x/%61", "/a/b/c",
];
const REGEXES: [&str; 10] = [
    "/a+",
    "/.*",
    "/(x|y)/b",
    ".*abc",
    "/v[0-9]/abc",
    "(?i)/A.*",
    "/a(b|b/c)?",
    "[^/]*",
    "1|10|a b",
    "(?s).*",
];
const VALUES: [&str; 7] = ["", "/a", "1", "10", "a b", "abc", "\u{e4}"];
const NAMES: [&str; 3] = ["x-a", "x-b", "long-name"];
const METHODS: [&str; 3] = ["GET", "POST", "PURGE"];
const REGIONS: [&str; 3] = ["eu", "us", "ap"];
const HOSTS: [&str; 5] = [
    "a.example.net",
    "b.example.net",
    "example.net",
    "net",
    "x.a.example.net",
];
const HOST_PATTERNS: [&str; 5] = [
    "*.example.net",
    "*.net",
    "a.example.net",
    "net",
    "*.a.example.net",
];
const QUERIES: [&str; 7] = [
    "",
    "x-a=1",
    "x-a=%31&x-b",
    "x-b=a+b",
    "&&=",
    "x-a",
    "x-a=1&x-a=10",
];
const NETWORKS: [&str; 6] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "::ffff:10.0.0.0/104",
];
const CLIENTS: [&str; 5] = [
    "10.1.2.3",
    "192.0.2.1",
    "::ffff:10.1.2.3",
    "2001:db8::1",
    "::1",
];

/// Twice as many as are tried without an index, and some.
const RULES_MAX: usize = 40;

pub(super) fn run(input: &[u8]) -> Seen {
    let mut choices = Choices::of(input);
    let count = choices.below(RULES_MAX) + 1;
    let criteria: Vec<_> = (0..count)
        .map(|_| criteria(&mut choices))
        .filter(|criteria| CompiledCriteria::compile(criteria).is_ok())
        .collect();
    let asked: Vec<_> = criteria.iter().collect();
    let shadows = Shadows::of(&asked);
    let rules = (0_u64..)
        .zip(&criteria)
        .map(|(place, criteria)| rule(place, criteria));
    let route = CompiledRoute::compile(route("*.example.net", 0), rules.collect(), Vec::new())
        .expect("each of the rules compiles");
    let mut places = Vec::new();
    for _ in 0..4 {
        if let Some(place) = ask(&route, &mut choices) {
            let covered = shadows.covered_by.get(place).copied().flatten();
            assert_eq!(
                covered, None,
                "rule {place} took a request, and is said never to"
            );
            places.push(place);
        }
    }
    let covered = shadows.covered_by.iter().flatten().count();
    Seen::of((size(criteria.len()), size(covered), places))
}

/// The place of the rule that takes a request of the input's choice.
fn ask(route: &CompiledRoute, choices: &mut Choices<'_>) -> Option<usize> {
    let path = word(choices, &PATHS);
    let query = word(choices, &QUERIES);
    let headers: Vec<(String, String)> = (0..choices.below(4))
        .map(|_| (choices.one(&NAMES).to_owned(), word(choices, &VALUES)))
        .collect();
    let client: IpAddr = choices.one(&CLIENTS).parse().expect("an address");
    let request = Request {
        method: choices.one(&METHODS),
        host: choices.one(&HOSTS),
        path: &path,
        query: &query,
        headers: headers.as_slice(),
        client,
        region: choices.one(&REGIONS),
    };
    // Edges ask for nothing else.
    if check_path(&path).is_err() || check_query(&query).is_err() {
        return None;
    }
    let found = route.find(&request).map(|(place, _)| place);
    let scanned = route.scan(&request).map(|(place, _)| place);
    assert_eq!(found, scanned, "of {request:?}");
    found
}

/// One of the words, or one that the input has.
fn word(choices: &mut Choices<'_>, words: &[&str]) -> String {
    match choices.below(8) {
        0 => format!("{}{}", choices.one(words), choices.text()),
        _ => choices.one(words).to_owned(),
    }
}

fn criteria(choices: &mut Choices<'_>) -> Criteria {
    // Most rules ask for few things.
    let asks = choices.byte() & choices.byte();
    let mut asks = (0..7).map(|bit| asks >> bit & 1 == 1);
    let mut next = || asks.next().unwrap_or_default();
    let mut criteria = Criteria::default();
    if next() {
        criteria.path = several(choices, path);
    }
    if next() {
        criteria.method = several(choices, |choices| choices.one(&METHODS).to_owned());
    }
    if next() {
        criteria.region = several(choices, |choices| choices.one(&REGIONS).to_owned());
    }
    if next() {
        criteria.header = named(choices);
    }
    if next() {
        criteria.query = named(choices);
    }
    if next() {
        criteria.host = several(choices, |choices| choices.one(&HOST_PATTERNS).to_owned());
    }
    if next() {
        let network = |choices: &mut Choices<'_>| IpRange::parse(choices.one(&NETWORKS));
        criteria.ip_cidr = several(choices, network).into_iter().flatten().collect();
    }
    criteria
}

fn several<T: Ord>(choices: &mut Choices<'_>, one: impl Fn(&mut Choices<'_>) -> T) -> Vec<T> {
    let mut all: Vec<_> = (0..=choices.below(3)).map(|_| one(choices)).collect();
    all.sort();
    all.dedup();
    all
}

fn named(choices: &mut Choices<'_>) -> BTreeMap<String, Vec<ValuePattern>> {
    (0..=choices.below(2))
        .map(|_| (choices.one(&NAMES).to_owned(), several(choices, value)))
        .collect()
}

fn path(choices: &mut Choices<'_>) -> PathPattern {
    match choices.below(3) {
        0 => PathPattern::Exact(word(choices, &PATHS)),
        1 => PathPattern::Prefix(word(choices, &PATHS)),
        _ => PathPattern::Regex(word(choices, &REGEXES)),
    }
}

fn value(choices: &mut Choices<'_>) -> ValuePattern {
    match choices.below(4) {
        0 => ValuePattern::Exact(word(choices, &VALUES)),
        1 => ValuePattern::Prefix(word(choices, &VALUES)),
        2 => ValuePattern::Regex(word(choices, &REGEXES)),
        _ => ValuePattern::Present(choices.below(2) == 1),
    }
}

fn rule(place: u64, criteria: &Criteria) -> RuleContent {
    RuleContent {
        id: RuleId::new(Seed {
            unix_ms: 1,
            random: place,
        }),
        priority: Priority(u32::try_from(place).unwrap_or(u32::MAX)),
        name: String::new(),
        criteria: criteria.clone(),
        action: Action::FixedResponse {
            status: 204,
            headers: BTreeMap::new(),
            body: String::new(),
        },
        metadata: Metadata::default(),
    }
}
