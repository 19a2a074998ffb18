//! Conditions on a kept answer (RFC 9110, section 13; RFC 9111, section 4.3.2), and those that a
//! kept answer is confirmed with.

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, TRANSFER_ENCODING,
};
use http::{HeaderValue, StatusCode};

use super::asked::Conditions;
use super::date::{date, parse};
use super::directives::elements;

/// Whether the one who asks has what a kept answer with these fields holds, so that saying so is
/// enough.
#[must_use]
pub fn is_not_modified(conditions: &Conditions, status: StatusCode, headers: &HeaderMap) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if !conditions.if_none_match.is_empty() {
        return names(&conditions.if_none_match, headers.get(ETAG));
    }
    let Some(since_ms) = conditions.if_modified_since.as_ref().and_then(parse) else {
        return false;
    };
    date(headers, &LAST_MODIFIED)
        .or_else(|| date(headers, &DATE))
        .is_some_and(|changed_ms| changed_ms <= since_ms)
}

/// Whether a list of entity tags names this one, weakly compared.
fn names(lines: &[HeaderValue], tag: Option<&HeaderValue>) -> bool {
    let mut listed = lines.iter().flat_map(|line| elements(line.as_bytes()));
    match tag {
        Some(tag) => {
            listed.any(|listed| listed == b"*" || opaque(listed) == opaque(tag.as_bytes()))
        }
        None => listed.any(|listed| listed == b"*"),
    }
}

/// A tag without the sign that it is weak.
fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Whether two entity tags are the same in the strong sense.
#[must_use]
pub fn is_same_strongly(one: &[u8], other: &[u8]) -> bool {
    one == other && one.starts_with(b"\"")
}

/// Makes the fields of a kept answer those of a 304 (RFC 9110, section 15.4.5).
pub fn not_modified(headers: &mut HeaderMap) {
    for name in [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_RANGE,
        TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
}

/// Whether an origin can be asked to confirm an answer with these fields.
#[must_use]
pub fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

/// Has a request ask whether a kept answer still holds.
pub fn ask_to_confirm(request: &mut HeaderMap, kept: &HeaderMap) {
    Conditions::strip(request);
    if let Some(tag) = kept.get(ETAG) {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    if let Some(changed) = kept.get(LAST_MODIFIED) {
        request.insert(IF_MODIFIED_SINCE, changed.clone());
    }
}

/// Whether a 304 is about a kept answer (RFC 9111, section 4.3.4): what it says of its entity
/// tag and change is what the kept one says.
#[must_use]
pub fn confirms(not_modified: &HeaderMap, kept: &HeaderMap) -> bool {
    if let Some(tag) = not_modified.get(ETAG) {
        return kept
            .get(ETAG)
            .is_some_and(|known| opaque(known.as_bytes()) == opaque(tag.as_bytes()));
    }
    match (not_modified.get(LAST_MODIFIED), kept.get(LAST_MODIFIED)) {
        (Some(changed), Some(known)) => changed == known,
        _ => true,
    }
}

/// Fields of a kept answer that a 304 leaves alone (RFC 9111, section 3.2): they are about the
/// body that is kept.
const OF_THE_BODY: [http::HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
];

/// A kept answer's fields after a 304 has confirmed it.
#[must_use]
pub fn updated(kept: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut headers = kept.clone();
    let news = || {
        not_modified
            .keys()
            .filter(|name| !OF_THE_BODY.contains(name) && **name != "content-md5")
    };
    for name in news() {
        headers.remove(name);
    }
    for name in news() {
        for value in not_modified.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fields, get};
    use super::*;

    #[track_caller]
    fn check(asks: &[&str], kept: &[&str], expect: bool) {
        let conditions = get(asks).conditions;
        let kept = fields(kept);
        let found = is_not_modified(&conditions, StatusCode::OK, &kept);
        assert_eq!(found, expect, "{asks:?} {kept:?}");
        assert!(!is_not_modified(&conditions, StatusCode::NOT_FOUND, &kept));
    }

    #[test]
    fn entity_tags_are_compared_weakly_and_go_before_dates() {
        let tagged = &["etag: \"a,b\"", "last-modified: @-50"];
        for (asks, expect) in [
            (&["if-none-match: \"a,b\""][..], true),
            (&["if-none-match: W/\"a,b\""], true),
            (&["if-none-match: \"x\", \"a,b\" ,\"y\""], true),
            (&["if-none-match: \"x\"", "if-none-match: \"a,b\""], true),
            (&["if-none-match: *"], true),
            (&["if-none-match: \"a\""], false),
            (&["if-none-match: a"], false),
            (&["if-none-match: \"x\"", "if-modified-since: @0"], false),
            (&["if-none-match: \"a,b\"", "if-modified-since: @-99"], true),
        ] {
            check(asks, tagged, expect);
        }
        check(&["if-none-match: W/\"a\""], &["etag: W/\"a\""], true);
        check(&["if-none-match: \"a\""], &[], false);
        check(&["if-none-match: *"], &[], true);
    }

    #[test]
    fn dates_are_compared_with_the_last_change_or_else_with_the_date() {
        for (since, kept, expect) in [
            ("@-50", &["last-modified: @-50"][..], true),
            ("@-49", &["last-modified: @-50"], true),
            ("@-51", &["last-modified: @-50"], false),
            ("@0", &["date: @0"], true),
            ("@-1", &["date: @0"], false),
            ("yesterday", &["last-modified: @-50"], false),
            ("@0", &[], false),
        ] {
            check(&[&format!("if-modified-since: {since}")], kept, expect);
        }
        check(&[], &["last-modified: @-50"], false);
    }

    #[test]
    fn a_kept_answer_is_confirmed_by_what_it_has() {
        let mut request = fields(&["if-none-match: \"theirs\"", "range: bytes=0-", "accept: a"]);
        ask_to_confirm(
            &mut request,
            &fields(&["etag: \"a\"", "last-modified: @-5"]),
        );
        let expect = fields(&[
            "accept: a",
            "if-none-match: \"a\"",
            "if-modified-since: @-5",
        ]);
        assert_eq!(request, expect);
        ask_to_confirm(&mut request, &fields(&[]));
        assert_eq!(request, fields(&["accept: a"]));
    }

    #[test]
    fn a_304_confirms_what_it_is_about() {
        let kept = &["etag: W/\"a\"", "last-modified: @-5"];
        for (lines, expect) in [
            (&[][..], true),
            (&["etag: \"a\""], true),
            (&["etag: \"b\""], false),
            (&["last-modified: @-5"], true),
            (&["last-modified: @-4"], false),
            (&["etag: W/\"a\"", "last-modified: @-4"], true),
        ] {
            assert_eq!(confirms(&fields(lines), &fields(kept)), expect, "{lines:?}");
        }
        assert!(!confirms(&fields(&["etag: \"b\""]), &fields(&[])));
    }

    #[test]
    fn a_304_renews_fields_but_not_those_of_the_body() {
        let kept = fields(&[
            "a: 1",
            "b: 1",
            "b: 2",
            "content-length: 5",
            "content-type: text/plain",
            "etag: W/\"x\"",
        ]);
        let news = fields(&[
            "b: 3",
            "c: 4",
            "c: 5",
            "content-length: 0",
            "content-type: text/html",
            "etag: \"x\"",
        ]);
        let expect = fields(&[
            "a: 1",
            "content-length: 5",
            "content-type: text/plain",
            "etag: W/\"x\"",
            "b: 3",
            "c: 4",
            "c: 5",
        ]);
        assert_eq!(updated(&kept, &news), expect);
    }

    #[test]
    fn a_304_says_nothing_of_the_body() {
        let mut headers = fields(&[
            "content-length: 5",
            "content-type: a",
            "etag: \"x\"",
            "vary: a",
        ]);
        not_modified(&mut headers);
        assert_eq!(headers, fields(&["etag: \"x\"", "vary: a"]));
    }

    #[test]
    fn strongly_the_same_are_only_strong_tags() {
        assert!(is_same_strongly(b"\"a\"", b"\"a\""));
        for (one, other) in [("W/\"a\"", "W/\"a\""), ("\"a\"", "\"b\""), ("a", "a")] {
            assert!(!is_same_strongly(one.as_bytes(), other.as_bytes()));
        }
    }
}
