//! Decisions of a route in service.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::content::{
    Action as Content, Criteria, RouteContent, RuleContent, UpstreamContent, WeightedUpstream,
};
use domain::id::RouteId;
use domain::model::{Algorithm, Mode, Priority};
use domain::tree::Hash;
use http::Response;
use http::header::{HeaderValue, LOCATION};
use http_body_util::Full;

use super::*;

fn up(name: &str) -> UpstreamId {
    UpstreamId::parse(&format!("up_{name:0>8}")).unwrap()
}

/// An upstream whose targets are called `a`, `b`, … with these weights.
fn upstream(name: &str, weights: &[u32]) -> UpstreamContent {
    let target = |(place, weight): (usize, &u32)| TargetContent {
        id: TargetId::parse(&format!("tgt_{name:0>7}{place}")).unwrap(),
        address: format!("{name}{place}.example.net"),
        port: 80,
        weight: *weight,
    };
    let targets = weights.iter().enumerate().map(target).collect();
    UpstreamContent {
        id: up(name),
        name: name.to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets,
    }
}

fn shares(names: &[(&str, u32)]) -> Vec<WeightedUpstream> {
    let share = |(name, weight): &(&str, u32)| WeightedUpstream {
        upstream_id: up(name),
        weight: *weight,
    };
    names.iter().map(share).collect()
}

fn rule(number: u32, method: &str, action: Content) -> RuleContent {
    RuleContent {
        id: RuleId::parse(&format!("rule_{number:08}")).unwrap(),
        priority: Priority(number),
        name: String::new(),
        criteria: Criteria {
            method: vec![method.to_owned()],
            ..Criteria::default()
        },
        action,
        metadata: BTreeMap::new(),
    }
}

fn route(
    rules: Vec<RuleContent>,
    upstreams: Vec<UpstreamContent>,
    defaults: &[(&str, u32)],
    previous: Option<&Route>,
) -> Result<Route, Unservable> {
    let content = RouteContent {
        route_id: RouteId::parse("rt_00000001").unwrap(),
        name: String::new(),
        hostname: "api.example.net".to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: shares(defaults),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: Hash::EMPTY_TREE,
        rule_count: rules.len() as u64,
    };
    Route::new(
        CompiledRoute::compile(content, rules, upstreams).unwrap(),
        previous,
    )
}

fn ask<'a>(route: &'a Route, method: &str) -> Verdict<'a> {
    let headers: &[(&str, &str)] = &[];
    let question = Request {
        method,
        host: "api.example.net",
        path: "/",
        query: "",
        headers,
        client: "192.0.2.1".parse().unwrap(),
        region: "eu",
    };
    route.decide(&question).verdict
}

fn target(route: &Route, method: &str) -> String {
    match ask(route, method) {
        Verdict::Forward(target) => target.authority.clone(),
        other => format!("{other:?}"),
    }
}

fn counts(route: &Route, method: &str, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(target(route, method)).or_default() += 1;
    }
    counts
}

fn expect(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts
        .iter()
        .map(|(name, count)| (format!("{name}.example.net:80"), *count))
        .collect()
}

#[test]
fn ratios_are_exact_over_upstreams_and_their_targets() {
    let forward = Content::Forward {
        upstreams: shares(&[("x", 95), ("y", 5)]),
    };
    let upstreams = vec![upstream("x", &[1]), upstream("y", &[3, 1])];
    let route = route(vec![rule(1, "GET", forward)], upstreams, &[], None).unwrap();
    assert_eq!(
        counts(&route, "GET", 400),
        expect(&[("x0", 380), ("y0", 15), ("y1", 5)])
    );
}

#[test]
fn an_upstream_is_balanced_over_all_rules_that_use_it() {
    let forward = |name| Content::Forward {
        upstreams: shares(&[(name, 1)]),
    };
    let rules = vec![rule(1, "GET", forward("x")), rule(2, "PUT", forward("x"))];
    let route = route(rules, vec![upstream("x", &[1, 1])], &[("x", 1)], None).unwrap();
    let taken: Vec<_> = ["GET", "PUT", "POST", "GET"]
        .iter()
        .map(|method| target(&route, method))
        .collect();
    assert_eq!(
        taken,
        [
            "x0.example.net:80",
            "x1.example.net:80",
            "x0.example.net:80",
            "x1.example.net:80"
        ]
    );
}

#[test]
fn what_has_no_usable_target_takes_nothing() {
    let forward = |names: &[(&str, u32)]| Content::Forward {
        upstreams: shares(names),
    };
    let rules = vec![
        rule(1, "GET", forward(&[("dead", 100), ("x", 1)])),
        rule(2, "PUT", forward(&[("dead", 100), ("x", 0)])),
    ];
    let upstreams = vec![upstream("dead", &[0, 0]), upstream("x", &[0, 1])];
    let route = route(rules, upstreams, &[], None).unwrap();
    assert_eq!(counts(&route, "GET", 5), expect(&[("x1", 5)]));
    assert!(matches!(ask(&route, "PUT"), Verdict::NoTarget));
    assert!(matches!(ask(&route, "DELETE"), Verdict::NoRule));
}

#[test]
fn rotations_go_on_when_a_route_is_published_again() {
    let build = |number, weights: &[u32], previous: Option<&Route>| {
        let forward = Content::Forward {
            upstreams: shares(&[("x", 1), ("y", 1)]),
        };
        let upstreams = vec![upstream("x", weights), upstream("y", &[1])];
        route(vec![rule(number, "GET", forward)], upstreams, &[], previous).unwrap()
    };
    let mut current = build(1, &[1, 1], None);
    let mut taken = Vec::new();
    for _ in 0..8 {
        taken.push(target(&current, "GET"));
        current = build(1, &[1, 1], Some(&current));
    }
    let counted = |name: &str| {
        taken
            .iter()
            .filter(|target| target.starts_with(name))
            .count()
    };
    assert_eq!(
        (counted("x0"), counted("x1"), counted("y0")),
        (2, 2, 4),
        "{taken:?}"
    );
    // A rule that was not there before begins anew; its upstream goes on.
    assert_eq!(
        target(&build(2, &[1, 1], Some(&current)), "GET"),
        "x0.example.net:80"
    );
}

#[test]
fn addresses_are_written_for_connecting() {
    let mut content = upstream("x", &[1]);
    for (address, authority) in [
        ("origin.example.net", "origin.example.net:80"),
        ("192.0.2.1", "192.0.2.1:80"),
        ("2001:db8::1", "[2001:db8::1]:80"),
        ("[2001:db8::1]", "[2001:db8::1]:80"),
    ] {
        content.targets[0].address = address.to_owned();
        assert_eq!(
            Target::new(&content.id, &content.targets[0]).authority,
            authority
        );
    }
}

#[test]
fn redirects_keep_the_path_only_when_told_and_never_leave_for_another_host() {
    for (url, preserve, asked, location) in [
        ("https://a.example/x", false, "/p?q", "https://a.example/x"),
        ("https://a.example", true, "/p?q", "https://a.example/p?q"),
        ("https://a.example/", true, "/p", "https://a.example/p"),
        (
            "https://a.example/base/",
            true,
            "/p/",
            "https://a.example/base/p/",
        ),
        ("https://a.example", true, "/", "https://a.example/"),
        (
            "https://a.example",
            true,
            "//evil.example/",
            "https://a.example//evil.example/",
        ),
        ("/new", true, "/p", "/new/p"),
        ("/", true, "/p?q=//x", "/p?q=//x"),
        ("/", true, "//evil.example/", "/evil.example/"),
        ("/", true, "///", "/"),
    ] {
        let redirect = Redirect::new(url, 308, preserve).unwrap();
        let response: Response<()> = redirect.response(asked);
        assert_eq!(response.status(), 308);
        assert_eq!(response.headers()[LOCATION], location, "{url} {asked}");
    }
}

#[test]
fn fixed_responses_are_ready_made_and_bad_ones_are_named() {
    let fields = [("x-a".to_owned(), "1".to_owned())];
    let fixed: Response<Full<Bytes>> = Fixed::new(418, &fields, "tea").unwrap().response();
    assert_eq!(
        (fixed.status().as_u16(), &fixed.headers()["x-a"]),
        (418, &HeaderValue::from_static("1"))
    );
    let bodiless: Response<Bytes> = Fixed::new(204, &fields, "tea").unwrap().response();
    assert!(bodiless.body().is_empty());
    let bad = Content::FixedResponse {
        status: 200,
        headers: BTreeMap::from([("x a".to_owned(), String::new())]),
        body: String::new(),
    };
    let error = route(vec![rule(7, "GET", bad)], Vec::new(), &[], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rule rule_00000007: `x a` is no header name"
    );
}
