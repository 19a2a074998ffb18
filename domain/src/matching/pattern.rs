//! Regular expressions with bounds: linear time by construction, and a limit on everything else.
//! Publishing checks with the same function with which edges compile, so that what was published
//! compiles.

mod size;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_automata::meta::{Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::{Hir, Look};

use super::literals::Literals;

/// The longest pattern: longer ones are lists that should be several rules.
pub const PATTERN_BYTES_MAX: usize = 512;

/// The largest compiled program of one pattern. It bounds both an edge's memory and the work per
/// byte of input, which grows with the program, not with the input's square.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 64 * 1024;

/// How many patterns one rule may hold, so that one rule costs a bounded time to try.
pub const PATTERNS_PER_RULE_MAX: usize = 20;

/// The cache of a pattern's lazily built automaton, one per pattern and thread that uses it.
const AUTOMATON_BYTES_MAX: usize = 256 * 1024;

/// How deep groups may nest, so that parsing needs a bounded stack.
const NESTING_MAX: u32 = 32;

/// A regular expression over a whole text. It reads bytes: `.`, `\w` and `\d` mean ASCII classes
/// and single bytes, which is what paths and header values consist of; `(?u)` turns Unicode on
/// within a pattern.
#[derive(Clone)]
pub struct Pattern(Arc<Program>);

struct Program {
    /// Compiled when it is first asked, where it was put off.
    regex: OnceLock<Option<Regex>>,
    text: Box<str>,
    literals: Literals,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is longer than [`PATTERN_BYTES_MAX`].
    #[error("the pattern is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// Its program would be larger than [`PATTERN_PROGRAM_BYTES_MAX`].
    #[error("the pattern is too large when compiled")]
    TooLarge,
    /// The rule has more than [`PATTERNS_PER_RULE_MAX`] of them.
    #[error("the rule has more than {PATTERNS_PER_RULE_MAX} patterns")]
    TooMany,
    /// It is not in the dialect.
    #[error("the pattern is not a regular expression: {0}")]
    Syntax(String),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When it is too long, too large, or not in the dialect.
    pub fn compile(pattern: &str) -> Result<Self, PatternError> {
        let hir = parse_short(pattern)?;
        let literals = Literals::of(&hir);
        let regex = OnceLock::from(Some(build(hir)?));
        Ok(Self::of(pattern, regex, literals))
    }

    /// The same, but that compiling is put off until the pattern is first asked, if it is certain by then that
    /// it compiles: of a hundred thousand patterns, most requests ask none and all requests ask few.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn defer(pattern: &str) -> Result<Self, PatternError> {
        let hir = parse_short(pattern)?;
        let literals = Literals::of(&hir);
        let regex = if size::is_certainly_below(&hir, PATTERN_PROGRAM_BYTES_MAX) {
            OnceLock::new()
        } else {
            OnceLock::from(Some(build(hir)?))
        };
        Ok(Self::of(pattern, regex, literals))
    }

    fn of(text: &str, regex: OnceLock<Option<Regex>>, literals: Literals) -> Self {
        let text = text.into();
        Self(Arc::new(Program {
            regex,
            text,
            literals,
        }))
    }

    /// What is certain about every text that it takes.
    pub(super) fn literals(&self) -> &Literals {
        &self.0.literals
    }

    /// Whether this is the same compiled program.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the whole text is in the pattern's language.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        let program = &*self.0;
        let compile = || parse(&program.text).and_then(build).ok();
        // What was put off compiles; what would not takes nothing.
        let regex = program.regex.get_or_init(compile).as_ref();
        regex.is_some_and(|regex| regex.is_match(text))
    }
}

/// A program says nothing to readers; its text stands where it was compiled from.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern")
    }
}

fn parse_short(pattern: &str) -> Result<Hir, PatternError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(PatternError::TooLong);
    }
    parse(pattern)
}

/// What a pattern says, in the dialect in which it is compiled.
pub(super) fn parse(pattern: &str) -> Result<Hir, PatternError> {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(NESTING_MAX)
        .build()
        .parse(pattern)
        .map_err(|error| PatternError::Syntax(last_line(&error.to_string())))
}

/// A program for the whole text. The pattern was parsed alone: `a)|(b` would be an expression between
/// anchors in a text.
fn build(hir: Hir) -> Result<Regex, PatternError> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    // Nobody asks where in a text something was found, which makes programs smaller and sooner made.
    let config = Config::new()
        .utf8_empty(false)
        .which_captures(WhichCaptures::Implicit)
        .onepass(false)
        .nfa_size_limit(Some(PATTERN_PROGRAM_BYTES_MAX))
        .hybrid_cache_capacity(AUTOMATON_BYTES_MAX);
    Regex::builder()
        .configure(config)
        .build_from_hir(&whole)
        .map_err(|error| match error.size_limit() {
            Some(_) => PatternError::TooLarge,
            None => PatternError::Syntax(last_line(&error.to_string())),
        })
}

/// Compiled patterns by their text, so that rules with the same pattern share one: compiling costs
/// some ten thousand times what a comparison does.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    by_text: HashMap<Box<str>, Pattern, foldhash::fast::FixedState>,
    defers: bool,
}

impl Patterns {
    /// None yet, of which each is compiled when it is first asked.
    #[must_use]
    pub fn deferring() -> Self {
        Self {
            defers: true,
            ..Self::default()
        }
    }

    /// The pattern with this text, compiled if it is not there yet.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn compile(&mut self, text: &str) -> Result<Pattern, PatternError> {
        if let Some(known) = self.by_text.get(text) {
            return Ok(known.clone());
        }
        let pattern = if self.defers {
            Pattern::defer(text)?
        } else {
            Pattern::compile(text)?
        };
        self.by_text.insert(text.into(), pattern.clone());
        Ok(pattern)
    }

    /// The pattern with this text, if it is there.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<&Pattern> {
        self.by_text.get(text)
    }

    /// All of them with their texts, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Pattern)> {
        self.by_text
            .iter()
            .map(|(text, pattern)| (&**text, pattern))
    }

    /// Takes over what others have compiled.
    pub(super) fn adopt(&mut self, text: &str, others: &Self) {
        if let Some(known) = others.get(text) {
            self.by_text
                .entry(text.into())
                .or_insert_with(|| known.clone());
        }
    }

    /// Takes over all that others have compiled.
    pub(super) fn append(&mut self, others: Self) {
        if self.by_text.is_empty() {
            self.by_text = others.by_text;
            return;
        }
        for (text, pattern) in others.by_text {
            self.by_text.entry(text).or_insert(pattern);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }
}

/// The parser's message without the drawing that points into the pattern.
fn last_line(message: &str) -> String {
    let line = message
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or(message);
    line.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, good: &[&str], bad: &[&str]) {
        let compiled = Pattern::compile(pattern).unwrap();
        for text in good {
            assert!(compiled.is_match(text.as_bytes()), "{pattern} takes {text}");
        }
        for text in bad {
            assert!(
                !compiled.is_match(text.as_bytes()),
                "{pattern} refuses {text}"
            );
        }
    }

    #[test]
    fn a_pattern_is_about_the_whole_text() {
        check(
            "/v[0-9]+/items",
            &["/v1/items", "/v22/items"],
            &["/v1/items/", "x/v1/items", "/v/items"],
        );
        check("a|b", &["a", "b"], &["ab", "ba", "", "xa"]);
        check("^/a$", &["/a"], &["/a\n", "/aa"]);
        check("(?i)/Users/.*", &["/users/", "/USERS/x"], &["/user"]);
        check("(?m)a$", &["a"], &["a\nb"]);
        check("(?x) a b # says so", &["ab"], &["a b", "abc"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn bytes_outside_ascii_are_matched_one_by_one() {
        let any = Pattern::compile(".*bad.*").unwrap();
        assert!(
            any.is_match(b"\xff bad \xfe"),
            "no byte hides what follows it"
        );
        check("/caf\u{e9}", &["/caf\u{e9}"], &["/cafe"]);
        check("(?u)/\\w+", &["/caf\u{e9}"], &["/-"]);
        assert!(
            !Pattern::compile("/\\w+")
                .unwrap()
                .is_match("/caf\u{e9}".as_bytes())
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        assert_eq!(
            Pattern::compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).unwrap_err(),
            PatternError::TooLong
        );
        assert_eq!(
            Pattern::compile("(?:a{1000}){1000}").unwrap_err(),
            PatternError::TooLarge
        );
        assert_eq!(
            Pattern::compile("a{1000}{1000}").unwrap_err(),
            PatternError::TooLarge
        );
        for pattern in [
            "a)|(b",
            "(",
            "[",
            "a**b(",
            "\\",
            "(?P<x",
            "(?=a)",
            "(a)\\1",
            "\\xZZ",
            &"(".repeat(200),
        ] {
            let Err(PatternError::Syntax(reason)) = Pattern::compile(pattern) else {
                panic!("{pattern} was taken");
            };
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        }
    }

    #[test]
    fn what_is_put_off_takes_the_same_and_is_refused_for_the_same() {
        for pattern in [
            "/v[0-9]+/(users|orders)/.*",
            "(?i)a{3,9}b*",
            "(?u)\\w+",
            "",
            "[a-z]{400}",
            "(?:a{1000}){1000}",
            "(?u)\\w{200}",
            "a)|(b",
            &"a".repeat(PATTERN_BYTES_MAX + 1),
        ] {
            let (now, later) = (Pattern::compile(pattern), Pattern::defer(pattern));
            let (Ok(now), Ok(later)) = (&now, &later) else {
                assert_eq!(now.err(), later.err(), "{pattern}");
                continue;
            };
            for text in ["/v1/users/7", "AAAb", "\u{e9}", "", "b"] {
                let (now, later) = (
                    now.is_match(text.as_bytes()),
                    later.is_match(text.as_bytes()),
                );
                assert_eq!(now, later, "{pattern} {text}");
            }
        }
    }

    #[test]
    fn what_people_write_fits_the_bounds() {
        for pattern in [
            "/v[12]/(users|orders|invoices)/[0-9a-f-]{36}(/.*)?",
            "\\w{1,64}@\\w{1,64}\\.(com|org)",
            "/[^/]+/[^/]+/[^/]+\\.(jpe?g|png|gif|webp|avif|svg)",
            "(?i).*(bot|crawler|spider|slurp).*",
            "[A-Za-z0-9_-]{1,255}",
        ] {
            assert!(Pattern::compile(pattern).is_ok(), "{pattern}");
        }
    }
}
