//! A rule's criteria, ready to be tried: every criterion that is present must hold, each by any of
//! its alternatives.

use super::pattern::{PATTERNS_PER_RULE_MAX, Pattern, PatternError};
use crate::content::{Criteria, PathPattern, ValuePattern};

/// A request's header fields, as far as matching asks.
pub trait Headers {
    /// Whether `test` holds for any value of the field `name` (in lower case); each field line is
    /// one value, nothing is split at commas.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// For tests and tools: names in lower case, with values.
impl Headers for [(&str, &str)] {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter()
            .any(|(key, value)| *key == name && test(value.as_bytes()))
    }
}

/// What of a request rules look at.
#[derive(Debug)]
pub struct Request<'a, H: ?Sized> {
    /// The method, as sent: methods are case-sensitive.
    pub method: &'a str,
    /// The path as sent and as forwarded, without the query; see [`super::check_path`].
    pub path: &'a str,
    /// The header fields.
    pub headers: &'a H,
    /// The region of the edge that has the request.
    pub region: &'a str,
}

/// Criteria, compiled.
#[derive(Clone, Debug, Default)]
pub struct CompiledCriteria {
    method: Vec<Box<str>>,
    region: Vec<Box<str>>,
    path: Vec<PathTest>,
    header: Vec<HeaderTest>,
}

#[derive(Clone, Debug)]
enum PathTest {
    Exact(Box<str>),
    Prefix(Box<str>),
    Regex(Pattern),
}

#[derive(Clone, Debug)]
struct HeaderTest {
    name: Box<str>,
    /// Whether it also holds when the field is not there.
    absent: bool,
    values: Vec<ValueTest>,
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
        let mut compiler = Compiler { patterns: 0 };
        Ok(Self {
            method: boxed(&criteria.method),
            region: boxed(&criteria.region),
            path: criteria
                .path
                .iter()
                .map(|pattern| compiler.path(pattern))
                .collect::<Result<_, _>>()?,
            header: criteria
                .header
                .iter()
                .map(|(name, values)| compiler.header(name, values))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether a request fulfils them. What is cheap to ask is asked first.
    #[must_use]
    pub fn hold<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        includes(&self.method, request.method)
            && includes(&self.region, request.region)
            && (self.path.is_empty() || self.path.iter().any(|test| test.holds(request.path)))
            && self.header.iter().all(|test| test.holds(request.headers))
    }
}

fn boxed(texts: &[String]) -> Vec<Box<str>> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn includes(alternatives: &[Box<str>], text: &str) -> bool {
    alternatives.is_empty()
        || alternatives
            .iter()
            .any(|alternative| **alternative == *text)
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
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/') || prefix.is_empty()
    })
}

impl HeaderTest {
    fn holds<H: Headers + ?Sized>(&self, headers: &H) -> bool {
        let mut present = false;
        let matched = headers.any(&self.name, &mut |value| {
            present = true;
            self.values.iter().any(|test| test.holds(value))
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
}

/// Counts a rule's patterns while it compiles them.
struct Compiler {
    patterns: usize,
}

impl Compiler {
    fn pattern(&mut self, text: &str) -> Result<Pattern, (String, PatternError)> {
        self.patterns += 1;
        if self.patterns > PATTERNS_PER_RULE_MAX {
            return Err((text.to_owned(), PatternError::TooMany));
        }
        Pattern::compile(text).map_err(|error| (text.to_owned(), error))
    }

    fn path(&mut self, pattern: &PathPattern) -> Result<PathTest, (String, PatternError)> {
        Ok(match pattern {
            PathPattern::Exact(path) => PathTest::Exact(path.as_str().into()),
            PathPattern::Prefix(prefix) => PathTest::Prefix(prefix.as_str().into()),
            PathPattern::Regex(regex) => PathTest::Regex(self.pattern(regex)?),
        })
    }

    fn header(
        &mut self,
        name: &str,
        patterns: &[ValuePattern],
    ) -> Result<HeaderTest, (String, PatternError)> {
        let mut test = HeaderTest {
            name: name.into(),
            absent: false,
            values: Vec::with_capacity(patterns.len()),
        };
        for pattern in patterns {
            match pattern {
                ValuePattern::Present(false) => test.absent = true,
                ValuePattern::Present(true) => test.values.push(ValueTest::Any),
                ValuePattern::Exact(value) => {
                    test.values.push(ValueTest::Exact(value.as_str().into()))
                }
                ValuePattern::Prefix(prefix) => {
                    test.values.push(ValueTest::Prefix(prefix.as_str().into()))
                }
                ValuePattern::Regex(regex) => {
                    test.values.push(ValueTest::Regex(self.pattern(regex)?))
                }
            }
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const GET: (&str, &str) = ("GET", "/v1/items");

    fn holds(
        criteria: &Criteria,
        (method, path): (&str, &str),
        region: &str,
        headers: &[(&str, &str)],
    ) -> bool {
        CompiledCriteria::compile(criteria).unwrap().hold(&Request {
            method,
            path,
            headers,
            region,
        })
    }

    fn paths(patterns: &[PathPattern]) -> Criteria {
        Criteria {
            path: patterns.to_vec(),
            ..Criteria::default()
        }
    }

    fn header(name: &str, values: &[ValuePattern]) -> Criteria {
        Criteria {
            header: BTreeMap::from([(name.to_owned(), values.to_vec())]),
            ..Criteria::default()
        }
    }

    /// Contract: D-40.
    #[test]
    fn without_criteria_every_request_is_taken() {
        assert!(holds(&Criteria::default(), GET, "eu", &[]));
    }

    #[test]
    fn a_prefix_ends_at_a_segment_boundary() {
        for (prefix, path, taken) in [
            ("/api", "/api", true),
            ("/api", "/api/", true),
            ("/api", "/api/x", true),
            ("/api", "/apix", false),
            ("/api", "/ap", false),
            ("/api", "/API", false),
            ("/api/", "/api/", true),
            ("/api/", "/api/x", true),
            ("/api/", "/api", false),
            ("/", "/", true),
            ("/", "/anything/below", true),
            ("/a", "/%61", false),
        ] {
            let criteria = paths(&[PathPattern::Prefix(prefix.to_owned())]);
            assert_eq!(
                holds(&criteria, ("GET", path), "eu", &[]),
                taken,
                "{prefix} {path}"
            );
        }
    }

    /// Contract: R-02, D-40.
    #[test]
    fn alternatives_are_or_and_criteria_are_and() {
        let criteria = Criteria {
            path: vec![
                PathPattern::Exact("/a".to_owned()),
                PathPattern::Regex("/b[0-9]".to_owned()),
            ],
            method: vec!["GET".to_owned(), "HEAD".to_owned()],
            region: vec!["eu".to_owned()],
            header: BTreeMap::from([(
                "x-a".to_owned(),
                vec![
                    ValuePattern::Exact("1".to_owned()),
                    ValuePattern::Exact("2".to_owned()),
                ],
            )]),
        };
        let with = [("x-a", "2")];
        assert!(holds(&criteria, ("GET", "/a"), "eu", &with));
        assert!(holds(&criteria, ("HEAD", "/b7"), "eu", &with));
        assert!(!holds(&criteria, ("POST", "/a"), "eu", &with));
        assert!(!holds(&criteria, ("get", "/a"), "eu", &with));
        assert!(!holds(&criteria, ("GET", "/b77"), "eu", &with));
        assert!(!holds(&criteria, ("GET", "/a"), "us", &with));
        assert!(!holds(&criteria, ("GET", "/a"), "eu", &[("x-a", "3")]));
        assert!(!holds(&criteria, ("GET", "/a"), "eu", &[]));
    }

    #[test]
    fn header_values_are_tested_line_by_line() {
        let exact = |text: &str| ValuePattern::Exact(text.to_owned());
        let twice = [("x-a", "0"), ("x-a", "1")];
        assert!(holds(&header("x-a", &[exact("1")]), GET, "eu", &twice));
        assert!(!holds(&header("x-a", &[exact("0, 1")]), GET, "eu", &twice));
        assert!(!holds(
            &header("x-a", &[exact("a")]),
            GET,
            "eu",
            &[("x-a", "a, b")]
        ));
        assert!(holds(
            &header("x-a", &[ValuePattern::Prefix("a,".to_owned())]),
            GET,
            "eu",
            &[("x-a", "a, b")]
        ));
        assert!(holds(
            &header("x-a", &[ValuePattern::Regex("a|b".to_owned())]),
            GET,
            "eu",
            &[("x-a", "b")]
        ));
    }

    /// Contract: D-40.
    #[test]
    fn presence_and_absence_can_be_asked_for() {
        let (there, gone) = (ValuePattern::Present(true), ValuePattern::Present(false));
        for (patterns, headers, taken) in [
            (vec![there.clone()], vec![("x-a", "")], true),
            (vec![there.clone()], vec![("x-b", "1")], false),
            (vec![gone.clone()], vec![("x-b", "1")], true),
            (vec![gone.clone()], vec![("x-a", "1")], false),
            (vec![gone.clone(), there], vec![("x-a", "1")], true),
            (
                vec![gone.clone(), ValuePattern::Exact("1".to_owned())],
                vec![],
                true,
            ),
            (
                vec![gone.clone(), ValuePattern::Exact("1".to_owned())],
                vec![("x-a", "1")],
                true,
            ),
            (
                vec![gone, ValuePattern::Exact("1".to_owned())],
                vec![("x-a", "2")],
                false,
            ),
        ] {
            assert_eq!(
                holds(&header("x-a", &patterns), GET, "eu", &headers),
                taken,
                "{patterns:?} {headers:?}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_is_named_and_too_many_are_refused() {
        let (pattern, error) =
            CompiledCriteria::compile(&paths(&[PathPattern::Regex("(".to_owned())])).unwrap_err();
        assert_eq!(pattern, "(");
        assert!(matches!(error, PatternError::Syntax(_)));
        let many: Vec<_> = (0..=PATTERNS_PER_RULE_MAX)
            .map(|n| PathPattern::Regex(format!("/{n}")))
            .collect();
        assert_eq!(
            CompiledCriteria::compile(&paths(&many)).unwrap_err().1,
            PatternError::TooMany
        );
        assert!(CompiledCriteria::compile(&paths(&many[1..])).is_ok());
    }
}
