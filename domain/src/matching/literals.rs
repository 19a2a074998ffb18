//! What is certain about every text that a regular expression takes: what it begins with, what is
//! somewhere in it. By these a rule is found without its expression being run. Nothing is ever
//! claimed that does not hold; of what holds, a few short texts are enough.

use std::borrow::Cow;
use std::collections::HashMap;

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::pattern::{Patterns, parse};
use crate::content::Criteria;

/// With how many beginnings a pattern is filed: one more is one more entry in an index for each
/// rule, and patterns with more mostly share a longer part further on.
const STARTS_MAX: usize = 4;

/// How many inner parts of a pattern are considered; the rarest of them is taken.
const PARTS_MAX: usize = 4;

/// Shorter parts are in too many texts to tell anything.
const PART_BYTES_MIN: usize = 3;

/// Of longer parts, the end is taken: what differs between patterns of one family is mostly there,
/// and the automaton of all parts stays small.
pub(super) const PART_BYTES_MAX: usize = 16;

/// The longest example of a text that a pattern takes.
const SAMPLE_BYTES_MAX: usize = 1024;

/// What is known of one pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Literals {
    /// Every text that the pattern takes begins with one of these; nothing is known if there are
    /// none.
    pub(super) starts: Vec<Start>,
    /// Every text that the pattern takes has each of these in it.
    pub(super) parts: Vec<Vec<u8>>,
    /// A text that the pattern probably takes, where somebody asked for it; assertions such as `\b` are not
    /// looked at.
    pub(super) sample: Vec<u8>,
}

/// A text's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) bytes: Vec<u8>,
    /// Whether it is the whole text.
    pub(super) whole: bool,
}

impl Literals {
    /// Looks at what a pattern says.
    pub(super) fn of(hir: &Hir) -> Self {
        Self {
            starts: starts(hir),
            parts: parts(hir),
            sample: Vec::new(),
        }
    }

    /// Looks at a pattern, and makes up a sample; of one that does not parse, nothing is known.
    fn of_text(pattern: &str) -> Self {
        let known = parse(pattern).map(|hir| Self {
            sample: sample(&hir),
            ..Self::of(&hir)
        });
        known.unwrap_or_default()
    }
}

/// What is known of several patterns, by their text.
#[derive(Debug, Default)]
pub(super) struct KnownLiterals<'a>(
    HashMap<&'a str, Cow<'a, Literals>, foldhash::fast::FixedState>,
);

impl<'a> KnownLiterals<'a> {
    /// What is known of patterns that were compiled.
    pub(super) fn of_patterns(patterns: &'a Patterns) -> Self {
        let known = patterns.iter();
        Self(
            known
                .map(|(text, pattern)| (text, Cow::Borrowed(pattern.literals())))
                .collect(),
        )
    }

    /// What is known of the patterns in these criteria.
    pub(super) fn of_criteria(rules: &[&'a Criteria]) -> Self {
        let mut known = Self::default();
        for regex in rules.iter().flat_map(|criteria| criteria.regexes()) {
            known
                .0
                .entry(regex)
                .or_insert_with(|| Cow::Owned(Literals::of_text(regex)));
        }
        known
    }

    /// What was learnt about the beginnings of what a pattern takes.
    pub(super) fn starts(&self, pattern: &str) -> &[Start] {
        self.0.get(pattern).map_or(&[], |known| &known.starts)
    }

    /// What was learnt to be in everything that a pattern takes.
    pub(super) fn parts(&self, pattern: &str) -> &[Vec<u8>] {
        self.0.get(pattern).map_or(&[], |known| &known.parts)
    }

    /// A text that a pattern probably takes.
    pub(super) fn sample(&self, pattern: &str) -> String {
        let sample = self.0.get(pattern).map(|known| &known.sample[..]);
        String::from_utf8_lossy(sample.unwrap_or_default()).into_owned()
    }
}

fn starts(hir: &Hir) -> Vec<Start> {
    let found = Extractor::new()
        .kind(ExtractKind::Prefix)
        .limit_class(STARTS_MAX)
        .limit_total(STARTS_MAX)
        .extract(hir);
    let literals = found.literals().unwrap_or_default();
    if literals.iter().any(|literal| literal.is_empty()) {
        return Vec::new();
    }
    if literals.len() > STARTS_MAX {
        let common = found.longest_common_prefix().unwrap_or_default().to_vec();
        let whole = false;
        return vec![Start {
            bytes: common,
            whole,
        }]
        .into_iter()
        .filter(|start| !start.bytes.is_empty())
        .collect();
    }
    let mut starts: Vec<Start> = Vec::new();
    for literal in literals {
        let (bytes, whole) = (literal.as_bytes().to_vec(), literal.is_exact());
        match starts.iter_mut().find(|start| start.bytes == bytes) {
            Some(same) => same.whole &= whole,
            None => starts.push(Start { bytes, whole }),
        }
    }
    starts
}

fn parts(hir: &Hir) -> Vec<Vec<u8>> {
    let mut runs = Runs::default();
    runs.walk(hir);
    runs.end();
    let mut parts = runs.found;
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.truncate(PARTS_MAX);
    for part in &mut parts {
        part.drain(..part.len().saturating_sub(PART_BYTES_MAX));
    }
    parts
}

/// Collects the unbroken texts that a pattern requires.
#[derive(Default)]
struct Runs {
    current: Vec<u8>,
    found: Vec<Vec<u8>>,
}

impl Runs {
    fn walk(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Literal(literal) => self.current.extend_from_slice(&literal.0),
            // An assertion takes no letters, so what is on its sides is adjacent.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Capture(capture) => self.walk(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.walk(part)),
            HirKind::Repetition(repetition) => {
                self.end();
                if repetition.min > 0 {
                    self.walk(&repetition.sub);
                    self.end();
                }
            }
            HirKind::Class(_) | HirKind::Alternation(_) => self.end(),
        }
    }

    fn end(&mut self) {
        let run = std::mem::take(&mut self.current);
        if run.len() >= PART_BYTES_MIN {
            self.found.push(run);
        }
    }
}

fn sample(hir: &Hir) -> Vec<u8> {
    let mut text = Vec::new();
    append_sample(hir, &mut text);
    text
}

fn append_sample(hir: &Hir, text: &mut Vec<u8>) {
    if text.len() > SAMPLE_BYTES_MAX {
        return;
    }
    match hir.kind() {
        HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Class(class) => append_letter(class, text),
        HirKind::Capture(capture) => append_sample(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| append_sample(part, text)),
        HirKind::Alternation(parts) => append_sample(&parts[0], text),
        HirKind::Repetition(repetition) => {
            for _ in 0..repetition.min {
                if text.len() > SAMPLE_BYTES_MAX {
                    return;
                }
                append_sample(&repetition.sub, text);
            }
        }
    }
}

/// A letter of a class: one that people would write, if there is one.
fn append_letter(class: &Class, text: &mut Vec<u8>) {
    const USUAL: [u8; 5] = *b"a0A-_";
    match class {
        Class::Bytes(class) => {
            let has = |byte: u8| {
                let mut ranges = class.ranges().iter();
                ranges.any(|range| (range.start()..=range.end()).contains(&byte))
            };
            let first = class.ranges().first().map(|range| range.start());
            text.extend(USUAL.into_iter().find(|byte| has(*byte)).or(first));
        }
        Class::Unicode(class) => {
            let has = |letter: char| {
                let mut ranges = class.ranges().iter();
                ranges.any(|range| (range.start()..=range.end()).contains(&letter))
            };
            let usual = USUAL
                .into_iter()
                .map(char::from)
                .find(|letter| has(*letter));
            let first = class.ranges().first().map(|range| range.start());
            if let Some(letter) = usual.or(first) {
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::Pattern;
    use super::*;

    /// Beginnings (`$` at the end of a whole text) and parts of a pattern.
    fn check(pattern: &str, starts: &[&str], parts: &[&str]) {
        let literals = Literals::of_text(pattern);
        let shown: Vec<_> = literals
            .starts
            .iter()
            .map(|start| {
                let end = if start.whole { "$" } else { "" };
                format!("{}{end}", String::from_utf8_lossy(&start.bytes))
            })
            .collect();
        assert_eq!(shown, starts, "{pattern}");
        let shown: Vec<_> = literals
            .parts
            .iter()
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect();
        assert_eq!(shown, parts, "{pattern}");
    }

    #[test]
    fn beginnings_and_parts_are_what_every_match_has() {
        check("/v1/users", &["/v1/users$"], &["/v1/users"]);
        check("/v1/users/.*", &["/v1/users/"], &["/v1/users/"]);
        check("^/v1/(users)/x$", &["/v1/users/x$"], &["/v1/users/x"]);
        check("/(users|orders)/[0-9]+", &["/users/", "/orders/"], &[]);
        check("/v[0-9]+/items/7", &["/v"], &["/items/7"]);
        check("/v[12]/items", &["/v1/items$", "/v2/items$"], &["/items"]);
        check(".*\\.png", &[], &[".png"]);
        check("(?i)/abc", &["/AB", "/Ab", "/aB", "/ab"], &[]);
        check(
            "/[a-z]+/a-long-tail-that-is-cut",
            &["/"],
            &["tail-that-is-cut"],
        );
        check("(abc)+x", &["abc"], &["abc"]);
        check("(abc)*x", &["abc", "x$"], &[]);
        check("", &[], &[]);
        check("a|", &[], &[]);
        check("(", &[], &[]);
        check("[^\\s\\S]", &[], &[]);
    }

    #[test]
    fn samples_are_taken_by_their_patterns() {
        for pattern in [
            "/v[0-9]+/(users|orders)/[^/]{3,}(/.*)?",
            "(?i)/users/.*",
            "(?u)/\\w+",
            "[A-Z]{2}-[0-9]{4}",
            ".*\\.(png|jpe?g)",
        ] {
            let sample = Literals::of_text(pattern).sample;
            assert!(
                Pattern::compile(pattern).unwrap().is_match(&sample),
                "{pattern}"
            );
        }
    }

    const PIECES: [&str; 17] = [
        "a", "b", "c", "ab", "abc", "abc", "[ab]", "(ab|c)", "a*", "(ba)+", "b?", "c{2}", "^", "$",
        ".", "(abc|)", "|",
    ];

    proptest! {
        #[test]
        fn what_is_claimed_of_a_pattern_holds_for_all_it_takes(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..6),
            text in "[abc]{0,8}",
        ) {
            let pattern = pieces.concat();
            if let Ok(compiled) = Pattern::compile(&pattern)
                && compiled.is_match(text.as_bytes())
            {
                let literals = Literals::of_text(&pattern);
                let begins = |start: &Start| if start.whole {
                    text.as_bytes() == start.bytes
                } else {
                    text.as_bytes().starts_with(&start.bytes)
                };
                prop_assert!(literals.starts.is_empty() || literals.starts.iter().any(begins));
                for part in &literals.parts {
                    prop_assert!(text.as_bytes().windows(part.len()).any(|window| window == part));
                }
            }
        }
    }
}
