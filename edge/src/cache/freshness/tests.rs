//! Lifetimes, ages and standings, as tables.

use domain::model::Mode::{Balanced, CacheFirst, OriginFirst};

use super::super::storing::keep;
use super::super::testing::{CAME_MS, fields, get, rules};
use super::*;

const AT_ONCE: Times = Times {
    asked_ms: CAME_MS,
    came_ms: CAME_MS,
};

#[test]
fn the_first_who_says_how_long_is_heard() {
    for (status, lines, mode, seconds, source) in [
        (
            200,
            &["cache-control: max-age=10"][..],
            Balanced,
            10,
            Source::Answer,
        ),
        (
            200,
            &["cache-control: max-age=10, s-maxage=20"],
            Balanced,
            20,
            Source::Answer,
        ),
        (
            200,
            &["cache-control: max-age=10", "expires: @20"],
            Balanced,
            10,
            Source::Answer,
        ),
        (
            200,
            &["cdn-cache-control: max-age=5", "cache-control: s-maxage=9"],
            Balanced,
            5,
            Source::Answer,
        ),
        (
            200,
            &["cdn-cache-control: public", "expires: @20"],
            Balanced,
            0,
            Source::Nobody,
        ),
        (
            200,
            &["expires: @20", "date: @0"],
            Balanced,
            20,
            Source::Answer,
        ),
        (200, &["expires: @20"], Balanced, 20, Source::Answer),
        (
            200,
            &["expires: @20", "date: foo"],
            Balanced,
            20,
            Source::Answer,
        ),
        (
            200,
            &["expires: @300", "date: @400"],
            Balanced,
            0,
            Source::Answer,
        ),
        (200, &["expires: 0"], Balanced, 0, Source::Answer),
        (
            200,
            &["expires: @20", "expires: @20"],
            Balanced,
            0,
            Source::Answer,
        ),
        (
            200,
            &["last-modified: @-1000"],
            Balanced,
            100,
            Source::Guess,
        ),
        (
            200,
            &["last-modified: @-1000000"],
            Balanced,
            3600,
            Source::Guess,
        ),
        (200, &["last-modified: @9"], Balanced, 0, Source::Guess),
        (200, &[], Balanced, 0, Source::Nobody),
        (202, &["last-modified: @-1000"], Balanced, 0, Source::Nobody),
        (
            599,
            &["last-modified: @-1000", "cache-control: public"],
            Balanced,
            100,
            Source::Guess,
        ),
        (200, &[], CacheFirst, 100, Source::Route),
        (
            200,
            &["cache-control: max-age=10"],
            CacheFirst,
            10,
            Source::Answer,
        ),
        (
            200,
            &["last-modified: @-10"],
            CacheFirst,
            100,
            Source::Route,
        ),
        (404, &[], CacheFirst, 60, Source::Route),
        (302, &[], CacheFirst, 0, Source::Nobody),
        (200, &[], OriginFirst, 0, Source::Nobody),
    ] {
        let headers = fields(lines);
        let directives = ResponseDirectives::of(&headers);
        let status = StatusCode::from_u16(status).unwrap();
        let found = lifetime(status, &headers, &directives, &rules(mode), CAME_MS);
        let expect = Lifetime {
            ms: seconds * 1000,
            source,
        };
        assert_eq!(found, expect, "{status} {lines:?} {mode:?}");
    }
}

#[test]
fn an_answer_is_as_old_as_the_oldest_witness_says() {
    let slow = Times {
        asked_ms: CAME_MS - 2_000,
        came_ms: CAME_MS,
    };
    for (lines, times, expect) in [
        (&[][..], AT_ONCE, Some(0)),
        (&["age: 30"], AT_ONCE, Some(30_000)),
        (&["age: 30"], slow, Some(32_000)),
        (&["date: @-60"], AT_ONCE, Some(60_000)),
        (&["date: @-60", "age: 90"], slow, Some(92_000)),
        (&["date: @60"], slow, Some(2_000)),
        (&["age: abc"], AT_ONCE, None),
        (&["age: -7200"], AT_ONCE, None),
        (&["age: 7200.0"], AT_ONCE, None),
        (&["age: 0, 0"], AT_ONCE, None),
        (&["age: 0", "age: 0"], AT_ONCE, None),
        (&["age: 7200;foo=bar"], AT_ONCE, None),
    ] {
        assert_eq!(initial_age_ms(&fields(lines), times), expect, "{lines:?}");
    }
}

/// What may be done with an answer with this `Cache-Control`, so many seconds after it came:
/// `u`sable, served `w`hile revalidating, served if there is an `e`rror.
#[track_caller]
fn check(mode: domain::model::Mode, control: &str, asks: &str, steps: &[(u64, &str)]) {
    let headers = fields(&[&format!("cache-control: {control}"), "etag: \"a\""]);
    let rules = rules(mode);
    let kept = keep(&get(&[]), StatusCode::OK, &headers, &rules, AT_ONCE).expect(control);
    let asked = get(&[&format!("cache-control: {asks}")]);
    for (seconds, expect) in steps {
        let standing = kept.standing(&asked, &rules, CAME_MS + seconds * 1000);
        let letters = [
            (standing.usable, 'u'),
            (standing.while_revalidating, 'w'),
            (standing.if_error, 'e'),
        ];
        let found: String = letters
            .into_iter()
            .filter_map(|(holds, letter)| holds.then_some(letter))
            .collect();
        assert_eq!(
            &found, expect,
            "{mode:?} {control} {asks} after {seconds} s"
        );
        assert_eq!(standing.age_ms, seconds * 1000);
    }
}

#[test]
fn a_balanced_route_does_what_answers_say() {
    check(
        Balanced,
        "max-age=10",
        "",
        &[(0, "u"), (9, "u"), (10, ""), (11, "")],
    );
    check(
        Balanced,
        "max-age=10, stale-while-revalidate=5, stale-if-error=20",
        "",
        &[(9, "uwe"), (15, "we"), (16, "e"), (30, "e"), (31, "")],
    );
    check(
        Balanced,
        "max-age=10, must-revalidate, stale-while-revalidate=5, stale-if-error=20",
        "",
        &[(9, "u"), (12, "")],
    );
    check(Balanced, "max-age=10, no-cache", "", &[(0, ""), (12, "")]);
    check(
        Balanced,
        "s-maxage=10, stale-while-revalidate=5",
        "",
        &[(9, "uw"), (12, "w"), (16, "")],
    );
}

#[test]
fn a_balanced_route_does_what_requests_ask() {
    check(Balanced, "max-age=10", "no-cache", &[(0, "")]);
    check(Balanced, "max-age=10", "max-age=0", &[(0, "")]);
    check(Balanced, "max-age=10", "max-age=5", &[(5, "u"), (6, "")]);
    check(Balanced, "max-age=10", "min-fresh=4", &[(6, "u"), (7, "")]);
    check(
        Balanced,
        "max-age=10",
        "max-stale=4",
        &[(14, "u"), (15, "")],
    );
    check(Balanced, "max-age=10", "max-stale", &[(99_999, "u")]);
    check(
        Balanced,
        "max-age=10, must-revalidate",
        "max-stale=4",
        &[(12, "")],
    );
    check(Balanced, "s-maxage=10", "max-stale=4", &[(12, "")]);
    check(
        Balanced,
        "max-age=10, stale-while-revalidate=9",
        "max-age=99",
        &[(9, "u"), (12, "")],
    );
}

#[test]
fn where_the_cache_goes_first_its_windows_hold_for_every_client() {
    for asks in ["", "no-cache", "max-age=0"] {
        check(
            CacheFirst,
            "max-age=10",
            asks,
            &[
                (9, "uwe"),
                (60, "we"),
                (61, "e"),
                (86_410, "e"),
                (86_411, ""),
            ],
        );
    }
    check(
        CacheFirst,
        "public",
        "",
        &[(99, "uwe"), (100, "we"), (151, "e")],
    );
    check(
        CacheFirst,
        "max-age=10, must-revalidate",
        "",
        &[(9, "u"), (11, "")],
    );
    check(CacheFirst, "max-age=10, no-cache", "", &[(1, "")]);
}

#[test]
fn where_the_origin_goes_first_what_is_kept_only_stands_in() {
    check(
        OriginFirst,
        "max-age=10",
        "",
        &[(0, "e"), (86_410, "e"), (86_411, "")],
    );
    check(
        OriginFirst,
        "max-age=10, must-revalidate",
        "",
        &[(9, "e"), (10, "")],
    );
    check(OriginFirst, "no-cache", "", &[(0, "")]);
}

#[test]
fn a_clock_that_goes_back_makes_nothing_older() {
    let headers = fields(&["cache-control: max-age=10"]);
    let kept = keep(
        &get(&[]),
        StatusCode::OK,
        &headers,
        &rules(Balanced),
        AT_ONCE,
    )
    .unwrap();
    assert_eq!(kept.age_ms(CAME_MS - 5_000), 0);
}

proptest::proptest! {
    /// Once it is stale it stays so, and a window never opens again.
    #[test]
    fn standing_only_falls(
        max_age in 0_u64..50, swr in 0_u64..50, sie in 0_u64..50, first in 0_u64..200, later in 0_u64..200,
    ) {
        let control = format!("cache-control: max-age={max_age}, stale-while-revalidate={swr}, stale-if-error={sie}");
        let headers = fields(&[&control, "etag: \"a\""]);
        for mode in [Balanced, CacheFirst, OriginFirst] {
            let rules = rules(mode);
            let kept = keep(&get(&[]), StatusCode::OK, &headers, &rules, AT_ONCE).unwrap();
            let at = |seconds: u64| kept.standing(&get(&[]), &rules, CAME_MS + seconds * 1000);
            let (before, after) = (at(first), at(first + later));
            proptest::prop_assert!(before.usable || !after.usable);
            proptest::prop_assert!(before.while_revalidating || !after.while_revalidating);
            proptest::prop_assert!(before.if_error || !after.if_error);
        }
    }
}
