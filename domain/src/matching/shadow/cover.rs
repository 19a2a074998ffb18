//! Whether one rule takes everything that another takes, read from their criteria: each criterion of
//! the one must be there in the other, and each of the other's alternatives must be covered by one of
//! the one's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::content::{Criteria, PathPattern, ValuePattern};
use crate::matching::literals::{KnownLiterals, Start};
use crate::matching::pattern::Patterns;
use crate::matching::predicate::{is_below, is_host};
use crate::model::IpRange;

/// How many regular expressions are compiled to see whether they take a text that another rule
/// asks for: some milliseconds of work.
const COMPILED_MAX: usize = 100;

type Values = BTreeMap<String, Vec<ValuePattern>>;

/// Compares rules, as long as there is time.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    known: &'a KnownLiterals<'a>,
    patterns: Patterns,
    /// How many comparisons are left.
    left: u64,
}

impl<'a> Judge<'a> {
    pub(super) fn new(known: &'a KnownLiterals<'a>, comparisons: u64) -> Self {
        Self {
            known,
            patterns: Patterns::default(),
            left: comparisons,
        }
    }

    /// Whether there are no comparisons left. What was said since may be a `false` too many.
    pub(super) fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// Whether `rule` takes every request that `other` takes, as far as can be told.
    pub(super) fn covers(&mut self, rule: &Criteria, other: &Criteria) -> bool {
        rule == other
            || (self.every(&rule.method, &other.method, |_, one, two| one == two)
                && self.every(&rule.region, &other.region, |_, one, two| one == two)
                && self.every(&rule.host, &other.host, |_, one, two| {
                    one == two || is_host(two, one)
                })
                && (all_addresses(&rule.ip_cidr)
                    || self.every(&rule.ip_cidr, &other.ip_cidr, |_, one, two| one.covers(two)))
                && (all_paths(&rule.path) || self.every(&rule.path, &other.path, Self::path))
                && self.values(&rule.header, &other.header)
                && self.values(&rule.query, &other.query))
    }

    /// Whether each of `others` is covered by one of `ones`; no alternatives are all there are.
    fn every<T>(
        &mut self,
        ones: &[T],
        others: &[T],
        covers: impl Fn(&mut Self, &T, &T) -> bool,
    ) -> bool {
        if ones.is_empty() {
            return true;
        }
        !others.is_empty()
            && others.iter().all(|other| {
                ones.iter().any(|one| {
                    self.left = self.left.saturating_sub(1);
                    covers(self, one, other)
                })
            })
    }

    fn path(&mut self, one: &PathPattern, other: &PathPattern) -> bool {
        match (one, other) {
            (PathPattern::Prefix(prefix), PathPattern::Exact(path) | PathPattern::Prefix(path)) => {
                is_below(path, prefix)
            }
            (PathPattern::Prefix(prefix), PathPattern::Regex(regex)) => {
                self.starts(regex, |start| is_below_all(start, prefix.as_bytes()))
            }
            (PathPattern::Regex(regex), PathPattern::Exact(path)) => self.takes(regex, path),
            _ => one == other,
        }
    }

    fn values(&mut self, ones: &Values, others: &Values) -> bool {
        ones.iter().all(|(name, ones)| {
            let anything = [true, false]
                .iter()
                .all(|present| ones.contains(&ValuePattern::Present(*present)));
            let others = others.get(name).map(Vec::as_slice).unwrap_or_default();
            anything || self.every(ones, others, Self::value)
        })
    }

    fn value(&mut self, one: &ValuePattern, other: &ValuePattern) -> bool {
        match (one, other) {
            (ValuePattern::Present(true), other) => *other != ValuePattern::Present(false),
            (
                ValuePattern::Prefix(one),
                ValuePattern::Exact(other) | ValuePattern::Prefix(other),
            ) => other.starts_with(one.as_str()),
            (ValuePattern::Prefix(prefix), ValuePattern::Regex(regex)) => {
                self.starts(regex, |start| start.bytes.starts_with(prefix.as_bytes()))
            }
            (ValuePattern::Regex(regex), ValuePattern::Exact(value)) => self.takes(regex, value),
            _ => one == other,
        }
    }

    /// Whether this is true of everything that the expression's texts begin with.
    fn starts(&self, regex: &str, is_true: impl Fn(&Start) -> bool) -> bool {
        let starts = self.known.starts(regex);
        !starts.is_empty() && starts.iter().all(is_true)
    }

    /// Whether an expression takes a text; no, if too many were compiled before.
    fn takes(&mut self, regex: &str, text: &str) -> bool {
        if self.patterns.get(regex).is_none() && self.patterns.len() >= COMPILED_MAX {
            return false;
        }
        self.patterns
            .compile(regex)
            .is_ok_and(|pattern| pattern.is_match(text.as_bytes()))
    }
}

/// Whether whatever begins like this is below a prefix.
fn is_below_all(start: &Start, prefix: &[u8]) -> bool {
    start.bytes.strip_prefix(prefix).is_some_and(|rest| {
        rest.starts_with(b"/") || prefix.ends_with(b"/") || (rest.is_empty() && start.whole)
    })
}

/// Every path that is served begins with a slash.
fn all_paths(patterns: &[PathPattern]) -> bool {
    patterns.contains(&PathPattern::Prefix("/".to_owned()))
}

fn all_addresses(ranges: &[IpRange]) -> bool {
    let all = |v4: bool| {
        let mut ranges = ranges.iter();
        ranges.any(|range| range.prefix() == 0 && matches!(range.first(), IpAddr::V4(_)) == v4)
    };
    all(true) && all(false)
}
