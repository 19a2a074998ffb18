//! A rule's criteria, ready to be tried: every criterion that is present must hold, each by any of
//! its alternatives. Trying rules one by one is what matching means; [`super::index`] finds the
//! same rule faster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::pattern::{PATTERNS_PER_RULE_MAX, Pattern, PatternError, Patterns};
use super::query::QueryPair;
use super::request::{Headers, Request};
use crate::content::{Criteria, PathPattern, ValuePattern};
use crate::model::IpRange;

/// Criteria, compiled.
#[derive(Clone, Debug, Default)]
pub struct CompiledCriteria {
    method: Words,
    region: Words,
    host: Words,
    client: Box<[IpRange]>,
    path: Box<[PathTest]>,
    header: Box<[NamedTest]>,
    query: Box<[NamedTest]>,
}

/// Alternatives, of which many rules have the same.
type Words = Arc<[Box<str>]>;

/// The lists of words that rules have, each once: of a hundred thousand rules most ask for the same few
/// methods and regions, which then are in the processor's caches when the next rule is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedWords(HashMap<Box<[String]>, Words, foldhash::fast::FixedState>);

impl SharedWords {
    fn share(&mut self, words: &[String]) -> Words {
        if let Some(known) = self.0.get(words) {
            return Arc::clone(known);
        }
        let shared: Words = words.iter().map(|word| word.as_str().into()).collect();
        self.0.insert(words.into(), Arc::clone(&shared));
        shared
    }
}

#[derive(Clone, Debug)]
enum PathTest {
    Exact(Box<str>),
    Prefix(Box<str>),
    Regex(Pattern),
}

/// What a header's or a query parameter's value must be.
#[derive(Clone, Debug)]
struct NamedTest {
    name: Box<str>,
    /// Whether it also holds when there is nothing of that name.
    absent: bool,
    values: Box<[ValueTest]>,
}

#[derive(Clone, Debug)]
enum ValueTest {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    Regex(Pattern),
}

impl CompiledCriteria {
    /// Compiles criteria.
    ///
    /// # Errors
    /// When a pattern does not compile or is one too many, with that pattern.
    pub fn compile(criteria: &Criteria) -> Result<Self, (String, PatternError)> {
        Self::compile_with(criteria, &mut Patterns::default())
    }

    /// The same with patterns that other rules may have compiled before.
    ///
    /// # Errors
    /// When a pattern does not compile or is one too many, with that pattern.
    pub fn compile_with(
        criteria: &Criteria,
        patterns: &mut Patterns,
    ) -> Result<Self, (String, PatternError)> {
        Self::compile_sharing(criteria, patterns, &mut SharedWords::default())
    }

    /// The same with lists of words that other rules may have as well.
    pub(super) fn compile_sharing(
        criteria: &Criteria,
        patterns: &mut Patterns,
        words: &mut SharedWords,
    ) -> Result<Self, (String, PatternError)> {
        let mut compiler = Compiler { patterns, count: 0 };
        Ok(Self {
            method: words.share(&criteria.method),
            region: words.share(&criteria.region),
            host: words.share(&criteria.host),
            client: criteria.ip_cidr.as_slice().into(),
            path: criteria
                .path
                .iter()
                .map(|pattern| compiler.path(pattern))
                .collect::<Result<_, _>>()?,
            header: compiler.named(&criteria.header)?,
            query: compiler.named(&criteria.query)?,
        })
    }

    /// Whether they ask for anything in the query.
    #[must_use]
    pub fn look_at_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// Whether a request fulfils them.
    #[must_use]
    pub fn hold<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        any(&self.path, |test| test.holds(request.path)) && self.hold_beside_path(request)
    }

    /// Whether a request fulfils all but what they ask of its path.
    pub(super) fn hold_beside_path<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        includes(&self.method, request.method)
            && includes(&self.region, request.region)
            && any(&self.host, |host| is_host(request.host, host))
            && any(&self.client, |range| range.contains(request.client))
            && self
                .header
                .iter()
                .all(|test| test.holds_for_header(request.headers))
            && self
                .query
                .iter()
                .all(|test| test.holds_for_query(request.query))
    }
}

/// Whether one of the alternatives holds, or there are none to choose from.
fn any<T>(alternatives: &[T], holds: impl Fn(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(holds)
}

fn includes(alternatives: &[Box<str>], text: &str) -> bool {
    any(alternatives, |alternative| **alternative == *text)
}

/// A leading `*.` stands for exactly one label.
pub(super) fn is_host(host: &str, pattern: &str) -> bool {
    let Some(domain) = pattern.strip_prefix("*.") else {
        return host == pattern;
    };
    host.split_once('.')
        .is_some_and(|(label, rest)| !label.is_empty() && rest == domain)
}

/// Whether there is a host that both patterns mean; each is a hostname, perhaps with one leading
/// `*.` label.
#[must_use]
pub fn hosts_meet(one: &str, other: &str) -> bool {
    one == other || is_host(one, other) || is_host(other, one)
}

impl PathTest {
    fn holds(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => is_below(path, prefix),
            Self::Regex(pattern) => pattern.is_match(path.as_bytes()),
        }
    }
}

/// A prefix ends at a segment boundary: `/api` takes `/api` and `/api/x`, not `/apix`; `/api/`
/// takes what is below `/api`, not `/api` itself.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/') || prefix.is_empty()
    })
}

impl NamedTest {
    fn holds_for_header<H: Headers + ?Sized>(&self, headers: &H) -> bool {
        let mut present = false;
        let matched = headers.any(&self.name, &mut |value| {
            present = true;
            self.values.iter().any(|test| test.holds(value))
        });
        matched || (self.absent && !present)
    }

    fn holds_for_query(&self, query: &str) -> bool {
        let name = self.name.as_bytes();
        let mut present = false;
        let matched = QueryPair::all(query).any(|pair| {
            pair.name.is(name) && {
                present = true;
                self.values.iter().any(|test| test.holds_for(&pair))
            }
        });
        matched || (self.absent && !present)
    }
}

impl ValueTest {
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.as_bytes() == value,
            Self::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            Self::Regex(pattern) => pattern.is_match(value),
        }
    }

    fn holds_for(&self, pair: &QueryPair<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => pair.value.is(exact.as_bytes()),
            Self::Prefix(prefix) => pair.value.starts_with(prefix.as_bytes()),
            Self::Regex(pattern) => pair.value.with(|value| pattern.is_match(value)),
        }
    }
}

/// Counts a rule's patterns while it compiles them.
struct Compiler<'a> {
    patterns: &'a mut Patterns,
    count: usize,
}

impl Compiler<'_> {
    fn pattern(&mut self, text: &str) -> Result<Pattern, (String, PatternError)> {
        self.count += 1;
        if self.count > PATTERNS_PER_RULE_MAX {
            return Err((text.to_owned(), PatternError::TooMany));
        }
        self.patterns
            .compile(text)
            .map_err(|error| (text.to_owned(), error))
    }

    fn path(&mut self, pattern: &PathPattern) -> Result<PathTest, (String, PatternError)> {
        Ok(match pattern {
            PathPattern::Exact(path) => PathTest::Exact(path.as_str().into()),
            PathPattern::Prefix(prefix) => PathTest::Prefix(prefix.as_str().into()),
            PathPattern::Regex(regex) => PathTest::Regex(self.pattern(regex)?),
        })
    }

    fn named(
        &mut self,
        named: &BTreeMap<String, Vec<ValuePattern>>,
    ) -> Result<Box<[NamedTest]>, (String, PatternError)> {
        named
            .iter()
            .map(|(name, patterns)| {
                let absent = patterns.contains(&ValuePattern::Present(false));
                let values = patterns
                    .iter()
                    .filter_map(|pattern| self.value(pattern).transpose())
                    .collect::<Result<_, _>>()?;
                Ok(NamedTest {
                    name: name.as_str().into(),
                    absent,
                    values,
                })
            })
            .collect()
    }

    /// The test of a value that is there; none where only absence is asked for.
    fn value(
        &mut self,
        pattern: &ValuePattern,
    ) -> Result<Option<ValueTest>, (String, PatternError)> {
        Ok(match pattern {
            ValuePattern::Present(false) => None,
            ValuePattern::Present(true) => Some(ValueTest::Any),
            ValuePattern::Exact(value) => Some(ValueTest::Exact(value.as_str().into())),
            ValuePattern::Prefix(prefix) => Some(ValueTest::Prefix(prefix.as_str().into())),
            ValuePattern::Regex(regex) => Some(ValueTest::Regex(self.pattern(regex)?)),
        })
    }
}

#[cfg(test)]
mod tests;
