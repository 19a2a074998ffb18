//! Fields of a head, and what frames a body: bytes to values and values to bytes.

use bytes::Bytes;
use http::Version;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING,
};

use super::names::name;

/// How many fields a head may have: as many as most servers take.
pub(crate) const FIELDS_MAX: usize = 100;

/// What ends a chunk, and what comes after the end of the last one of a body that has no trailers.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Fields that mean the message as a whole, and so nothing behind its body (RFC 9110, section 6.5.1).
static NO_TRAILERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// A field of a head that lies in `input`; none where it is no field. The value is a part of `input`.
pub(crate) fn read_field(
    input: &Bytes,
    field: &httparse::Header<'_>,
) -> Option<(HeaderName, HeaderValue)> {
    let name = name(field.name.as_bytes())?;
    let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value)).ok()?;
    Some((name, value))
}

/// The version of a head by the number behind `HTTP/1.`: what is above 1.1 speaks as 1.1 does (RFC 9110, section 2.5).
pub(crate) fn version(minor: Option<u8>) -> Version {
    match minor {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    }
}

/// Whether the last of the transfer codings in a field is `chunked`: the last one is what frames the body.
pub(crate) fn ends_chunked(codings: &[u8]) -> bool {
    let last = codings.rsplit(|byte| *byte == b',').next();
    last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Digits, and nothing else: no sign, no blank, no overflow.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a list has such an element, in whatever letters.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    // Mostly it is the only one.
    list.eq_ignore_ascii_case(token)
        || list.len() > token.len()
            && list
                .split(|byte| *byte == b',')
                .any(|it| it.trim_ascii().eq_ignore_ascii_case(token))
}

/// Appends a field.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    write_digits(out, number, 10);
}

/// Appends what precedes a chunk's data.
pub(crate) fn write_chunk_size(out: &mut Vec<u8>, size: usize) {
    write_digits(out, size as u64, 16);
    out.extend_from_slice(CHUNK_END);
}

fn write_digits(out: &mut Vec<u8>, mut number: u64, radix: u64) {
    // 64 bits have up to 20 decimal digits.
    let mut digits = [0; 20];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        let digit = u32::try_from(number % radix).unwrap_or_default();
        let letter = char::from_digit(digit, 16).unwrap_or('0');
        letter.encode_utf8(&mut digits[begin..=begin]);
        number /= radix;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[begin..]);
}

/// Appends the trailers that the head has announced, after the last chunk.
pub(crate) fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap, announced: &[HeaderName]) {
    for (name, value) in trailers {
        if announced.contains(name) {
            write_field(out, name, value.as_bytes());
        }
    }
}

/// What a head announces as trailers.
pub(crate) fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(TRAILER).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !NO_TRAILERS.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 255, 65_536, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out.clone()).unwrap(), number.to_string());
            assert_eq!(digits(&out), Some(number));
            out.clear();
            write_digits(&mut out, number, 16);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number:x}"));
        }
        for none in ["", "-1", "+1", "0x4", "4 4", "18446744073709551616"] {
            assert_eq!(digits(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        for (list, has) in [
            ("close", true),
            ("Close", true),
            ("x, CLOSE ,y", true),
            ("closed", false),
            ("x close", false),
            ("", false),
            (",", false),
        ] {
            assert_eq!(has_token(list.as_bytes(), b"close"), has, "{list}");
        }
    }

    #[test]
    fn only_announced_trailers_that_may_be_are_written() {
        let headers = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            headers
        };
        let announced = announced(&headers(&[
            ("trailer", "x-sum , Content-Length,\u{22}bad\u{22}"),
            ("trailer", "x-more"),
        ]));
        let mut out = Vec::new();
        let trailers = headers(&[
            ("x-sum", "7"),
            ("content-length", "9"),
            ("x-secret", "1"),
            ("x-more", "2"),
        ]);
        write_trailers(&mut out, &trailers, &announced);
        assert_eq!(out, b"x-sum: 7\r\nx-more: 2\r\n");
    }
}
