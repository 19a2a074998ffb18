//! Headers as the specification writes them, and everything that is none.

use proptest::prelude::*;

use super::*;

fn client(text: &str) -> Source {
    Source::Client(text.parse().unwrap())
}

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&V2[..], &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let destination: Ipv6Addr = "2001:db8::1".parse().unwrap();
    [
        &source.octets()[..],
        &destination.octets(),
        &[0x30, 0x39, 0x01, 0xbb],
    ]
    .concat()
}

#[test]
fn headers_say_who_the_client_is() {
    let tlvs = [&V4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
    for (header, expect) in [
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\n".to_vec(),
            client("192.0.2.7:12345"),
        ),
        (
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".to_vec(),
            client("255.255.255.255:65535"),
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 0 443\r\n".to_vec(),
            client("[2001:db8::7]:0"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), Source::Own),
        (
            b"PROXY UNKNOWN ffff::1 ::1 1 2 whatever\r\n".to_vec(),
            Source::Own,
        ),
        (v2(0x21, 0x11, &V4), client("192.0.2.7:12345")),
        (v2(0x21, 0x11, &tlvs), client("192.0.2.7:12345")),
        (v2(0x21, 0x21, &v6()), client("[2001:db8::7]:12345")),
        (v2(0x21, 0x00, &[]), Source::Own),
        (v2(0x21, 0x31, &[0; 216]), Source::Own),
        (v2(0x20, 0x00, &[]), Source::Own),
        (v2(0x20, 0x11, &V4), Source::Own),
        (v2(0x20, 0x21, &[0; V2_REST_BYTES_MAX]), Source::Own),
    ] {
        let length = header.len();
        assert_eq!(parse(&header), Ok(Some((expect, length))), "{header:?}");
        let followed = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(parse(&followed), Ok(Some((expect, length))));
        for cut in 0..length {
            assert_eq!(parse(&header[..cut]), Ok(None), "{:?}", &header[..cut]);
        }
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "X",
        "proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 \r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n\r\n",
        &long,
    ] {
        assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text:?}");
    }
    for (header, why) in [
        (v2(0x11, 0x11, &V4), "version 1 in the form of 2"),
        (v2(0x22, 0x11, &V4), "an unknown command"),
        (v2(0x21, 0x12, &V4), "datagrams"),
        (v2(0x21, 0x41, &V4), "an unknown family"),
        (v2(0x21, 0x11, &V4[..11]), "too short for its family"),
        (v2(0x21, 0x21, &v6()[..35]), "too short for its family"),
        (v2(0x21, 0x21, &[0; V2_REST_BYTES_MAX + 1]), "too long"),
    ] {
        assert_eq!(parse(&header), Err(Malformed), "{why}");
    }
    let mut signature = v2(0x21, 0x11, &V4);
    for place in 0..V2.len() {
        signature[place] ^= 0x20;
        assert_eq!(parse(&signature), Err(Malformed), "byte {place}");
        signature[place] ^= 0x20;
    }
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

/// Both versions of the header that says this.
fn written(source: SocketAddr) -> [Vec<u8>; 2] {
    let (ip, port) = (source.ip(), source.port());
    let (name, family, octets) = match ip {
        IpAddr::V4(ip) => ("TCP4", 0x11, ip.octets().to_vec()),
        IpAddr::V6(ip) => ("TCP6", 0x21, ip.octets().to_vec()),
    };
    let line = format!("PROXY {name} {ip} {ip} {port} 443\r\n");
    let rest = [&octets[..], &octets, &port.to_be_bytes(), &[1, 0xbb]].concat();
    [line.into_bytes(), v2(0x21, family, &rest)]
}

proptest! {
    #[test]
    fn what_is_written_is_read(source in any_address(), after in any::<Vec<u8>>()) {
        for header in written(source) {
            let length = header.len();
            let all = [header, after.clone()].concat();
            prop_assert_eq!(parse(&all), Ok(Some((Source::Client(source), length))));
        }
    }

    /// Once a header is whole or refused, more bytes change nothing, and a header is never
    /// longer than what was looked at.
    #[test]
    fn more_bytes_never_change_a_verdict(
        start in prop_oneof![Just(V1.to_vec()), Just(V2.to_vec()), Just(Vec::new())],
        middle in any::<Vec<u8>>(),
        after in any::<Vec<u8>>(),
    ) {
        let some = [start, middle].concat();
        let verdict = parse(&some);
        if let Ok(Some((_, length))) = verdict {
            prop_assert!(length <= some.len());
        }
        if verdict != Ok(None) {
            prop_assert_eq!(parse(&[some, after].concat()), verdict);
        }
    }

    /// A line that differs in one byte says the same, something else of the same form, or nothing.
    #[test]
    fn a_changed_line_is_read_as_the_oracle_reads_it(
        source in any_address(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let [mut line, _] = written(source);
        let place = place.index(line.len());
        line[place] = byte;
        if let Ok(Some((Source::Client(read), length))) = parse(&line) {
            let text = std::str::from_utf8(&line[..length]).unwrap();
            let words: Vec<_> = text.trim_end_matches("\r\n").split(' ').collect();
            prop_assert_eq!(words.len(), 6);
            prop_assert_eq!(words[2].parse::<IpAddr>().unwrap(), read.ip());
            prop_assert_eq!(words[4].to_owned(), read.port().to_string());
        }
    }
}
