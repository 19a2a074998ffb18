//! Directives as they stand in fields, good and bad.

use http::HeaderValue;

use super::*;

fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_static(line));
    }
    headers
}

#[track_caller]
fn check(lines: &[&'static str], expect: ResponseDirectives) {
    let directives = ResponseDirectives::of(&headers("cache-control", lines));
    assert_eq!(directives, expect, "{lines:?}");
}

fn max_age(seconds: u64) -> ResponseDirectives {
    ResponseDirectives {
        max_age: Some(seconds),
        ..ResponseDirectives::default()
    }
}

#[test]
fn lifetimes_are_read_strictly() {
    for (line, seconds) in [
        ("max-age=3600", 3600),
        ("MaX-aGe=3600", 3600),
        ("foobar, max-age=3600", 3600),
        ("max-age=\"3600\"", 3600),
        ("max-age=003600", 3600),
        ("max-age=99999999999999999999", SECONDS_MAX),
        ("max-age=2147483649", SECONDS_MAX),
        ("max-age='3600'", 0),
        ("max-age=3600.0", 0),
        ("max-age=-3600", 0),
        ("max-age=3600a", 0),
        ("max-age= 3600", 0),
        ("max-age=", 0),
        ("max-age", 0),
        ("extension=\"max-age=3600\", max-age=1", 1),
        ("max-age=1, extension=\"a\\\", max-age=3600\"", 1),
        ("max-age=1800, max-age=1", 1),
        ("max-age=1, max-age=1800", 1),
    ] {
        check(&[line], max_age(seconds));
    }
    check(&["max-age=1800", "max-age=5"], max_age(5));
    check(&["max-age =5", ""], ResponseDirectives::default());
}

#[test]
fn every_directive_is_known() {
    check(
        &[
            "no-store, NO-CACHE, private, public",
            "must-revalidate,proxy-revalidate, must-understand",
            "s-maxage=1, stale-while-revalidate=2, stale-if-error=3",
        ],
        ResponseDirectives {
            s_maxage: Some(1),
            stale_while_revalidate: Some(2),
            stale_if_error: Some(3),
            no_store: true,
            no_cache: true,
            private: true,
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            ..ResponseDirectives::default()
        },
    );
}

#[test]
fn fields_can_be_withheld_and_names_that_are_none_withhold_everything() {
    check(
        &["no-cache=\"a, B\", private=c"],
        ResponseDirectives {
            withheld: ["a", "b", "c"].map(HeaderName::from_static).to_vec(),
            ..ResponseDirectives::default()
        },
    );
    for line in ["no-cache=\"\"", "no-cache=\"a b\""] {
        check(
            &[line],
            ResponseDirectives {
                no_cache: true,
                ..ResponseDirectives::default()
            },
        );
    }
}

#[test]
fn a_targeted_field_goes_before_and_a_broken_one_is_ignored() {
    for (line, expect) in [
        ("max-age=60", Some(60)),
        ("max-age=60, x=\"y\"", Some(60)),
        ("no-store", None),
        ("Max-Age=60", Some(5)),
        ("max-age=", Some(5)),
        ("&&", Some(5)),
    ] {
        let mut fields = headers("cdn-cache-control", &[line]);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
        let directives = ResponseDirectives::of(&fields);
        assert_eq!(directives.max_age, expect, "{line}");
        assert_eq!(directives.targeted, expect != Some(5), "{line}");
        assert_eq!(directives.no_store, line == "no-store");
    }
}

#[test]
fn a_request_says_what_it_takes() {
    let of = |line| RequestDirectives::of(&headers("cache-control", &[line]));
    let none = RequestDirectives::default();
    for (line, expect) in [
        ("nothing-to-see-here", none),
        ("max-age=x, min-fresh, max-stale=y", none),
        (
            "No-Cache",
            RequestDirectives {
                no_cache: true,
                ..none
            },
        ),
        (
            "no-store, only-if-cached",
            RequestDirectives {
                no_store: true,
                only_if_cached: true,
                ..none
            },
        ),
        (
            "max-age=1, min-fresh=2, max-stale=3",
            RequestDirectives {
                max_age: Some(1),
                min_fresh: Some(2),
                max_stale: Some(3),
                ..none
            },
        ),
        (
            "max-stale",
            RequestDirectives {
                max_stale: Some(SECONDS_MAX),
                ..none
            },
        ),
    ] {
        assert_eq!(of(line), expect, "{line}");
    }
}

proptest::proptest! {
    /// Oracle: splitting by hand where no quotes are.
    #[test]
    fn without_quotes_elements_are_what_commas_separate(line in "[a-z=, 0-9]{0,40}") {
        let expect: Vec<_> = line.split(',').map(|part| part.trim_matches(' ').as_bytes()).collect();
        let found: Vec<_> = elements(line.as_bytes()).collect();
        proptest::prop_assert_eq!(found, expect);
    }
}
