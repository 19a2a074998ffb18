//! Hostnames, which decide whose route a request meets: one form for each, for all who read it.

use domain::content::hostname;
use domain::matching::normalise_host;
use url::{Host, Url};

use crate::Seen;
use crate::seen::size;

pub(super) const WORDS: &[&[u8]] = &[
    b"xn--",
    b"*.",
    b".",
    b"-",
    b"0x",
    b"127",
    b"localhost",
    b"example",
    b".net",
    b":8080",
    b"[::1]",
    b"%2e",
    "\u{fc}".as_bytes(),
    "\u{df}".as_bytes(),
    "\u{3002}".as_bytes(),
    "\u{ff0e}".as_bytes(),
    "\u{200d}".as_bytes(),
    "\u{430}".as_bytes(),
    "\u{4f8b}".as_bytes(),
    "\u{ff11}".as_bytes(),
    "\u{661}".as_bytes(),
    "\u{ad}".as_bytes(),
];

/// The first byte says whether the rest is a route's hostname or what a request names as its host.
pub(super) fn run(input: &[u8]) -> Seen {
    let Some((kind, bytes)) = input.split_first() else {
        return Seen::of("nothing");
    };
    let text = String::from_utf8_lossy(bytes);
    if kind.is_multiple_of(2) {
        of_route(&text)
    } else {
        of_request(&text)
    }
}

fn of_route(text: &str) -> Seen {
    let stored = match hostname(text) {
        Ok(stored) => stored,
        Err(error) => return Seen::refused(&error),
    };
    assert_eq!(
        hostname(&stored).as_ref(),
        Ok(&stored),
        "it has a form of its own"
    );
    assert!(stored.len() <= 253 && stored.is_ascii());
    assert!(!stored.bytes().any(|byte| byte.is_ascii_uppercase()));
    if text.is_ascii() {
        let shouted = hostname(&text.to_ascii_uppercase());
        assert_eq!(
            shouted.as_ref(),
            Ok(&stored),
            "capitals make another one of it"
        );
    }
    let name = stored.strip_prefix("*.").unwrap_or(&stored);
    assert!(!name.contains('*'));
    assert_eq!(
        normalise_host(name).as_deref(),
        Ok(name),
        "no request can name it"
    );
    // Browsers read names as the URL standard has it.
    let url = Url::parse(&format!("https://{name}/")).expect("a hostname stands in a URL");
    assert_eq!(
        url.host(),
        Some(Host::Domain(name)),
        "clients take it for something else"
    );
    Seen::of((
        stored == name,
        name.contains("xn--"),
        size(name.split('.').count()),
    ))
}

fn of_request(text: &str) -> Seen {
    match normalise_host(text) {
        Ok(host) => {
            assert_eq!(
                normalise_host(&host).as_ref(),
                Ok(&host),
                "it has a form of its own"
            );
            assert!(!host.is_empty() && !host.bytes().any(|byte| byte.is_ascii_uppercase()));
            Seen::of((host == text, host.starts_with('['), size(host.len())))
        }
        Err(refusal) => Seen::refused(&format!("{refusal:?}")),
    }
}
