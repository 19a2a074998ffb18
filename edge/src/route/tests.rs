//! Decisions of a route in service.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::content::{
    Action as Content, Criteria, RouteContent, RuleContent, TargetContent, UpstreamContent,
    WeightedUpstream,
};
use domain::id::{RouteId, TargetId, UpstreamId};
use domain::model::{Algorithm, HashKey, Mode, Priority};
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
        regions: Vec::new(),
        drain: false,
    };
    let targets = weights.iter().enumerate().map(target).collect();
    UpstreamContent {
        id: up(name),
        name: name.to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets,
        settings: domain::model::UpstreamSettings::default(),
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
        &around(),
    )
}

fn around() -> Surroundings {
    Surroundings {
        region: "eu".to_owned(),
        ..Surroundings::default()
    }
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
        Verdict::Forward(forward) => forward
            .pick(&[], &Keys::default())
            .map_or_else(|| "nothing".to_owned(), |target| target.authority.clone()),
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
            Target::identity(&content.id, &content.targets[0]).authority,
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

/// Where a request goes: the tried targets' addresses are left out.
fn pick(forward: Forward<'_>, tried: &[&Target]) -> Option<String> {
    let target = forward.pick(tried, &Keys::default());
    target.map(|target| target.authority.clone())
}

fn forward(route: &Route) -> Forward<'_> {
    match ask(route, "GET") {
        Verdict::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

/// A route that sends everything to one upstream of three targets, changed by `change`.
fn three(change: impl FnOnce(&mut UpstreamContent)) -> Route {
    let mut content = upstream("x", &[1, 1, 1]);
    change(&mut content);
    route(Vec::new(), vec![content], &[("x", 1)], None).unwrap()
}

#[test]
fn targets_that_drain_or_are_for_other_regions_take_nothing() {
    let route = three(|content| {
        content.targets[0].drain = true;
        content.targets[1].regions = vec!["us".to_owned(), "eu".to_owned()];
        content.targets[2].regions = vec!["us".to_owned()];
    });
    assert_eq!(counts(&route, "GET", 5), expect(&[("x1", 5)]));
    let all = three(|content| {
        content
            .targets
            .iter_mut()
            .for_each(|target| target.drain = true)
    });
    assert!(matches!(ask(&all, "GET"), Verdict::NoTarget));
}

#[test]
fn a_target_that_was_tried_is_not_tried_again() {
    let route = three(|_| ());
    let forward = forward(&route);
    let first = forward.pick(&[], &Keys::default()).unwrap();
    let second = forward.pick(&[first], &Keys::default()).unwrap();
    let third = forward.pick(&[first, second], &Keys::default()).unwrap();
    assert_eq!(pick(forward, &[first, second, third]), None);
    assert_ne!(first.authority, second.authority);
    assert_ne!(first.authority, third.authority);
    assert_ne!(second.authority, third.authority);
}

#[test]
fn the_fewest_requests_for_the_weight_decide_where_connections_count() {
    let route = three(|content| {
        content.algorithm = Algorithm::LeastConn;
        content.targets[0].weight = 2;
    });
    let forward = forward(&route);
    let mut under_way = Vec::new();
    for _ in 0..40 {
        let target = forward.pick(&[], &Keys::default()).unwrap();
        let health = Arc::clone(&target.health);
        under_way.push(crate::health::TargetHealth::occupy(health, 0).unwrap());
    }
    let upstream = &route.upstreams[0];
    let loads: Vec<_> = upstream
        .targets
        .iter()
        .map(|target| target.health.under_way())
        .collect();
    assert_eq!(loads, [20, 10, 10]);
    // All of one target's requests end: the next go there.
    under_way.retain(|occupancy| !Arc::ptr_eq(occupancy.target(), &upstream.targets[1].health));
    for _ in 0..10 {
        let target = forward.pick(&[], &Keys::default()).unwrap();
        assert_eq!(target.authority, "x1.example.net:80");
        let health = Arc::clone(&target.health);
        under_way.push(crate::health::TargetHealth::occupy(health, 1).unwrap());
    }
}

#[test]
fn a_key_leads_to_one_target_and_only_its_own_keys_move() {
    let build = |weight| {
        three(|content| {
            content.algorithm = Algorithm::Hash;
            content.settings.hash_key = HashKey::Header("x-user".to_owned());
            content.targets[2].weight = weight;
        })
    };
    let place = |route: &Route, key: u64| {
        let forward = forward(route);
        let keys = forward.keys(|source| {
            assert_eq!(*source, HashKey::Header("x-user".to_owned()));
            key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        forward.pick(&[], &keys).unwrap().authority.clone()
    };
    let (with, without) = (build(1), build(0));
    let mut moved = 0;
    for key in 0..300 {
        let before = place(&with, key);
        assert_eq!(place(&with, key), before);
        let after = place(&without, key);
        if before == "x2.example.net:80" {
            moved += 1;
        } else {
            assert_eq!(after, before);
        }
    }
    assert!((60..140).contains(&moved), "{moved}");
}
