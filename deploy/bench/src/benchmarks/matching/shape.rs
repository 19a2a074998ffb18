//! What rules may ask for: how rule number so and so looks, and a request that it takes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use domain::content::{Criteria, PathPattern, ValuePattern};
use domain::model::IpRange;

/// A kind of rules.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) rule: fn(usize) -> Criteria,
    pub(super) request: fn(usize) -> Asked,
}

/// What of a request differs.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) client: Ipv4Addr,
}

pub(super) const SHAPES: [Shape; 8] = [
    Shape {
        name: "a mixture",
        rule: mixed,
        request: mixed_request,
    },
    Shape {
        name: "prefixes",
        rule: |at| path(PathPattern::Prefix(format!("/tenants/{at}/api"))),
        request: |at| Asked::of(format!("/tenants/{at}/api/v1/orders")),
    },
    Shape {
        name: "one path, a header each",
        rule: |at| Criteria {
            header: one("x-tenant", ValuePattern::Exact(format!("tenant-{at}"))),
            ..exact("/api")
        },
        request: |at| Asked::of("/api".to_owned()).with_tenant(at),
    },
    Shape {
        name: "one path, a parameter each",
        rule: |at| Criteria {
            query: one("tenant", ValuePattern::Exact(format!("t-{at}"))),
            ..exact("/api")
        },
        request: |at| Asked {
            query: format!("page=2&tenant=t%2D{at}"),
            ..Asked::of("/api".to_owned())
        },
    },
    Shape {
        name: "one path, a network each",
        rule: |at| Criteria {
            ip_cidr: vec![IpRange::around(address(at).into(), 24).expect("an IPv4 network")],
            ..exact("/api")
        },
        request: |at| Asked {
            client: address(at),
            ..Asked::of("/api".to_owned())
        },
    },
    Shape {
        name: "the same, all",
        rule: |_| Criteria {
            method: vec!["PUT".to_owned()],
            ..exact("/api")
        },
        request: |_| Asked::of("/api".to_owned()),
    },
    Shape {
        name: "expressions, alike at the start",
        rule: |at| {
            path(PathPattern::Regex(format!(
                "/v[0-9]+/tenants/t{at}/(users|orders)/[a-z0-9]+"
            )))
        },
        request: |at| Asked::of(format!("/v2/tenants/t{at}/orders/a17")),
    },
    Shape {
        name: "expressions, nothing at the start",
        rule: |at| path(PathPattern::Regex(format!(".*/image-{at}\\.(png|jpe?g)"))),
        request: |at| Asked::of(format!("/assets/2026/image-{at}.png")),
    },
];

/// What a route of an API has: mostly paths, some of them for some clients only.
fn mixed(at: usize) -> Criteria {
    match at % 20 {
        0..8 => exact(&format!("/api/v1/things/{at}")),
        8..14 => path(PathPattern::Prefix(format!("/api/v1/groups/{at}"))),
        14..16 => Criteria {
            header: one("x-tenant", ValuePattern::Exact(format!("tenant-{at}"))),
            ..path(PathPattern::Prefix("/api/v2".to_owned()))
        },
        16..18 => path(PathPattern::Regex(format!("/api/v[0-9]+/reports/r{at}/.*"))),
        18 => Criteria {
            query: one("version", ValuePattern::Exact(at.to_string())),
            method: vec!["GET".to_owned()],
            ..exact("/api/v1/search")
        },
        _ => Criteria {
            ip_cidr: vec![IpRange::around(address(at).into(), 28).expect("an IPv4 network")],
            region: vec!["eu-central-1".to_owned()],
            ..Criteria::default()
        },
    }
}

fn mixed_request(at: usize) -> Asked {
    match at % 20 {
        0..8 => Asked::of(format!("/api/v1/things/{at}")),
        8..14 => Asked::of(format!("/api/v1/groups/{at}/members")),
        14..16 => Asked::of("/api/v2/orders".to_owned()).with_tenant(at),
        16..18 => Asked::of(format!("/api/v3/reports/r{at}/2026")),
        18 => Asked {
            query: format!("q=edge&version={at}"),
            ..Asked::of("/api/v1/search".to_owned())
        },
        _ => Asked {
            client: address(at),
            ..Asked::of("/elsewhere".to_owned())
        },
    }
}

impl Asked {
    /// A request as a browser sends it.
    fn of(path: String) -> Self {
        let headers = [
            ("host", "api.example.net"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ),
            ("accept-language", "en-GB,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("referer", "https://www.example.net/start"),
            ("cookie", "session=3f9a7c5d1b; theme=dark"),
            ("sec-fetch-mode", "navigate"),
            ("upgrade-insecure-requests", "1"),
        ];
        Self {
            path,
            query: String::new(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            client: Ipv4Addr::new(192, 0, 2, 1),
        }
    }

    fn with_tenant(mut self, at: usize) -> Self {
        self.headers
            .push(("x-tenant".to_owned(), format!("tenant-{at}")));
        self
    }
}

fn address(at: usize) -> Ipv4Addr {
    // Networks of 256 addresses, side by side.
    let number = u32::try_from(at).unwrap_or_default() << 8;
    Ipv4Addr::from_bits(0x0a00_0000 + number + 7)
}

fn path(pattern: PathPattern) -> Criteria {
    Criteria {
        path: vec![pattern],
        ..Criteria::default()
    }
}

fn exact(text: &str) -> Criteria {
    path(PathPattern::Exact(text.to_owned()))
}

fn one(name: &str, pattern: ValuePattern) -> BTreeMap<String, Vec<ValuePattern>> {
    BTreeMap::from([(name.to_owned(), vec![pattern])])
}
