//! What is kept, as a table.

use domain::model::Mode::{self, Balanced, CacheFirst, OriginFirst};

use super::super::testing::{CAME_MS, fields, get, rules};
use super::*;

const AT_ONCE: Times = Times {
    asked_ms: CAME_MS,
    came_ms: CAME_MS,
};

#[track_caller]
fn check(mode: Mode, asks: &[&str], status: u16, lines: &[&str], expect: bool) {
    let status = StatusCode::from_u16(status).unwrap();
    let kept = keep(&get(asks), status, &fields(lines), &rules(mode), AT_ONCE);
    assert_eq!(
        kept.is_some(),
        expect,
        "{mode:?} {asks:?} {status} {lines:?}"
    );
}

#[test]
fn a_balanced_route_keeps_what_answers_allow() {
    for (status, lines, expect) in [
        (200, &[][..], false),
        (200, &["etag: \"a\""], false),
        (200, &["cache-control: max-age=1"], true),
        (200, &["cache-control: max-age=0"], false),
        (200, &["cache-control: max-age=0", "etag: \"a\""], true),
        (200, &["cache-control: no-cache"], false),
        (
            200,
            &["cache-control: no-cache", "last-modified: @-5"],
            true,
        ),
        (200, &["cache-control: max-age=1", "age: 2"], false),
        (200, &["cache-control: max-age=0, stale-if-error=5"], true),
        (200, &["cache-control: max-age=1, no-store"], false),
        (200, &["cache-control: max-age=1, private"], false),
        (200, &["cache-control: max-age=1, private=\"x-mine\""], true),
        (200, &["cache-control: max-age=1", "set-cookie: a=b"], false),
        (200, &["cache-control: max-age=1", "vary: accept"], true),
        (200, &["cache-control: max-age=1", "vary: accept, *"], false),
        (
            200,
            &["cache-control: max-age=1", "vary: ", "vary: *"],
            false,
        ),
        (200, &["last-modified: @-1000"], true),
        (206, &["cache-control: max-age=1"], false),
        (304, &["cache-control: max-age=1"], false),
        (302, &["cache-control: max-age=1"], true),
        (599, &["cache-control: max-age=1"], true),
        (599, &["cache-control: max-age=1, must-understand"], false),
        (
            200,
            &["cache-control: max-age=1, must-understand, no-store"],
            true,
        ),
        (201, &["last-modified: @-1000"], false),
    ] {
        check(Balanced, &[], status, lines, expect);
    }
}

#[test]
fn credentials_and_cookies_keep_answers_apart() {
    let credentials = &["authorization: x"];
    for (control, expect) in [
        ("max-age=1", false),
        ("max-age=1, public", true),
        ("max-age=1, must-revalidate", true),
        ("s-maxage=1", true),
    ] {
        let line = format!("cache-control: {control}");
        check(Balanced, credentials, 200, &[&line], expect);
        let kept = keep(
            &get(&[]),
            StatusCode::OK,
            &fields(&[&line]),
            &rules(Balanced),
            AT_ONCE,
        );
        assert_eq!(kept.unwrap().shared, expect);
    }
    check(CacheFirst, credentials, 200, &[], false);
    check(
        Balanced,
        &["cookie: a=b"],
        200,
        &["last-modified: @-1000"],
        false,
    );
    check(
        Balanced,
        &["cookie: a=b"],
        200,
        &["cache-control: max-age=1"],
        true,
    );
    check(CacheFirst, &["cookie: a=b"], 200, &[], true);
    check(
        Balanced,
        &["cache-control: no-store"],
        200,
        &["cache-control: max-age=1"],
        false,
    );
}

#[test]
fn the_other_modes_keep_more() {
    check(CacheFirst, &[], 200, &[], true);
    check(CacheFirst, &[], 404, &[], true);
    check(CacheFirst, &[], 302, &[], false);
    check(CacheFirst, &[], 500, &[], false);
    check(CacheFirst, &[], 200, &["set-cookie: a=b"], false);
    check(CacheFirst, &[], 200, &["cache-control: no-store"], false);
    check(OriginFirst, &[], 200, &[], true);
    check(OriginFirst, &[], 404, &[], false);
    check(OriginFirst, &[], 200, &["cache-control: no-cache"], false);
    check(
        OriginFirst,
        &[],
        200,
        &["cache-control: max-age=0, must-revalidate"],
        false,
    );
}

#[test]
fn what_is_kept_has_a_date_and_no_age_and_lacks_what_is_withheld() {
    let mut headers = fields(&[
        "age: 5",
        "x-mine: 1",
        "x-ours: 2",
        "cache-control: max-age=9, no-cache=\"x-mine\"",
    ]);
    settle_fields(&mut headers, AT_ONCE);
    let expect = fields(&[
        "x-ours: 2",
        "cache-control: max-age=9, no-cache=\"x-mine\"",
        "date: @0",
    ]);
    assert_eq!(headers, expect);
}
