//! A request that a rule would take: of each criterion the first alternative, and of a regular
//! expression a text that it takes. Where that is guessed wrong, a rule that covers the other one is
//! overlooked; nothing false is said.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use crate::content::{Criteria, PathPattern, ValuePattern};
use crate::matching::literals::KnownLiterals;
use crate::matching::request::Request;

/// A made-up request.
#[derive(Debug)]
pub(super) struct Witness {
    method: String,
    host: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    client: IpAddr,
    region: String,
}

impl Witness {
    /// A request for the rule with these criteria.
    pub(super) fn of(criteria: &Criteria, known: &KnownLiterals<'_>) -> Self {
        let first = |texts: &[String]| texts.first().cloned().unwrap_or_default();
        let values = criteria.header.iter();
        let headers = values
            .filter_map(|(name, patterns)| Some((name.clone(), value(patterns.first()?, known)?)));
        Self {
            method: first(&criteria.method),
            host: first(&criteria.host).replacen('*', "any", 1),
            path: criteria
                .path
                .first()
                .map_or_else(|| "/".to_owned(), |pattern| path(pattern, known)),
            query: query(criteria, known),
            headers: headers.collect(),
            client: criteria
                .ip_cidr
                .first()
                .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |range| range.first()),
            region: first(&criteria.region),
        }
    }

    /// It, as rules look at it.
    pub(super) fn request(&self) -> Request<'_, [(String, String)]> {
        Request {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            client: self.client,
            region: &self.region,
        }
    }
}

fn path(pattern: &PathPattern, known: &KnownLiterals<'_>) -> String {
    match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        PathPattern::Regex(regex) => {
            let sample = known.sample(regex);
            // Nothing else is served; an expression that begins with anything takes it as well.
            let slash = if sample.starts_with('/') { "" } else { "/" };
            format!("{slash}{sample}")
        }
    }
}

/// A value that a pattern takes; none where it asks for absence.
fn value(pattern: &ValuePattern, known: &KnownLiterals<'_>) -> Option<String> {
    match pattern {
        ValuePattern::Exact(value) | ValuePattern::Prefix(value) => Some(value.clone()),
        ValuePattern::Regex(regex) => Some(known.sample(regex)),
        ValuePattern::Present(true) => Some(String::new()),
        ValuePattern::Present(false) => None,
    }
}

fn query(criteria: &Criteria, known: &KnownLiterals<'_>) -> String {
    let mut query = String::new();
    for (name, patterns) in &criteria.query {
        if let Some(value) = patterns.first().and_then(|pattern| value(pattern, known)) {
            escape(name, &mut query);
            query.push('=');
            escape(&value, &mut query);
            query.push('&');
        }
    }
    query
}

fn escape(text: &str, query: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            query.push(char::from(byte));
        } else {
            write!(query, "%{byte:02x}").expect("a string takes every text");
        }
    }
}
