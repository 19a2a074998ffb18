//! Which addresses and URLs are allowed, by table.

use std::net::IpAddr;

use super::super::address::{AddressPolicy, Receiver, Scheme, URL_BYTES_MAX};

fn policy(ranges: &[&str]) -> AddressPolicy {
    AddressPolicy::new(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

fn good(policy: &AddressPolicy, scheme: Scheme, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    policy.check(scheme, address).is_ok()
}

/// Both ends of each range, and what lies just outside of it.
#[test]
fn each_refused_range_of_ipv4_ends_where_it_should() {
    for (inside, outside) in [
        (["0.0.0.0", "0.255.255.255"], ["1.0.0.0", "1.0.0.0"]),
        (
            ["10.0.0.0", "10.255.255.255"],
            ["9.255.255.255", "11.0.0.0"],
        ),
        (
            ["100.64.0.0", "100.127.255.255"],
            ["100.63.255.255", "100.128.0.0"],
        ),
        (
            ["127.0.0.0", "127.255.255.255"],
            ["126.255.255.255", "128.0.0.0"],
        ),
        (
            ["169.254.0.0", "169.254.255.255"],
            ["169.253.255.255", "169.255.0.0"],
        ),
        (
            ["172.16.0.0", "172.31.255.255"],
            ["172.15.255.255", "172.32.0.0"],
        ),
        (
            ["192.0.0.0", "192.0.0.255"],
            ["191.255.255.255", "192.0.1.0"],
        ),
        (["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0"]),
        (
            ["192.88.99.0", "192.88.99.255"],
            ["192.88.98.255", "192.88.100.0"],
        ),
        (
            ["192.168.0.0", "192.168.255.255"],
            ["192.167.255.255", "192.169.0.0"],
        ),
        (
            ["198.18.0.0", "198.19.255.255"],
            ["198.17.255.255", "198.20.0.0"],
        ),
        (
            ["198.51.100.0", "198.51.100.255"],
            ["198.51.99.255", "198.51.101.0"],
        ),
        (
            ["203.0.113.0", "203.0.113.255"],
            ["203.0.112.255", "203.0.114.0"],
        ),
        (
            ["168.63.129.16", "168.63.129.16"],
            ["168.63.129.15", "168.63.129.17"],
        ),
        (
            ["224.0.0.0", "239.255.255.255"],
            ["223.255.255.255", "223.255.255.255"],
        ),
        (["240.0.0.0", "255.255.255.255"], ["8.8.8.8", "8.8.8.8"]),
    ] {
        let strict = policy(&[]);
        for address in inside {
            assert!(!good(&strict, Scheme::Https, address), "{address}");
            let dressed = [
                format!("::ffff:{address}"),
                format!("::{address}"),
                format!("64:ff9b::{address}"),
            ];
            for address in dressed {
                assert!(!good(&strict, Scheme::Https, &address), "{address}");
            }
        }
        for address in outside {
            assert!(good(&strict, Scheme::Https, address), "{address}");
        }
    }
}

#[test]
fn of_ipv6_only_what_is_public_is_allowed() {
    let strict = policy(&[]);
    for address in [
        "::",
        "::1",
        "fc00::",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "1fff:ffff::1",
        "4000::1",
        "5f00::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "3fff::1",
        "3fff:fff::1",
        "64:ff9b:1::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:c0a8:101::1",
        "2002:a9fe:a9fe::1",
        "::ffff:7f00:1",
        "::ffff:0:7f00:1",
        "::7f00:1",
        // Whatever they lead to.
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
    ] {
        assert!(!good(&strict, Scheme::Https, address), "{address}");
    }
    for address in [
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "2001:200::1",
        "3ffe::1",
        "2001:ffff::1",
        "2003::1",
    ] {
        assert!(good(&strict, Scheme::Https, address), "{address}");
    }
}

#[test]
fn the_operator_allows_ranges_and_nothing_beside_them() {
    let open = policy(&["10.1.0.0/16", "fd00:1::/32", "::1/128"]);
    for (address, expected) in [
        ("10.1.0.0", true),
        ("10.1.255.255", true),
        ("::ffff:10.1.2.3", true),
        ("64:ff9b::10.1.2.3", true),
        ("2002:a01:203::1", true),
        ("fd00:1::5", true),
        ("::1", true),
        ("10.0.255.255", false),
        ("10.2.0.0", false),
        ("::ffff:10.2.0.0", false),
        ("fd00:2::5", false),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
    ] {
        assert_eq!(good(&open, Scheme::Https, address), expected, "{address}");
        assert_eq!(good(&open, Scheme::Http, address), expected, "{address}");
    }
    assert!(good(&open, Scheme::Https, "8.8.8.8"));
    assert!(!good(&open, Scheme::Http, "8.8.8.8"));
}

#[test]
fn urls_that_no_webhook_may_go_to_are_refused_with_the_reason() {
    let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
    for (url, reason) in [
        ("", "not a URL"),
        ("example.com/hook", "not a URL"),
        ("https://", "not a URL"),
        ("https:///", "not a URL"),
        ("https://example.com:70000/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://exa<mple.com/", "not a URL"),
        ("ftp://example.com/", "https"),
        ("file:///etc/passwd", "https"),
        ("javascript:alert(1)", "https"),
        ("http://example.com/", "plain http"),
        ("http://8.8.8.8/", "plain http"),
        ("https://user@example.com/", "user name"),
        ("https://user:secret@example.com/", "user name"),
        ("https://:secret@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com:0/", "port"),
        (" https://example.com/", "white space"),
        ("https://example.com/\n", "white space"),
        ("https://exam\tple.com/", "white space"),
        ("https://example.com/\u{a0}", "white space"),
        ("https://example.com/\u{0}", "white space"),
        ("https:\\\\example.com/", "backslash"),
        ("https://example.com\\@127.0.0.1/", "backslash"),
        ("https://a..example.com/", "not a name"),
        ("https://example.com../", "not a name"),
        ("https://localhost../", "not a name"),
        (long.as_str(), "2048 bytes"),
    ] {
        let refused = Receiver::parse(url, &policy(&[])).expect_err(url);
        assert!(refused.contains(reason), "{url}: {refused}");
    }
}

#[test]
fn an_address_is_judged_in_whatever_notation_it_stands() {
    let strict = policy(&[]);
    let loopback = policy(&["127.0.0.0/8", "::1/128"]);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "2130706433",
        "127.0.0.1.",
        "127.0.0.1",
        "%31%32%37.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "receiver.localhost",
        "receiver.localhost.",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:8443/hook");
            assert!(Receiver::parse(&url, &strict).is_err(), "{url}");
            assert!(Receiver::parse(&url, &loopback).is_ok(), "{url}");
        }
    }
    for host in [
        "169.254.169.254",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
        "0",
        "10.0.0.8",
    ] {
        let url = format!("https://{host}/");
        assert!(Receiver::parse(&url, &loopback).is_err(), "{url}");
    }
}

#[test]
fn what_is_good_is_taken_apart() {
    let strict = policy(&[]);
    for (url, port, authority, target) in [
        ("https://example.com", 443, "example.com", "/"),
        ("https://Example.COM./a?b=c", 443, "example.com", "/a?b=c"),
        ("https://example.com:443/", 443, "example.com", "/"),
        ("https://example.com:8443/x", 8443, "example.com:8443", "/x"),
        (
            "https://bücher.example/ü",
            443,
            "xn--bcher-kva.example",
            "/%C3%BC",
        ),
        ("https://8.8.8.8/?", 443, "8.8.8.8", "/?"),
        (
            "https://[2606:4700::1111]:8443/",
            8443,
            "[2606:4700::1111]:8443",
            "/",
        ),
        ("https://example.com/a@b/../c", 443, "example.com", "/c"),
        (
            "https://example.com/a|b^c?d=[e]|'{}",
            443,
            "example.com",
            "",
        ),
    ] {
        let receiver = Receiver::parse(url, &strict).expect(url);
        assert_eq!(receiver.scheme, Scheme::Https, "{url}");
        assert_eq!(receiver.port, port, "{url}");
        assert_eq!(receiver.authority, authority, "{url}");
        if !target.is_empty() {
            assert_eq!(receiver.target.to_string(), target, "{url}");
        }
    }
}

#[test]
fn plain_http_needs_a_range_that_could_cover_the_name() {
    let url = "http://receiver.internal:8080/hook";
    assert!(Receiver::parse(url, &policy(&[])).is_err());
    let receiver = Receiver::parse(url, &policy(&["10.1.0.0/16"])).unwrap();
    assert_eq!((receiver.scheme, receiver.port), (Scheme::Http, 8080));
    let plain = Receiver::parse("http://10.1.0.9/", &policy(&["10.1.0.0/16"])).unwrap();
    assert_eq!((plain.scheme, plain.port), (Scheme::Http, 80));
}
