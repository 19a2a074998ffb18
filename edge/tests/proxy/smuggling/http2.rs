//! Requests in HTTP/2 that could not be written down in HTTP/1.1, or would be two there. None of
//! them reaches an origin.

use super::strict::Strict;
use crate::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, frame, literals};
use crate::publish::Draft;
use crate::world::{World, run};

pub(super) type Field = (&'static [u8], &'static [u8]);

const METHOD: Field = (b":method", b"POST");
const SCHEME: Field = (b":scheme", b"http");
const PATH: Field = (b":path", b"/");
const AUTHORITY: Field = (b":authority", b"api.example.net");

/// Fields beside those that every request has.
pub(super) fn with(more: &[Field]) -> Vec<Field> {
    [&[METHOD, SCHEME, PATH, AUTHORITY], more].concat()
}

/// The usual ones with one in place of the one of its name.
fn instead(field: Field) -> Vec<Field> {
    let usual = with(&[]).into_iter();
    usual
        .map(|usual| if usual.0 == field.0 { field } else { usual })
        .collect()
}

fn without(name: &[u8]) -> Vec<Field> {
    let usual = with(&[]).into_iter();
    usual.filter(|usual| usual.0 != name).collect()
}

pub(super) fn cases() -> Vec<(&'static str, Vec<Field>)> {
    vec![
        ("a large letter in a name", with(&[(b"X-a", b"b")])),
        ("a blank in a name", with(&[(b"x a", b"b")])),
        ("a colon in a name", with(&[(b"x:a", b"b")])),
        ("a newline in a name", with(&[(b"x\r\ny", b"b")])),
        ("a zero byte in a name", with(&[(b"x\0", b"b")])),
        ("an empty name", with(&[(b"", b"b")])),
        ("a newline in a value", with(&[(b"x-a", b"b\r\nx-b: c")])),
        (
            "a newline alone in a value",
            with(&[(b"x-a", b"b\nx-b: c")]),
        ),
        ("a return in a value", with(&[(b"x-a", b"b\rc")])),
        ("a zero byte in a value", with(&[(b"x-a", b"b\0c")])),
        ("a coding", with(&[(b"transfer-encoding", b"chunked")])),
        ("a connection", with(&[(b"connection", b"close")])),
        ("a kept connection", with(&[(b"keep-alive", b"timeout=5")])),
        (
            "a proxy's connection",
            with(&[(b"proxy-connection", b"close")]),
        ),
        ("an upgrade", with(&[(b"upgrade", b"websocket")])),
        ("codings that are taken", with(&[(b"te", b"gzip")])),
        ("another host", with(&[(b"host", b"evil.example")])),
        (
            "the same host twice",
            with(&[(b"host", b"api.example.net"), (b"host", b"api.example.net")]),
        ),
        (
            "two lengths",
            with(&[(b"content-length", b"4"), (b"content-length", b"5")]),
        ),
        (
            "a length that is none",
            with(&[(b"content-length", b"4, 5")]),
        ),
        ("a signed length", with(&[(b"content-length", b"+4")])),
        ("no method", without(b":method")),
        ("no scheme", without(b":scheme")),
        ("no path", without(b":path")),
        ("no host at all", without(b":authority")),
        ("an empty path", instead((b":path", b""))),
        ("a path without a slash", instead((b":path", b"a"))),
        ("a blank in the path", instead((b":path", b"/a HTTP/1.1"))),
        (
            "a newline in the path",
            instead((b":path", b"/ HTTP/1.1\r\nx: y")),
        ),
        ("a zero byte in the path", instead((b":path", b"/\0"))),
        ("dot segments", instead((b":path", b"/a/../b"))),
        (
            "a whole URL for a path",
            instead((b":path", b"http://evil.example/")),
        ),
        (
            "a blank in the method",
            instead((b":method", b"POST / HTTP/1.1")),
        ),
        (
            "a newline in the method",
            instead((b":method", b"POST\r\n")),
        ),
        ("an empty method", instead((b":method", b""))),
        ("CONNECT with a path", instead((b":method", b"CONNECT"))),
        ("TRACE", instead((b":method", b"TRACE"))),
        ("another scheme", instead((b":scheme", b"ftp"))),
        (
            "a newline in the scheme",
            instead((b":scheme", b"http\r\n")),
        ),
        ("a user", instead((b":authority", b"u@api.example.net"))),
        (
            "a path in the authority",
            instead((b":authority", b"api.example.net/x")),
        ),
        (
            "a newline in the authority",
            instead((b":authority", b"api.example.net\r\nx: y")),
        ),
        (
            "a list of authorities",
            instead((b":authority", b"api.example.net,evil.example")),
        ),
        ("a path twice", with(&[PATH])),
        ("a method twice", with(&[METHOD])),
        ("an authority twice", with(&[AUTHORITY])),
        ("an unknown pseudo-field", with(&[(b":x", b"y")])),
        ("a response's pseudo-field", with(&[(b":status", b"200")])),
        ("another protocol", with(&[(b":protocol", b"websocket")])),
        (
            "a pseudo-field behind a field",
            [&[METHOD, SCHEME, PATH, (b"x-a", b"b")][..], &[AUTHORITY]].concat(),
        ),
    ]
}

/// The status of an answer whose head is literals and indexed fields as h2 writes them, as far as
/// it is one of a refusal: hyper's encoder gives those it knows by index, others as literals.
fn is_refusal(block: &[u8]) -> bool {
    // RFC 7541, appendix A: 8 to 14 are :status 200, 204, 206, 304, 400, 404, 500.
    match block.first() {
        Some(byte) if byte & 0x80 != 0 => (12..=14).contains(&(byte & 0x7f)),
        _ => true,
    }
}

#[test]
fn what_http1_could_not_say_is_refused() {
    run(async {
        for (why, fields) in cases() {
            let origin = Strict::start().await;
            let world = World::with(Draft::to(origin.address)).await;
            let mut client = Frames::connect(world.address).await;
            let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &literals(&fields));
            client.send(&head).await.unwrap();
            let answer = client.answer(1).await;
            let head = answer.iter().find(|frame| frame.kind == HEADERS);
            assert!(
                head.is_none_or(|head| is_refusal(&head.content)),
                "{why}: {answer:?}"
            );
            let seen = origin.seen.borrow();
            assert!(seen.is_empty(), "{why}: {seen:?}");
        }
    });
}

#[test]
fn a_body_that_is_not_as_long_as_it_said_is_broken() {
    run(async {
        for (length, data) in [(&b"3"[..], &b"abcdef"[..]), (b"9", b"abcdef"), (b"0", b"a")] {
            let origin = Strict::start().await;
            let world = World::with(Draft::to(origin.address)).await;
            let mut client = Frames::connect(world.address).await;
            let fields = [&with(&[])[..], &[(b"content-length", length)]].concat();
            let head = frame(HEADERS, END_HEADERS, 1, &literals(&fields));
            client.send(&head).await.unwrap();
            client
                .send(&frame(DATA, END_STREAM, 1, data))
                .await
                .unwrap();
            let answer = client.answer(1).await;
            let reset = answer.iter().any(|frame| frame.kind == RST_STREAM);
            let refused = answer
                .iter()
                .any(|frame| frame.kind == HEADERS && is_refusal(&frame.content));
            assert!(reset || refused, "{length:?}: {answer:?}");
            let seen = origin.seen.borrow();
            assert!(seen.is_empty(), "{length:?}: {seen:?}");
        }
    });
}

#[test]
fn an_ordinary_request_of_the_same_make_is_served() {
    run(async {
        let origin = Strict::start().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut client = Frames::connect(world.address).await;
        let fields = with(&[(b"te", b"trailers"), (b"x-a", b"b")]);
        let head = frame(HEADERS, END_HEADERS, 1, &literals(&fields));
        client.send(&head).await.unwrap();
        client
            .send(&frame(DATA, END_STREAM, 1, b"GET / HTTP/1.1\r\n\r\n"))
            .await
            .unwrap();
        let answer = client.answer(1).await;
        let head = answer.iter().find(|frame| frame.kind == HEADERS).unwrap();
        assert!(!is_refusal(&head.content), "{answer:?}");
        let seen = origin.seen.borrow();
        let [Ok(only)] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!(only.body, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(only.all("x-a"), ["b"]);
    });
}
