//! How large a pattern's program can be at most, without making it.
//!
//! The program is a Thompson automaton, forwards and backwards; its states are counted as they come about from
//! what the pattern says, and each is taken for larger than any is. What cannot be told cheaply, which is how
//! many states letters beyond bytes take, is taken for too much.

use regex_syntax::hir::{Class, Hir, HirKind};

/// More than a state takes in `regex-automata` 0.4, with two ways on where it has some.
const STATE_BYTES: usize = 40;

/// What one range of bytes takes in a state.
const RANGE_BYTES: usize = 8;

/// What is there beside the pattern: anchors, the match, and a loop that looks for a beginning.
const AROUND_BYTES: usize = 16 * STATE_BYTES;

/// Whether the program of a pattern is certainly smaller than so many bytes.
pub(super) fn is_certainly_below(hir: &Hir, bytes: usize) -> bool {
    size(hir, bytes).is_some_and(|size| size + AROUND_BYTES < bytes)
}

/// The most that it can take; none where that may be more than `max`.
fn size(hir: &Hir, max: usize) -> Option<usize> {
    let sum = |parts: &[Hir]| {
        parts.iter().try_fold(0_usize, |sum, part| {
            Some(sum + size(part, max)? + STATE_BYTES).filter(|sum| *sum <= max)
        })
    };
    let size = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE_BYTES,
        HirKind::Literal(literal) => literal.0.len() * STATE_BYTES,
        HirKind::Class(Class::Bytes(class)) => STATE_BYTES + class.ranges().len() * RANGE_BYTES,
        HirKind::Class(Class::Unicode(_)) => return None,
        HirKind::Capture(capture) => size(&capture.sub, max)? + 2 * STATE_BYTES,
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts)? + 2 * STATE_BYTES,
        HirKind::Repetition(repetition) => {
            let once = size(&repetition.sub, max)? + 2 * STATE_BYTES;
            // An open end is one more that goes back to its own beginning.
            let most = repetition.max.unwrap_or(repetition.min + 1).max(1);
            once.checked_mul(usize::try_from(most).ok()?)?
        }
    };
    (size <= max).then_some(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{PATTERN_PROGRAM_BYTES_MAX, Pattern, PatternError, build, parse};
    use super::*;

    #[test]
    fn what_people_write_is_certain() {
        for pattern in [
            "/v[12]/(users|orders|invoices)/[0-9a-f-]{36}(/.*)?",
            "/[^/]+/[^/]+/[^/]+\\.(jpe?g|png|gif|webp|avif|svg)",
            "(?i).*(bot|crawler|spider|slurp).*",
            "[A-Za-z0-9_-]{1,255}",
        ] {
            let hir = parse(pattern).unwrap();
            assert!(
                is_certainly_below(&hir, PATTERN_PROGRAM_BYTES_MAX),
                "{pattern}"
            );
        }
        let large = parse("(?:a{1000}){1000}").unwrap();
        assert!(!is_certainly_below(&large, PATTERN_PROGRAM_BYTES_MAX));
        assert_eq!(build(large).unwrap_err(), PatternError::TooLarge);
    }

    const PIECES: [&str; 16] = [
        "a", "bc", "[a-f0-9]", "(x|y|zz)", "{0,50}", "*", "+", "?", "{7}", "(", ")", ".", "|", "^",
        "(?i)q", "{3,}",
    ];

    proptest! {
        #[test]
        fn what_is_certain_compiles(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..14),
            kib in 1_usize..64,
        ) {
            let pattern = pieces.concat();
            if let Ok(hir) = parse(&pattern)
                && is_certainly_below(&hir, PATTERN_PROGRAM_BYTES_MAX)
            {
                prop_assert!(Pattern::compile(&pattern).is_ok(), "{}", pattern);
            }
            // The bound holds wherever it is drawn.
            if let Ok(hir) = parse(&pattern)
                && is_certainly_below(&hir, kib * 1024)
            {
                let limited = regex_automata::meta::Regex::builder()
                    .configure(
                        regex_automata::meta::Config::new()
                            .utf8_empty(false)
                            .nfa_size_limit(Some(kib * 1024)),
                    )
                    .build_from_hir(&hir);
                prop_assert!(limited.is_ok(), "{} in {} KiB", pattern, kib);
            }
        }
    }
}
