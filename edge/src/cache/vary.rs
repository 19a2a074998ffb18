//! Which of several answers for one URL a request selects (RFC 9111, section 4.1).

use http::header::{ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, VARY};

use super::directives::elements;

/// The names that an answer's `Vary` lists, sorted, so that equal sets are equal. Empty where there
/// is none; `*` never gets here, since such answers are not kept.
#[must_use]
pub fn names(headers: &HeaderMap) -> Box<[HeaderName]> {
    let mut names: Vec<_> = headers
        .get_all(VARY)
        .iter()
        .flat_map(|line| elements(line.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names.into()
}

/// The values of these fields in a request, so that requests with equal meaning have equal
/// bytes: lines are joined, whitespace around commas is dropped, and case where it means nothing.
pub fn select(names: &[HeaderName], request: &HeaderMap, into: &mut Vec<u8>) {
    for name in names {
        // Absent and empty differ.
        let caseless = [ACCEPT_LANGUAGE, ACCEPT_ENCODING, ACCEPT_CHARSET].contains(name);
        for line in request.get_all(name) {
            for element in elements(line.as_bytes()) {
                into.push(b',');
                let start = into.len();
                into.extend_from_slice(element);
                if caseless {
                    into[start..].make_ascii_lowercase();
                }
            }
        }
        into.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    fn selected(names: &[HeaderName], request: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        select(names, &fields(request), &mut bytes);
        bytes
    }

    #[track_caller]
    fn check(vary: &[&str], one: &[&str], other: &[&str], same: bool) {
        let names = names(&fields(vary));
        let equal = selected(&names, one) == selected(&names, other);
        assert_eq!(equal, same, "{vary:?} {one:?} {other:?}");
    }

    #[test]
    fn requests_with_equal_fields_select_the_same() {
        let vary = &["vary: Foo, accept-language", "vary: foo"];
        for (one, other, same) in [
            (&["foo: 1"][..], &["foo: 1", "bar: 2"][..], true),
            (&["foo: 1"], &["foo: 2"], false),
            (&["foo: 1"], &[], false),
            (&["foo:"], &[], false),
            (&["foo: 1,2"], &["foo:  1 ,  2 "], true),
            (&["foo: 1, 2"], &["foo: 1", "foo: 2"], true),
            (&["foo: 1, 2"], &["foo: 2, 1"], false),
            (&["foo: a"], &["foo: A"], false),
            (
                &["accept-language: en, de"],
                &["accept-language: EN,De"],
                true,
            ),
            (&["foo: 1"], &["accept-language: 1"], false),
        ] {
            check(vary, one, other, same);
        }
        check(&[], &["foo: 1"], &["foo: 2"], true);
    }

    #[test]
    fn names_are_a_set() {
        let found = names(&fields(&["vary: B, a", "vary: b,, \"x\""]));
        assert_eq!(found.to_vec(), ["a", "b"].map(HeaderName::from_static));
    }
}
