//! Requests in HTTP/1.1 that readers have disagreed about, and what must become of each. Most are
//! those of published attacks (CL.TE, TE.CL, TE.TE, CL.0, chunk extensions, header folding).

/// What must become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// It is refused with such a status, the connection ends, and the origin sees nothing.
    Refused,
    /// Its body turns out to be none: the origin gets no whole request, and the connection ends.
    Broken,
    /// The origin gets exactly one request, with this body.
    Once(&'static str),
}
use Expect::{Broken, Once, Refused};

/// A request, and why it is here. What it hides is sent right behind it.
pub(super) struct Case {
    pub(super) why: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) expect: Expect,
}

fn case(why: &'static str, bytes: impl AsRef<[u8]>, expect: Expect) -> Case {
    Case {
        why,
        bytes: bytes.as_ref().to_vec(),
        expect,
    }
}

const HOST: &str = "host: api.example.net\r\n";

/// A request that has this first line and nothing else to object to.
fn line(line: &str) -> String {
    format!("{line}\r\n{HOST}connection: close\r\n\r\n")
}

/// A POST with these fields and what follows its head.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}connection: close\r\n{fields}\r\n{body}")
}

const CHUNKS: &str = "3\r\nabc\r\n0\r\n\r\n";

fn chunked(chunks: &str) -> String {
    post("transfer-encoding: chunked\r\n", chunks)
}

fn request_lines() -> Vec<Case> {
    vec![
        case("two blanks", line("POST  / HTTP/1.1"), Refused),
        case("a blank in the target", line("POST /a b HTTP/1.1"), Refused),
        case("a tab for a blank", line("POST\t/ HTTP/1.1"), Refused),
        case("a blank in front", line(" POST / HTTP/1.1"), Refused),
        case("a blank behind", line("POST / HTTP/1.1 "), Refused),
        case("an unknown version", line("POST / HTTP/9.9"), Refused),
        case("a small version", line("POST / http/1.1"), Refused),
        case("no version", line("POST /"), Refused),
        case("nothing but a method", line("POST"), Refused),
        case(
            "a zero byte in the method",
            line("PO\0ST / HTTP/1.1"),
            Refused,
        ),
        case(
            "a zero byte in the target",
            line("POST /\0 HTTP/1.1"),
            Refused,
        ),
        case(
            "a delete in the target",
            line("POST /\u{7f} HTTP/1.1"),
            Refused,
        ),
        case(
            "a return in the target",
            line("POST /\rx HTTP/1.1"),
            Refused,
        ),
        case("a colon in the method", line("PO:ST / HTTP/1.1"), Refused),
        case("a target without a slash", line("POST a HTTP/1.1"), Refused),
        case(
            "an authority",
            line("POST api.example.net:80 HTTP/1.1"),
            Refused,
        ),
        case("an asterisk", line("POST * HTTP/1.1"), Refused),
        case("dot segments", line("POST /a/../b HTTP/1.1"), Refused),
        case(
            "a fragment's dot segments",
            line("POST /a/%2e%2e/b HTTP/1.1"),
            Refused,
        ),
        case(
            "another scheme",
            line("POST ftp://api.example.net/ HTTP/1.1"),
            Refused,
        ),
        case(
            "a user",
            line("POST http://u@api.example.net/ HTTP/1.1"),
            Refused,
        ),
        case(
            "a line that ends with a return alone",
            "POST / HTTP/1.1\rhost: api.example.net\r\r",
            Refused,
        ),
        case(
            "an absolute target goes before Host",
            "POST http://api.example.net/ HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
            Once(""),
        ),
        case(
            "empty lines in front",
            format!("\r\n\r\n{}", line("POST / HTTP/1.1")),
            Once(""),
        ),
        case(
            "newlines alone",
            "POST / HTTP/1.1\nhost: api.example.net\nconnection: close\n\n",
            Once(""),
        ),
    ]
}

fn hosts() -> Vec<Case> {
    let with = |host: &str| format!("POST / HTTP/1.1\r\n{host}connection: close\r\n\r\n");
    vec![
        case("no host", with(""), Refused),
        case("no host in HTTP/1.0", "POST / HTTP/1.0\r\n\r\n", Refused),
        case("an empty host", with("host:\r\n"), Refused),
        case("the same host twice", with(&HOST.repeat(2)), Refused),
        case(
            "two hosts",
            with(&format!("{HOST}host: evil.example\r\n")),
            Refused,
        ),
        case(
            "two hosts, the other first",
            with(&format!("host: evil.example\r\n{HOST}")),
            Refused,
        ),
        case(
            "a list of hosts",
            with("host: api.example.net, evil.example\r\n"),
            Refused,
        ),
        case(
            "a host and a blank",
            with("host: api.example.net evil.example\r\n"),
            Refused,
        ),
        case(
            "a host and a path",
            with("host: api.example.net/x\r\n"),
            Refused,
        ),
        case("a user", with("host: u@api.example.net\r\n"), Refused),
        case(
            "a port that is none",
            with("host: api.example.net:80a\r\n"),
            Refused,
        ),
        case(
            "a port that is too long",
            with("host: api.example.net:000080\r\n"),
            Refused,
        ),
        case(
            "a host behind a newline alone",
            with(&format!("{HOST}x-a: b\nhost: evil.example\r\n")),
            Refused,
        ),
        case(
            "an absolute target without a host",
            "POST http://api.example.net/ HTTP/1.1\r\n\r\n",
            Refused,
        ),
        case(
            "a host that the connection names",
            with(&format!("{HOST}connection: host\r\n")),
            Once(""),
        ),
    ]
}

fn fields() -> Vec<Case> {
    let with = |field: &str| post(field, "");
    vec![
        case("a blank before the colon", with("x-a : b\r\n"), Refused),
        case("a blank in the name", with("x a: b\r\n"), Refused),
        case("no name", with(": b\r\n"), Refused),
        case("no colon", with("x-a\r\n"), Refused),
        case("a zero byte in the name", with("x\0a: b\r\n"), Refused),
        case("a parenthesis in the name", with("x(a: b\r\n"), Refused),
        case(
            "a letter beyond ASCII in the name",
            with("x\u{e4}: b\r\n"),
            Refused,
        ),
        case("a return in the value", with("x-a: b\rc\r\n"), Refused),
        case("a return at the value's end", with("x-a: b\r\r\n"), Refused),
        case("a zero byte in the value", with("x-a: b\0c\r\n"), Refused),
        case("a delete in the value", with("x-a: b\u{7f}c\r\n"), Refused),
        case(
            "a vertical tab in the value",
            with("x-a: b\u{b}c\r\n"),
            Refused,
        ),
        case(
            "a line that goes on",
            with("x-a: b\r\n transfer-encoding: chunked\r\n"),
            Refused,
        ),
        case(
            "a line that goes on with a tab",
            with("x-a: b\r\n\ttransfer-encoding: chunked\r\n"),
            Refused,
        ),
        case(
            "a first line that goes on",
            format!("POST / HTTP/1.1\r\n {HOST}\r\n"),
            Refused,
        ),
        case(
            "a field behind a newline alone",
            with("x-a: b\nx-b: c\r\n"),
            Once(""),
        ),
        case("tabs around a value", with("x-a:\t b\t\r\n"), Once("")),
    ]
}

fn lengths() -> Vec<Case> {
    let with = |length: &str| post(&format!("content-length: {length}\r\n"), "abcd");
    let twice = |one: &str, other: &str| {
        post(
            &format!("content-length: {one}\r\ncontent-length: {other}\r\n"),
            "abcd",
        )
    };
    vec![
        case("two lengths", twice("4", "5"), Refused),
        case("two lengths, the shorter last", twice("5", "4"), Refused),
        case("none and some", twice("0", "4"), Refused),
        case("a list of lengths", with("4, 5"), Refused),
        case("a list of the same lengths", with("4, 4"), Refused),
        case("a negative length", with("-1"), Refused),
        case("a signed length", with("+4"), Refused),
        case("a hexadecimal length", with("0x4"), Refused),
        case(
            "a length that overflows",
            with("99999999999999999999"),
            Refused,
        ),
        case(
            "a length that wraps to 4",
            with("18446744073709551620"),
            Refused,
        ),
        case("an empty length", with(""), Refused),
        case("two words", with("4 4"), Refused),
        case("a parameter", with("4;a=b"), Refused),
        case("a fraction", with("4.0"), Refused),
        case("a vertical tab before it", with("\u{b}4"), Refused),
        case("a zero byte behind it", with("4\0"), Refused),
        case("digits beyond ASCII", with("\u{664}"), Refused),
        case("the same length twice", twice("4", "4"), Once("abcd")),
        case("zeros in front", with("0004"), Once("abcd")),
        case(
            "a length that the connection names",
            post(
                "connection: content-length\r\ncontent-length: 4\r\n",
                "abcd",
            ),
            Once("abcd"),
        ),
        case(
            "what looks like a request is a body",
            post("content-length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"),
            Once("GET / HTTP/1.1\r\n\r\n"),
        ),
        case(
            "a GET with a body",
            format!("GET / HTTP/1.1\r\n{HOST}connection: close\r\ncontent-length: 4\r\n\r\nabcd"),
            Once("abcd"),
        ),
        case(
            "an unwanted upgrade with a body",
            post(
                "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: 4\r\n",
                "abcd",
            ),
            Once("abcd"),
        ),
    ]
}

fn codings() -> Vec<Case> {
    let with = |coding: &str| post(&format!("transfer-encoding: {coding}\r\n"), CHUNKS);
    let both = |fields: &str| post(fields, CHUNKS);
    vec![
        case("an unknown coding", with("xchunked"), Refused),
        case("no coding", with("identity"), Refused),
        case("an empty coding", with(""), Refused),
        case("chunked not last", with("chunked, identity"), Refused),
        case(
            "a coding that nobody undoes",
            with("gzip, chunked"),
            Refused,
        ),
        case("chunked twice", with("chunked, chunked"), Refused),
        case("a parameter", with("chunked;a=b"), Refused),
        case("in quotes", with("\"chunked\""), Refused),
        case("in brackets", with("[chunked]"), Refused),
        case("a zero byte behind it", with("chunked\0"), Refused),
        case("a vertical tab before it", with("\u{b}chunked"), Refused),
        case("a form feed behind it", with("chunked\u{c}"), Refused),
        case(
            "a blank before the colon",
            post("transfer-encoding : chunked\r\n", CHUNKS),
            Refused,
        ),
        case(
            "on two lines",
            both("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
            Refused,
        ),
        case(
            "another line first",
            both("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n"),
            Refused,
        ),
        case(
            "another line last",
            both("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
            Refused,
        ),
        case(
            "beside a length, and no coding",
            both("content-length: 4\r\ntransfer-encoding: identity\r\n"),
            Refused,
        ),
        case(
            "folded",
            both("transfer-encoding:\r\n chunked\r\n"),
            Refused,
        ),
        case(
            "in HTTP/1.0",
            format!("POST / HTTP/1.0\r\n{HOST}transfer-encoding: chunked\r\n\r\n{CHUNKS}"),
            Refused,
        ),
        case("in capitals", with("CHUNKED"), Once("abc")),
        case(
            "behind a tab",
            post("transfer-encoding:\tchunked\r\n", CHUNKS),
            Once("abc"),
        ),
        case(
            "before a blank",
            post("transfer-encoding: chunked \r\n", CHUNKS),
            Once("abc"),
        ),
        case(
            "a length first",
            both("content-length: 4\r\ntransfer-encoding: chunked\r\n"),
            Once("abc"),
        ),
        case(
            "a length last",
            both("transfer-encoding: chunked\r\ncontent-length: 4\r\n"),
            Once("abc"),
        ),
        case(
            "a length that covers what is hidden",
            both("content-length: 400\r\ntransfer-encoding: chunked\r\n"),
            Once("abc"),
        ),
        case(
            "a length of nothing",
            both("content-length: 0\r\ntransfer-encoding: chunked\r\n"),
            Once("abc"),
        ),
        case(
            "a coding that the connection names",
            both("connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n"),
            Once("abc"),
        ),
        case(
            "a name that only looks like it",
            post(
                "transfer_encoding: chunked\r\ncontent-length: 4\r\n",
                "abcd",
            ),
            Once("abcd"),
        ),
    ]
}

fn chunks() -> Vec<Case> {
    let endless = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(100_000));
    vec![
        case("no number", chunked("zz\r\nabc\r\n"), Broken),
        case("an empty size", chunked("\r\nabc\r\n0\r\n\r\n"), Broken),
        case("a negative size", chunked("-3\r\nabc\r\n0\r\n\r\n"), Broken),
        case("a signed size", chunked("+3\r\nabc\r\n0\r\n\r\n"), Broken),
        case("a prefix", chunked("0x3\r\nabc\r\n0\r\n\r\n"), Broken),
        case(
            "a size that overflows",
            chunked("fffffffffffffffff\r\nabc\r\n"),
            Broken,
        ),
        case(
            "a chunk that goes on",
            chunked("3\r\nabcdef\r\n0\r\n\r\n"),
            Broken,
        ),
        case(
            "a chunk that ends with a newline alone",
            chunked("3\r\nabc\n0\r\n\r\n"),
            Broken,
        ),
        case(
            "a size that ends with a newline alone",
            chunked("3\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        case(
            "a newline in an extension",
            chunked("3;a\nb\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        case(
            "a return in an extension",
            chunked("3;a\rb\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        case("an extension without end", chunked(&endless), Broken),
        case(
            "a folded trailer",
            chunked("3\r\nabc\r\n0\r\nx: y\r\n z\r\n\r\n"),
            Broken,
        ),
        case(
            "a trailer that is none",
            chunked("3\r\nabc\r\n0\r\nx y\r\n\r\n"),
            Broken,
        ),
        case(
            "an extension",
            chunked("3;a=b;c=\"d\"\r\nabc\r\n0\r\n\r\n"),
            Once("abc"),
        ),
        case(
            "zeros in front",
            chunked("0003\r\nabc\r\n000\r\n\r\n"),
            Once("abc"),
        ),
        case(
            "a large digit",
            chunked("A\r\nabcdefghij\r\n0\r\n\r\n"),
            Once("abcdefghij"),
        ),
        case(
            "a blank behind the size",
            chunked("3 \r\nabc\r\n0\r\n\r\n"),
            Once("abc"),
        ),
        case(
            "a trailer that frames",
            chunked("3\r\nabc\r\n0\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n"),
            Once("abc"),
        ),
        case(
            "an announced trailer that frames",
            post(
                "transfer-encoding: chunked\r\ntrailer: content-length, host\r\n",
                "3\r\nabc\r\n0\r\ncontent-length: 99\r\nhost: evil.example\r\n\r\n",
            ),
            Once("abc"),
        ),
    ]
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [
        request_lines(),
        hosts(),
        fields(),
        lengths(),
        codings(),
        chunks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
