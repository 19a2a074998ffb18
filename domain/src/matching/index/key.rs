//! What a rule can be filed under: for each alternative of each of its criteria, something that is
//! true of every request that fulfils it, and that a table can tell of a request.

use super::super::literals::KnownLiterals;
use crate::content::{Criteria, PathPattern, ValuePattern};
use crate::model::IpRange;

/// Something that is true of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    /// This is its path.
    Path(&'a [u8]),
    /// Its path is this one or below it.
    PathBelow(&'a [u8]),
    /// Its path begins like this, within a segment or not.
    PathStart(&'a [u8]),
    /// This is somewhere in its path.
    PathPart(&'a [u8]),
    /// There is such a value.
    Value(Source, &'a str, &'a [u8]),
    /// There is a value that begins like this.
    ValueStart(Source, &'a str, &'a [u8]),
    /// There is a value with this in it.
    ValuePart(Source, &'a str, &'a [u8]),
    /// There is a value of this name.
    Present(Source, &'a str),
    /// This is its method.
    Method(&'a str),
    /// This is the region of the edge.
    Region(&'a str),
    /// This is the host.
    Host(&'a str),
    /// The host is one label below this.
    HostBelow(&'a str),
    /// The client is in this network.
    Network(IpRange),
}

/// Where values with names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Header,
    Query,
}

/// One criterion of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) enum Criterion<'a> {
    Path(&'a [PathPattern]),
    Values(Source, &'a str, &'a [ValuePattern]),
    Host(&'a [String]),
    Network(&'a [IpRange]),
    Method(&'a [String]),
    Region(&'a [String]),
}

/// How one alternative of a criterion can be told of a request: by one of `any`, or by each of
/// `parts` for itself. It cannot be told where both are empty.
#[derive(Debug, Default)]
pub(super) struct Ways<'a> {
    pub(super) any: Vec<Key<'a>>,
    pub(super) parts: Vec<Key<'a>>,
}

impl<'a> Criterion<'a> {
    /// The criteria of a rule; where two are as good, the one that comes first is the cheaper one to
    /// ask for.
    pub(super) fn all(criteria: &'a Criteria) -> impl Iterator<Item = Self> {
        let named = |source| {
            move |(name, values): (&'a String, &'a Vec<ValuePattern>)| {
                Self::Values(source, name, values)
            }
        };
        let plain = [
            Self::Path(&criteria.path),
            Self::Host(&criteria.host),
            Self::Network(&criteria.ip_cidr),
            Self::Method(&criteria.method),
            Self::Region(&criteria.region),
        ];
        plain
            .into_iter()
            .filter(|criterion| criterion.len() > 0)
            .chain(criteria.header.iter().map(named(Source::Header)))
            .chain(criteria.query.iter().map(named(Source::Query)))
    }

    /// How many alternatives there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Path(patterns) => patterns.len(),
            Self::Values(_, _, patterns) => patterns.len(),
            Self::Network(networks) => networks.len(),
            Self::Host(texts) | Self::Method(texts) | Self::Region(texts) => texts.len(),
        }
    }

    /// Writes into `ways`, which is empty, how an alternative can be told.
    pub(super) fn ways(&self, at: usize, known: &'a KnownLiterals<'a>, ways: &mut Ways<'a>) {
        match *self {
            Self::Path(patterns) => path_ways(&patterns[at], known, ways),
            Self::Values(source, name, patterns) => {
                value_ways(source, name, &patterns[at], known, ways);
            }
            Self::Host(hosts) => ways.any.push(match hosts[at].strip_prefix("*.") {
                Some(domain) => Key::HostBelow(domain),
                None => Key::Host(&hosts[at]),
            }),
            Self::Network(networks) => ways.any.push(Key::Network(networks[at])),
            Self::Method(methods) => ways.any.push(Key::Method(&methods[at])),
            Self::Region(regions) => ways.any.push(Key::Region(&regions[at])),
        }
    }
}

impl Key<'_> {
    /// Whether a path is all that it tells, and tells as rules mean it.
    pub(super) fn is_of_path(&self) -> bool {
        matches!(self, Self::Path(_) | Self::PathBelow(_))
    }

    /// How much an automaton must hold for it.
    pub(super) fn part_bytes(&self) -> usize {
        match self {
            Self::PathPart(part) | Self::ValuePart(_, _, part) => part.len(),
            _ => 0,
        }
    }
}

impl Ways<'_> {
    pub(super) fn clear(&mut self) {
        self.any.clear();
        self.parts.clear();
    }
}

fn path_ways<'a>(pattern: &'a PathPattern, known: &'a KnownLiterals<'a>, ways: &mut Ways<'a>) {
    match pattern {
        PathPattern::Exact(path) => ways.any.push(Key::Path(path.as_bytes())),
        PathPattern::Prefix(prefix) => ways.any.push(Key::PathBelow(prefix.as_bytes())),
        PathPattern::Regex(regex) => {
            ways.any.extend(known.starts(regex).iter().map(|start| {
                if start.whole {
                    Key::Path(&start.bytes)
                } else {
                    Key::PathStart(&start.bytes)
                }
            }));
            ways.parts
                .extend(known.parts(regex).iter().map(|part| Key::PathPart(part)));
        }
    }
}

fn value_ways<'a>(
    source: Source,
    name: &'a str,
    pattern: &'a ValuePattern,
    known: &'a KnownLiterals<'a>,
    ways: &mut Ways<'a>,
) {
    match pattern {
        ValuePattern::Exact(value) => ways.any.push(Key::Value(source, name, value.as_bytes())),
        ValuePattern::Prefix(prefix) => {
            ways.any
                .push(Key::ValueStart(source, name, prefix.as_bytes()));
        }
        ValuePattern::Present(true) => ways.any.push(Key::Present(source, name)),
        // No table tells what is not there.
        ValuePattern::Present(false) => {}
        ValuePattern::Regex(regex) => {
            let starts = known.starts(regex);
            if starts.is_empty() {
                ways.any.push(Key::Present(source, name));
            }
            ways.any.extend(starts.iter().map(|start| {
                if start.whole {
                    Key::Value(source, name, &start.bytes)
                } else {
                    Key::ValueStart(source, name, &start.bytes)
                }
            }));
            let parts = known.parts(regex).iter();
            ways.parts
                .extend(parts.map(|part| Key::ValuePart(source, name, part)));
        }
    }
}
