//! Heads in a table, and beside what hyper makes of them.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

type Read = (Head, HeaderMap, Bytes);

fn read(text: &[u8]) -> Result<Option<Read>, Malformed> {
    let mut input = Bytes::copy_from_slice(text);
    let mut headers = HeaderMap::new();
    let head = Reader::default().read(&mut input, &mut headers)?;
    Ok(head.map(|head| (head, headers, input)))
}

fn whole(text: &str) -> Read {
    read(text.as_bytes()).unwrap().expect("a whole head")
}

#[track_caller]
fn check(fields: &str, expect: Result<(Decoder, bool), Malformed>) {
    let text = format!("POST / HTTP/1.1\r\n{fields}\r\nrest");
    let found = read(text.as_bytes()).map(|head| {
        let (head, _, rest) = head.expect("a whole head");
        assert_eq!(rest, "rest");
        (head.body, head.asked.keeps)
    });
    assert_eq!(found, expect, "{fields:?}");
}

#[test]
fn a_body_is_as_long_as_the_fields_say_in_one_way() {
    check("", Ok((Decoder::ended(), true)));
    check("content-length: 4\r\n", Ok((Decoder::length(4), true)));
    check("content-length: 0004\r\n", Ok((Decoder::length(4), true)));
    check(
        "content-length: 4\r\nContent-Length: 4\r\n",
        Ok((Decoder::length(4), true)),
    );
    check(
        "transfer-encoding: Chunked\r\n",
        Ok((Decoder::chunked(), true)),
    );
    check(
        "transfer-encoding: gzip, chunked\r\n",
        Ok((Decoder::chunked(), true)),
    );
    for fields in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: x\r\n",
    ] {
        check(fields, Ok((Decoder::chunked(), false)));
        let (_, headers, _) = whole(&format!("POST / HTTP/1.1\r\n{fields}\r\n"));
        assert!(!headers.contains_key(CONTENT_LENGTH), "{fields:?}");
    }
    for length in ["", "-1", "+1", "0x4", "4 4", "4, 4", "99999999999999999999"] {
        check(
            &format!("content-length: {length}\r\n"),
            Err(Malformed::Length),
        );
    }
    check(
        "content-length: 4\r\ncontent-length: 5\r\n",
        Err(Malformed::Length),
    );
    for coding in ["", "identity", "chunked, identity", "chunked;a=b"] {
        check(
            &format!("transfer-encoding: {coding}\r\n"),
            Err(Malformed::Coding),
        );
    }
    let old = b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(read(old).unwrap_err(), Malformed::Coding);
}

#[test]
fn the_connection_stays_as_long_as_the_client_wants() {
    for (version, fields, keeps) in [
        ("1.1", "", true),
        ("1.1", "connection: keep-alive\r\n", true),
        ("1.1", "connection: x, Close\r\n", false),
        (
            "1.1",
            "connection: close\r\nconnection: keep-alive\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "connection: Keep-Alive\r\n", true),
        (
            "1.0",
            "connection: close\r\nconnection: keep-alive\r\n",
            false,
        ),
    ] {
        let (head, ..) = whole(&format!("GET / HTTP/{version}\r\n{fields}\r\n"));
        assert_eq!(head.asked.keeps, keeps, "{version} {fields:?}");
    }
}

#[test]
fn what_else_a_head_asks_for_is_noted() {
    let (head, ..) = whole("HEAD /a?b HTTP/1.1\r\nte: gzip, Trailers;q=1\r\n\r\n");
    assert!(head.asked.for_head && head.asked.takes_trailers && !head.awaits_go_ahead);
    assert_eq!(head.uri, "/a?b");
    let expects = "content-length: 1\r\nexpect: 100-Continue\r\n";
    for (version, awaits) in [("1.0", false), ("1.1", true)] {
        let (head, ..) = whole(&format!("PUT / HTTP/{version}\r\n{expects}\r\n"));
        assert_eq!(head.awaits_go_ahead, awaits);
        assert!(!head.asked.for_head && !head.asked.takes_trailers);
    }
}

#[test]
fn a_head_is_read_when_it_is_whole_however_it_comes() {
    let text = b"\r\n\r\nGET /a HTTP/1.1\r\nhost: a\r\nX-A: \t2 \r\nx-b:\r\n\r\nrest";
    let end = text.len() - "rest".len();
    for step in 1..text.len() {
        let (mut reader, mut headers) = (Reader::default(), HeaderMap::new());
        let mut input = Bytes::new();
        let mut come = 0;
        let head = loop {
            let next = (come + step).min(text.len());
            input = Bytes::from([&input[..], &text[come..next]].concat());
            come = next;
            if let Some(head) = reader.read(&mut input, &mut headers).unwrap() {
                break head;
            }
            assert!(headers.is_empty() && come < end, "{step} {come}");
        };
        assert!(come >= end);
        assert_eq!(input, text[end..come]);
        assert_eq!(head.uri, "/a");
        assert_eq!(headers["x-a"], "2");
        assert_eq!(headers["x-b"], "");
    }
    let lines = b"GET / HTTP/1.1\nhost: a\n\n";
    assert!(read(&lines[..lines.len() - 1]).unwrap().is_none());
    assert!(read(lines).unwrap().is_some());
}

#[test]
fn what_is_no_request_is_refused_with_a_status_that_says_so() {
    let many: String = (0..=FIELDS_MAX)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let long = "a".repeat(BUFFER_BYTES_MAX);
    for (text, status) in [
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\na b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nx-a : b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nx-a: b\r\n c\r\n\r\n".to_owned(), 400),
        ("GET http://a:b:c/ HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nx: {long}"), 431),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), 431),
        (format!("GET /{long}"), 431),
        (format!("GET /{} HTTP/1.1\r\n\r\n", &long[2..]), 414),
    ] {
        let refused = read(text.as_bytes()).expect_err("a refusal");
        assert_eq!(refused.status(), status, "{:?}", &text[..20]);
    }
}

/// A request as hyper reads it: method, target, fields in order, and the body if it has an end.
type Seen = (String, String, Vec<(String, Vec<u8>)>, Option<Vec<u8>>);

fn listed(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let fields = headers.iter();
    fields
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

/// What hyper makes of a connection on which this comes, up to the first request's end.
fn by_hyper(text: &[u8]) -> Option<Seen> {
    use http_body_util::BodyExt as _;
    use tokio::io::AsyncWriteExt as _;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(text).await.unwrap();
        client.shutdown().await.unwrap();
        let seen = std::cell::RefCell::new(None);
        let service =
            hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
                let seen = &seen;
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await;
                    let body = body.ok().map(|body| body.to_bytes().to_vec());
                    seen.borrow_mut().get_or_insert((
                        parts.method.to_string(),
                        parts.uri.to_string(),
                        listed(&parts.headers),
                        body,
                    ));
                    Ok::<_, std::io::Error>(http::Response::new(
                        http_body_util::Empty::<Bytes>::new(),
                    ))
                }
            });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.half_close(true);
        let io = hyper_util::rt::TokioIo::new(server);
        drop(builder.serve_connection(io, service).await);
        seen.into_inner()
    })
}

/// The same by what is here.
fn by_us(text: &[u8]) -> Option<Seen> {
    let (mut head, headers, mut rest) = read(text).ok()??;
    let mut body = Vec::new();
    let ended = loop {
        match head.body.read(&mut rest) {
            Ok(Some(crate::http1::Piece::Data(data))) => body.extend_from_slice(&data),
            Ok(Some(_)) => break true,
            Ok(None) | Err(_) => break false,
        }
    };
    Some((
        head.method.to_string(),
        head.uri.to_string(),
        listed(&headers),
        ended.then_some(body),
    ))
}

fn lines() -> impl Strategy<Value = String> {
    let first = (
        select(&["GET", "POST", "get", "P ST", ""][..]),
        select(&["/", "/a?b=c", "*", "http://a/b", "a", "/\u{e4}", "/a b", ""][..]),
        select(&["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 "][..]),
    );
    let names = [
        "Host",
        "content-length",
        "Content-Length",
        "transfer-encoding",
        "TE",
        "connection",
        "x-a",
        "bad name",
        "Expect",
        "",
    ];
    let values = [
        "a",
        "4",
        "0",
        "chunked",
        "Chunked ",
        "gzip, chunked",
        "5",
        "4, 4",
        "close",
        "keep-alive",
        "",
        "\t x \t",
        "a\0",
        "100-continue",
        "\u{e4}",
    ];
    let field = (
        prop::sample::select(names.to_vec()),
        select(&[": ", ":", " : ", ":\t"][..]),
        prop::sample::select(values.to_vec()),
        select(&["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n "][..]),
    );
    let body = select(
        &[
            "",
            "abcd",
            "abc",
            "4\r\nabcd\r\n0\r\n\r\n",
            "4;x=y\r\nabcd\r\n00\r\nx: y\r\n\r\nmore",
            "4\nabcd\r\n0\r\n\r\n",
            "-4\r\nabcd\r\n0\r\n\r\n",
            "4\r\nabcde\r\n0\r\n\r\n",
        ][..],
    );
    (first, prop::collection::vec(field, 0..5), body).prop_map(
        |((method, target, version), fields, body)| {
            let fields: String = fields
                .into_iter()
                .map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}"))
                .collect();
            format!("{method} {target} {version}\r\n{fields}\r\n{body}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is a request here is the same request to hyper.
    #[test]
    fn nothing_is_read_otherwise_than_hyper_reads_it(text in lines()) {
        if let Some(ours) = by_us(text.as_bytes()) {
            let theirs = by_hyper(text.as_bytes());
            // Of a body that breaks off, some may have come before.
            prop_assert_eq!(Some(&ours), theirs.as_ref(), "{:?}", text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(read(&text));
    }
}
