//! One part of a kept answer (RFC 9110, section 14). Several parts at once are answered with the
//! whole, which a server may always do and which spares everybody `multipart/byteranges`.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};

use super::asked::Conditions;
use super::conditional::is_same_strongly;
use super::date::{date, parse};

/// What of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first byte up to before the second.
    Bytes(u64, u64),
    /// Nothing that is there.
    Beyond,
}

/// What a request wants of a kept answer that is so many bytes long.
#[must_use]
pub fn part(conditions: &Conditions, status: StatusCode, headers: &HeaderMap, length: u64) -> Part {
    let Some(range) = &conditions.range else {
        return Part::Whole;
    };
    let whole = status != StatusCode::OK || !holds(conditions.if_range.as_ref(), headers);
    if whole {
        return Part::Whole;
    }
    range
        .to_str()
        .ok()
        .and_then(|range| one_range(range, length))
        .unwrap_or(Part::Whole)
}

/// The one part that is asked for; nothing where it is not one, or not understood.
fn one_range(range: &str, length: u64) -> Option<Part> {
    let (unit, spec) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match suffix {
            0 => Part::Beyond,
            _ if length == 0 => Part::Beyond,
            _ => Part::Bytes(length.saturating_sub(suffix), length),
        });
    }
    let first = number(first)?;
    let end = match last {
        "" => length,
        last => number(last)?.checked_add(1)?,
    };
    if !last.is_empty() && end <= first {
        return None;
    }
    Some(if first < length {
        Part::Bytes(first, end.min(length))
    } else {
        Part::Beyond
    })
}

fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Further than can be counted is the end all the same.
    all.then(|| digits.parse().unwrap_or(u64::MAX - 1))
}

/// Whether the answer is still the one of which the client has another part.
fn holds(if_range: Option<&HeaderValue>, headers: &HeaderMap) -> bool {
    let Some(condition) = if_range else {
        return true;
    };
    if let Some(since_ms) = parse(condition) {
        // A date is strong only where more than a second passed since (RFC 9110, section 8.8.2.2).
        let changed_ms = date(headers, &LAST_MODIFIED);
        let made_ms = date(headers, &DATE).unwrap_or(0);
        return changed_ms == Some(since_ms) && made_ms > since_ms;
    }
    headers
        .get(ETAG)
        .is_some_and(|tag| is_same_strongly(condition.as_bytes(), tag.as_bytes()))
}

/// Makes the fields of the whole those of a part, and says which status that is.
pub fn settle(headers: &mut HeaderMap, part: Part, length: u64) -> Option<StatusCode> {
    let (range, size, status) = match part {
        Part::Whole => return None,
        Part::Bytes(first, end) => (
            format!("bytes {first}-{}/{length}", end.saturating_sub(1)),
            end - first,
            StatusCode::PARTIAL_CONTENT,
        ),
        Part::Beyond => (
            format!("bytes */{length}"),
            0,
            StatusCode::RANGE_NOT_SATISFIABLE,
        ),
    };
    if let Ok(range) = HeaderValue::from_str(&range) {
        headers.insert(CONTENT_RANGE, range);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fields, get};
    use super::*;

    #[track_caller]
    fn check(asks: &[&str], length: u64, expect: Part) {
        let kept = fields(&["etag: \"a\"", "last-modified: @-50", "date: @0"]);
        let conditions = get(asks).conditions;
        let found = part(&conditions, StatusCode::OK, &kept, length);
        assert_eq!(found, expect, "{asks:?} of {length}");
    }

    #[test]
    fn one_part_is_cut_out() {
        use Part::{Beyond, Bytes, Whole};
        for (range, length, expect) in [
            ("bytes=0-1", 10, Bytes(0, 2)),
            ("Bytes=1-", 10, Bytes(1, 10)),
            ("bytes=-1", 10, Bytes(9, 10)),
            ("bytes=-99", 10, Bytes(0, 10)),
            ("bytes=9-99", 10, Bytes(9, 10)),
            ("bytes=0-99999999999999999999", 10, Bytes(0, 10)),
            ("bytes=10-", 10, Beyond),
            ("bytes=10-12", 10, Beyond),
            ("bytes=-0", 10, Beyond),
            ("bytes=-1", 0, Beyond),
            ("bytes=0-", 0, Beyond),
            ("bytes=2-1", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=--1", 10, Whole),
            ("bytes=1", 10, Whole),
            ("lines=0-1", 10, Whole),
            ("bytes", 10, Whole),
        ] {
            check(&[&format!("range: {range}")], length, expect);
        }
        check(&[], 10, Part::Whole);
    }

    #[test]
    fn a_part_of_another_answer_is_not_continued() {
        for (condition, holds) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            ("@-50", true),
            ("@-49", false),
            ("@-51", false),
            ("soon", false),
        ] {
            let expect = if holds {
                Part::Bytes(2, 10)
            } else {
                Part::Whole
            };
            check(
                &["range: bytes=2-", &format!("if-range: {condition}")],
                10,
                expect,
            );
        }
    }

    #[test]
    fn only_a_whole_answer_has_parts() {
        let conditions = get(&["range: bytes=0-1"]).conditions;
        let found = part(&conditions, StatusCode::NOT_FOUND, &fields(&[]), 10);
        assert_eq!(found, Part::Whole);
    }

    #[test]
    fn a_part_says_which_it_is() {
        for (part, status, lines) in [
            (Part::Whole, None, &["content-length: 10"][..]),
            (
                Part::Bytes(2, 5),
                Some(StatusCode::PARTIAL_CONTENT),
                &["content-length: 3", "content-range: bytes 2-4/10"],
            ),
            (
                Part::Beyond,
                Some(StatusCode::RANGE_NOT_SATISFIABLE),
                &["content-length: 0", "content-range: bytes */10"],
            ),
        ] {
            let mut headers = fields(&["content-length: 10"]);
            assert_eq!(settle(&mut headers, part, 10), status);
            assert_eq!(headers, fields(lines));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_part_lies_within(range in "(bytes=)?[0-9]{0,3}-?[0-9]{0,3}", length in 0_u64..50) {
            if let Some(Part::Bytes(first, end)) = one_range(&range, length) {
                proptest::prop_assert!(first < end && end <= length, "{range}: {first}..{end} of {length}");
            }
        }
    }
}
