//! Receivers of webhooks: a customer's URL, to which our own network sends requests. What is said of
//! addresses here is said a second time, by other means than the code that is tested.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use node::testing::{Receiver, receiver, receives};
use url::{Host, Url};

use crate::Seen;

pub(super) const WORDS: &[&[u8]] = &[
    b"https://",
    b"http://",
    b"//",
    b"@",
    b":",
    b"#",
    b"?",
    b"\\",
    b"%00",
    b"%2e",
    b"[",
    b"]",
    b"::ffff:",
    b"64:ff9b::",
    b"127.0.0.1",
    b"0x7f.1",
    b"2130706433",
    b"0177.0.0.1",
    b"localhost",
    b".localhost",
    b"10.0.0.1",
    b"169.254.169.254",
    b"2002:",
    b".",
    b"xn--",
    b":443",
    b":8443",
    b":0",
    b":65536",
    b"example.net",
    "\u{3002}".as_bytes(),
    "\u{2460}".as_bytes(),
    "\u{ff11}".as_bytes(),
];

/// The first byte says whether the rest is a URL or an address.
pub(super) fn run(input: &[u8]) -> Seen {
    let Some((kind, bytes)) = input.split_first() else {
        return Seen::of("nothing");
    };
    if kind.is_multiple_of(4) {
        return address(bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    match receiver(&text, &[]) {
        Ok(taken) => of_url(&text, &taken),
        Err(reason) => {
            // What is refused with nothing allowed may be allowed; it is still a URL without a user.
            let allowed = receiver(&text, &["0.0.0.0/0", "::/0"]);
            if let Ok(taken) = &allowed {
                same(&text, taken);
            }
            Seen::refused(&reason).and(Seen::of(allowed.is_ok()))
        }
    }
}

fn of_url(text: &str, taken: &Receiver) -> Seen {
    assert!(taken.https, "it is spoken to in clear text");
    same(text, taken);
    let url = Url::parse(text).expect("a receiver has a URL");
    match url.host() {
        Some(Host::Ipv4(address)) => assert!(is_public_v4(address), "{address} is taken"),
        Some(Host::Ipv6(address)) => assert!(is_public_v6(address), "{address} is taken"),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            assert!(
                name != "localhost" && !name.ends_with(".localhost"),
                "{name} is taken"
            );
        }
        None => panic!("it has no host"),
    }
    Seen::of((
        matches!(url.host(), Some(Host::Domain(_))),
        url.port(),
        url.query().is_some(),
    ))
}

/// It is sent where the URL says, and written down again it is the same one.
fn same(text: &str, taken: &Receiver) {
    let url = Url::parse(text).expect("a receiver has a URL");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    assert_eq!(Some(taken.port), url.port_or_known_default());
    assert!(taken.port > 0 && taken.target.starts_with('/'));
    assert!(
        !taken.authority.contains(['@', '/', '?', '#', '\\'])
            && !taken.authority.contains(char::is_whitespace)
    );
    let scheme = if taken.https { "https" } else { "http" };
    let written = format!("{scheme}://{}{}", taken.authority, taken.target);
    let again = receiver(&written, &["0.0.0.0/0", "::/0"]);
    assert_eq!(again.as_ref(), Ok(taken), "{written} is another one");
}

fn address(bytes: &[u8]) -> Seen {
    let mut segments = [0; 16];
    for (to, from) in segments.iter_mut().zip(bytes) {
        *to = *from;
    }
    let v6 = Ipv6Addr::from(segments);
    let [a, b, c, d, ..] = segments;
    let v4 = Ipv4Addr::new(a, b, c, d);
    let taken = [receives(IpAddr::V4(v4)), receives(IpAddr::V6(v6))];
    assert!(!taken[0] || is_public_v4(v4), "{v4} is taken");
    assert!(!taken[1] || is_public_v6(v6), "{v6} is taken");
    // In whatever clothes.
    let bits = u128::from(v4.to_bits());
    for dressed in [
        bits,
        0xffff << 32 | bits,
        0x0064_ff9b << 96 | bits,
        0x2002 << 112 | bits << 80,
    ] {
        let dressed = Ipv6Addr::from_bits(dressed);
        assert!(
            !receives(IpAddr::V6(dressed)) || is_public_v4(v4),
            "{dressed} is taken"
        );
    }
    Seen::of((taken, v6.segments()[0] >> 12))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (b == 18 || b == 19);
    let assigned = (a, b, c) == (192, 0, 0);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || shared
        || benchmark
        || assigned)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let documentation = (a, b) == (0x2001, 0xdb8);
    a >> 13 == 1 && a != 0x2002 && !documentation && !(a == 0x2001 && b < 0x200)
}
