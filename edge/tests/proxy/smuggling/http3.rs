//! Requests in HTTP/3 that could not be written down in HTTP/1.1, or would be two there: the same as
//! in HTTP/2. None of them reaches an origin.

use super::http2::{Field, cases, with};
use super::strict::Strict;
use crate::http3::{DATA, HEADERS, Raw, frame, open_to, section};
use crate::world::run;

fn head(fields: &[Field]) -> Vec<u8> {
    frame(HEADERS, &section(fields))
}

#[test]
fn what_http1_could_not_say_is_refused() {
    run(async {
        let origin = Strict::start().await;
        let (_world, address) = open_to(&[], origin.address).await;
        for (why, fields) in cases() {
            let raw = Raw::connect(address).await;
            let outcome = raw.ask(&head(&fields)).await;
            assert!(outcome.is_refusal(), "{why}: {outcome:?}");
            let seen = origin.seen.borrow();
            assert!(seen.is_empty(), "{why}: {seen:?}");
        }
    });
}

#[test]
fn a_body_that_is_not_as_long_as_it_said_is_broken() {
    run(async {
        let origin = Strict::start().await;
        let (_world, address) = open_to(&[], origin.address).await;
        for (length, data) in [(&b"3"[..], &b"abcdef"[..]), (b"9", b"abcdef"), (b"0", b"a")] {
            let raw = Raw::connect(address).await;
            let fields = [&with(&[])[..], &[(b"content-length", length)]].concat();
            let outcome = raw.ask(&[head(&fields), frame(DATA, data)].concat()).await;
            assert!(outcome.is_refusal(), "{length:?}: {outcome:?}");
            let seen = origin.seen.borrow();
            assert!(seen.is_empty(), "{length:?}: {seen:?}");
        }
    });
}

#[test]
fn a_body_that_ends_within_a_frame_is_broken() {
    run(async {
        let origin = Strict::start().await;
        let (_world, address) = open_to(&[], origin.address).await;
        for cut in 1..6 {
            let raw = Raw::connect(address).await;
            let data = frame(DATA, b"abcdef");
            let bytes = [&head(&with(&[]))[..], &data[..data.len() - cut]].concat();
            let outcome = raw.ask(&bytes).await;
            assert!(outcome.is_refusal(), "{cut}: {outcome:?}");
            let expect = h3::error::Code::H3_FRAME_ERROR.value();
            assert!(raw.closed().await.is_none_or(|code| code == expect));
            let seen = origin.seen.borrow();
            assert!(seen.is_empty(), "{cut}: {seen:?}");
        }
    });
}

#[test]
fn an_ordinary_request_of_the_same_make_is_served() {
    run(async {
        let origin = Strict::start().await;
        let (_world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let fields = with(&[(b"te", b"trailers"), (b"x-a", b"b")]);
        let data = frame(DATA, b"GET / HTTP/1.1\r\n\r\n");
        let outcome = raw.ask(&[head(&fields), data].concat()).await;
        assert_eq!(outcome.status(), Some(200), "{outcome:?}");
        let seen = origin.seen.borrow();
        let [Ok(only)] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!(only.body, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(only.all("x-a"), ["b"]);
    });
}
