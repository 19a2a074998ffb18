//! Heads in a table.

use http::{HeaderName, HeaderValue};

use super::*;

const ASKED: Asked = Asked {
    version: Version::HTTP_11,
    keeps: true,
    for_head: false,
    takes_trailers: false,
};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[track_caller]
fn check(
    status: u16,
    fields: &[(&'static str, &'static str)],
    (asked, length): (Asked, Length),
    (text, framing): (&str, Framing),
) {
    let mut out = Vec::new();
    let status = StatusCode::from_u16(status).unwrap();
    let date = |out: &mut Vec<u8>| out.extend_from_slice(b"date: D\r\n");
    let headers = headers(fields);
    let written = write_head(&mut out, status, &headers, asked, length, asked.keeps, date);
    assert_eq!(String::from_utf8(out).unwrap(), text.replace('\n', "\r\n"));
    assert_eq!(written.framing, framing);
    let says_close = text.contains("connection: close") || text.contains("connection: x, close");
    let old = asked.version == Version::HTTP_10;
    let keeps = if old {
        text.contains("keep-alive")
    } else {
        !says_close && status != 101
    };
    assert_eq!(written.keeps, keeps);
}

#[test]
fn a_body_is_framed_by_what_is_known_of_it() {
    let chunked = || Framing::Chunked(Vec::new());
    check(
        200,
        &[("x-a", "1"), ("content-length", "3"), ("x-a", "2")],
        (ASKED, Length::Exact(3)),
        (
            "HTTP/1.1 200 OK\nx-a: 1\nx-a: 2\ncontent-length: 3\ndate: D\n\n",
            Framing::Length(3),
        ),
    );
    check(
        200,
        &[("transfer-encoding", "gzip"), ("date", "E")],
        (ASKED, Length::Unknown),
        (
            "HTTP/1.1 200 OK\ndate: E\ntransfer-encoding: chunked\n\n",
            chunked(),
        ),
    );
    // What is kept may not know its length, and have a field that does.
    check(
        200,
        &[("content-length", "7")],
        (ASKED, Length::Unknown),
        (
            "HTTP/1.1 200 OK\ncontent-length: 7\ndate: D\n\n",
            Framing::Length(7),
        ),
    );
    check(
        404,
        &[("content-length", "7")],
        (ASKED, Length::Nothing),
        (
            "HTTP/1.1 404 Not Found\ncontent-length: 0\ndate: D\n\n",
            Framing::Length(0),
        ),
    );
    check(
        599,
        &[],
        (ASKED, Length::Exact(1)),
        (
            "HTTP/1.1 599 <none>\ncontent-length: 1\ndate: D\n\n",
            Framing::Length(1),
        ),
    );
}

#[test]
fn some_answers_have_no_body_whatever_is_there() {
    let none = Framing::Length(0);
    let for_head = Asked {
        for_head: true,
        ..ASKED
    };
    check(
        200,
        &[("content-length", "7")],
        (for_head, Length::Nothing),
        (
            "HTTP/1.1 200 OK\ncontent-length: 7\ndate: D\n\n",
            none.clone(),
        ),
    );
    check(
        200,
        &[],
        (for_head, Length::Unknown),
        ("HTTP/1.1 200 OK\ndate: D\n\n", none.clone()),
    );
    check(
        200,
        &[],
        (for_head, Length::Exact(4)),
        (
            "HTTP/1.1 200 OK\ncontent-length: 4\ndate: D\n\n",
            none.clone(),
        ),
    );
    check(
        204,
        &[("content-length", "7")],
        (ASKED, Length::Exact(7)),
        ("HTTP/1.1 204 No Content\ndate: D\n\n", none.clone()),
    );
    check(
        304,
        &[],
        (ASKED, Length::Unknown),
        ("HTTP/1.1 304 Not Modified\ndate: D\n\n", none.clone()),
    );
    check(
        101,
        &[("connection", "upgrade"), ("upgrade", "websocket")],
        (ASKED, Length::Nothing),
        (
            "HTTP/1.1 101 Switching Protocols\nupgrade: websocket\nconnection: upgrade\ndate: D\n\n",
            none,
        ),
    );
}

#[test]
fn what_becomes_of_the_connection_is_said_where_it_is_not_understood() {
    let ends = Asked {
        keeps: false,
        ..ASKED
    };
    let old = Asked {
        version: Version::HTTP_10,
        ..ASKED
    };
    let old_ends = Asked {
        keeps: false,
        ..old
    };
    let one = Length::Exact(1);
    for (asked, fields, expect) in [
        (ASKED, &[][..], "HTTP/1.1 200 OK\ncontent-length: 1\n"),
        (
            ends,
            &[],
            "HTTP/1.1 200 OK\ncontent-length: 1\nconnection: close\n",
        ),
        (
            ASKED,
            &[("connection", "close")],
            "HTTP/1.1 200 OK\ncontent-length: 1\nconnection: close\n",
        ),
        (
            ends,
            &[("connection", "x, close")],
            "HTTP/1.1 200 OK\ncontent-length: 1\nconnection: x, close\n",
        ),
        (
            old,
            &[],
            "HTTP/1.0 200 OK\ncontent-length: 1\nconnection: keep-alive\n",
        ),
        (old_ends, &[], "HTTP/1.0 200 OK\ncontent-length: 1\n"),
    ] {
        let text = format!("{expect}date: D\n\n");
        check(200, fields, (asked, one), (&text, Framing::Length(1)));
    }
    check(
        200,
        &[],
        (old, Length::Unknown),
        ("HTTP/1.0 200 OK\ndate: D\n\n", Framing::Close),
    );
}

#[test]
fn trailers_are_announced_with_chunks_and_sent_to_who_takes_them() {
    let takes = Asked {
        takes_trailers: true,
        ..ASKED
    };
    let text = "HTTP/1.1 200 OK\ntransfer-encoding: chunked\ntrailer: x-sum\ndate: D\n\n";
    let sum = HeaderName::from_static("x-sum");
    for (asked, names) in [(takes, vec![sum]), (ASKED, Vec::new())] {
        check(
            200,
            &[("trailer", "x-sum")],
            (asked, Length::Unknown),
            (text, Framing::Chunked(names)),
        );
    }
    check(
        200,
        &[("trailer", "x-sum")],
        (takes, Length::Exact(1)),
        (
            "HTTP/1.1 200 OK\ncontent-length: 1\ndate: D\n\n",
            Framing::Length(1),
        ),
    );
}
