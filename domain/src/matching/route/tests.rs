//! Compiled routes against a naive reader of the same content.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::content::{Criteria, PathPattern, ValuePattern, rule_key};
use crate::model::{Algorithm, Mode};

fn rule(id: &str, priority: u32, criteria: Criteria, action: Action) -> RuleContent {
    let id = RuleId::parse(&format!("rule_{id:0>8}")).unwrap();
    RuleContent {
        name: id.to_string(),
        id,
        priority: Priority(priority),
        criteria,
        action,
        metadata: BTreeMap::new(),
    }
}

fn up(name: &str) -> UpstreamId {
    UpstreamId::parse(&format!("up_{name:0>8}")).unwrap()
}

fn upstream(name: &str) -> UpstreamContent {
    let target = TargetContent {
        id: TargetId::parse(&format!("tgt_{name:0>8}")).unwrap(),
        address: "127.0.0.1".to_owned(),
        port: 80,
        weight: 1,
        regions: Vec::new(),
        drain: false,
    };
    UpstreamContent {
        id: up(name),
        name: name.to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: vec![target],
        settings: crate::model::UpstreamSettings::default(),
    }
}

fn forward(names: &[(&str, u32)]) -> Action {
    Action::Forward {
        upstreams: names
            .iter()
            .map(|(name, weight)| WeightedUpstream {
                upstream_id: up(name),
                weight: *weight,
            })
            .collect(),
    }
}

fn answer(status: u16) -> Action {
    Action::FixedResponse {
        status,
        headers: BTreeMap::new(),
        body: String::new(),
    }
}

fn content() -> RouteContent {
    RouteContent {
        route_id: RouteId::parse("rt_00000001").unwrap(),
        name: "test".to_owned(),
        hostname: "api.example.net".to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: Vec::new(),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: Hash::EMPTY_TREE,
        rule_count: 0,
    }
}

fn request<'a>(
    method: &'a str,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
) -> Request<'a, [(&'a str, &'a str)]> {
    Request {
        method,
        host: "api.example.net",
        path,
        query: "",
        headers,
        client: "192.0.2.1".parse().unwrap(),
        region: "eu",
    }
}

/// Contract: R-30.
#[test]
fn the_lowest_priority_that_matches_wins_and_ties_go_by_identifier() {
    let methods = |method: &str| Criteria {
        method: vec![method.to_owned()],
        ..Criteria::default()
    };
    let rules = vec![
        rule("4", 30, Criteria::default(), answer(204)),
        rule("3", 20, methods("GET"), answer(203)),
        rule("2", 20, methods("GET"), answer(202)),
        rule("1", 10, methods("PUT"), answer(201)),
    ];
    let route = CompiledRoute::compile(content(), rules, Vec::new()).unwrap();
    let found = |method| {
        route
            .find(&request(method, "/", &[]))
            .map(|(place, rule)| (place, rule.action.clone()))
    };
    let answers = |status| CompiledAction::FixedResponse {
        status,
        headers: Vec::new(),
        body: String::new(),
    };
    assert_eq!(found("PUT"), Some((0, answers(201))));
    assert_eq!(found("GET"), Some((1, answers(202))));
    assert_eq!(found("DELETE"), Some((3, answers(204))));
}

#[test]
fn a_route_without_a_fitting_rule_finds_none() {
    let criteria = Criteria {
        method: vec!["PUT".to_owned()],
        ..Criteria::default()
    };
    let route = CompiledRoute::compile(
        content(),
        vec![rule("1", 0, criteria, answer(200))],
        Vec::new(),
    )
    .unwrap();
    assert!(route.find(&request("GET", "/", &[])).is_none());
}

#[test]
fn upstreams_are_resolved_to_their_places() {
    let route = RouteContent {
        default_upstreams: vec![WeightedUpstream {
            upstream_id: up("b"),
            weight: 7,
        }],
        ..content()
    };
    let rules = vec![rule(
        "1",
        0,
        Criteria::default(),
        forward(&[("c", 1), ("a", 3)]),
    )];
    let route = CompiledRoute::compile(
        route,
        rules,
        vec![upstream("c"), upstream("a"), upstream("b")],
    )
    .unwrap();
    assert_eq!(
        route.defaults,
        [Share {
            upstream: 1,
            weight: 7
        }]
    );
    assert_eq!(
        route.rules()[0].action,
        CompiledAction::Forward(vec![
            Share {
                upstream: 2,
                weight: 1
            },
            Share {
                upstream: 0,
                weight: 3
            }
        ])
    );
    assert_eq!(route.upstreams()[2].id, up("c"));
}

#[test]
fn patterns_are_compiled_once_and_kept_for_the_next_content() {
    let matching = |id: &str, regex: &str| {
        let criteria = Criteria {
            path: vec![PathPattern::Regex(regex.to_owned())],
            ..Criteria::default()
        };
        rule(id, 0, criteria, answer(200))
    };
    let compile = |before: Option<&CompiledRoute>, rules| {
        CompiledRoute::compile_after(before, content(), rules, Vec::new()).unwrap()
    };
    let first = compile(
        None,
        vec![
            matching("1", "/a+"),
            matching("2", "/a+"),
            matching("3", "/b+"),
        ],
    );
    assert_eq!(first.patterns.len(), 2);
    let second = compile(
        Some(&first),
        vec![matching("1", "/a+"), matching("4", "/c+")],
    );
    assert_eq!(second.patterns.len(), 2);
    let same = |text| {
        first
            .patterns
            .get(text)
            .unwrap()
            .is(second.patterns.get(text).unwrap())
    };
    assert!(same("/a+"), "it was not compiled again");
}

#[test]
fn changes_that_do_not_fit_are_not_made() {
    let made = |id: &str, priority| rule(id, priority, Criteria::default(), answer(200));
    let rules = vec![made("1", 1), made("3", 3)];
    let route = CompiledRoute::compile(content(), rules, Vec::new()).unwrap();
    let fits = |changes: Vec<RuleChange>| ReadyRules::changed(&route, changes).unwrap().is_some();
    let change = |at: RuleContent, after| RuleChange {
        key: at.key(),
        after,
    };
    assert!(fits(vec![]));
    assert!(fits(vec![change(made("2", 2), Some(made("2", 2)))]));
    assert!(fits(vec![change(made("3", 3), None)]));
    let absent = change(made("2", 2), None);
    assert!(!fits(vec![absent]), "what is not there cannot go");
    let elsewhere = change(made("2", 2), Some(made("2", 9)));
    assert!(!fits(vec![elsewhere]), "a key is that of its rule");
    let behind = vec![
        change(made("3", 3), None),
        change(made("1", 1), Some(made("1", 1))),
    ];
    assert!(!fits(behind), "they are in order");
    let missing = ReadyRules::changed(&route, Vec::new()).unwrap().unwrap();
    let forwarding = RouteContent {
        default_upstreams: vec![WeightedUpstream {
            upstream_id: up("x"),
            weight: 1,
        }],
        ..content()
    };
    assert!(CompiledRoute::assemble(forwarding, missing, Vec::new()).is_err());
}

#[test]
fn a_rule_that_stays_needs_its_upstreams_as_before() {
    let rules = vec![rule("1", 1, Criteria::default(), forward(&[("b", 1)]))];
    let route = CompiledRoute::compile(content(), rules, vec![upstream("b")]).unwrap();
    let ready = ReadyRules::changed(&route, Vec::new()).unwrap().unwrap();
    assert_eq!(
        CompiledRoute::assemble(content(), ready, vec![upstream("c")])
            .unwrap_err()
            .to_string(),
        "rule rule_00000001: its upstream up_0000000b is not in the snapshot",
    );
}

#[test]
fn what_cannot_be_served_is_named() {
    let patterns = |regex: &str| Criteria {
        path: vec![PathPattern::Regex(regex.to_owned())],
        ..Criteria::default()
    };
    let check = |route: RouteContent, rules: Vec<RuleContent>, message: &str| {
        assert_eq!(
            CompiledRoute::compile(route, rules, vec![upstream("a")])
                .unwrap_err()
                .to_string(),
            message
        );
    };
    check(
        content(),
        vec![rule(
            "1",
            0,
            Criteria::default(),
            forward(&[("a", 1), ("x", 1)]),
        )],
        "rule rule_00000001: its upstream up_0000000x is not in the snapshot",
    );
    check(
        content(),
        vec![rule("1", 0, patterns("(?:a{999}){999}"), answer(200))],
        "rule rule_00000001, pattern `(?:a{999}){999}`: the pattern is too large when compiled",
    );
    let route = RouteContent {
        default_upstreams: vec![WeightedUpstream {
            upstream_id: up("x"),
            weight: 1,
        }],
        ..content()
    };
    check(
        route,
        Vec::new(),
        "the route's upstream up_0000000x is not in the snapshot",
    );
}

#[test]
fn an_edge_takes_more_rules_than_nodes_do() {
    let nodes = usize::try_from(crate::limits::RULES_PER_ROUTE_MAX).unwrap();
    assert_eq!(check_count(nodes), Ok(()));
    assert_eq!(check_count(RULES_MAX), Ok(()));
    assert_eq!(check_count(RULES_MAX + 1), Err(CompileError::TooManyRules));
}

/// The same question, answered straight from the content.
mod naive {
    use super::*;

    /// Patterns for which a full match is easily told without a regex engine.
    pub(super) const REGEXES: [&str; 3] = ["/a+", "/.*", "/(x|y)/b"];

    fn regex(pattern: &str, text: &str) -> bool {
        match pattern {
            "/a+" => text
                .strip_prefix('/')
                .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c == 'a')),
            "/.*" => text.starts_with('/'),
            "/(x|y)/b" => text == "/x/b" || text == "/y/b",
            other => panic!("no naive reading of {other}"),
        }
    }

    fn path(pattern: &PathPattern, path: &str) -> bool {
        match pattern {
            PathPattern::Exact(exact) => exact == path,
            PathPattern::Prefix(prefix) => {
                let below = |prefix: &str| {
                    path.split('/')
                        .collect::<Vec<_>>()
                        .starts_with(&prefix.split('/').collect::<Vec<_>>())
                };
                match prefix.strip_suffix('/') {
                    Some(above) => path != above && below(above),
                    None => below(prefix),
                }
            }
            PathPattern::Regex(pattern) => regex(pattern, path),
        }
    }

    fn value(pattern: &ValuePattern, values: &[&str]) -> bool {
        match pattern {
            ValuePattern::Exact(exact) => values.contains(&exact.as_str()),
            ValuePattern::Prefix(prefix) => values.iter().any(|value| value.starts_with(prefix)),
            ValuePattern::Regex(pattern) => values.iter().any(|value| regex(pattern, value)),
            ValuePattern::Present(present) => *present != values.is_empty(),
        }
    }

    fn takes(criteria: &Criteria, request: &Request<'_, [(&str, &str)]>) -> bool {
        let values = |name: &str| -> Vec<&str> {
            request
                .headers
                .iter()
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| *value)
                .collect()
        };
        (criteria.method.is_empty()
            || criteria
                .method
                .iter()
                .any(|method| method == request.method))
            && (criteria.region.is_empty()
                || criteria
                    .region
                    .iter()
                    .any(|region| region == request.region))
            && (criteria.path.is_empty()
                || criteria
                    .path
                    .iter()
                    .any(|pattern| path(pattern, request.path)))
            && criteria.header.iter().all(|(name, patterns)| {
                patterns.iter().any(|pattern| value(pattern, &values(name)))
            })
    }

    pub(super) fn find(
        rules: &[RuleContent],
        request: &Request<'_, [(&str, &str)]>,
    ) -> Option<RuleId> {
        rules
            .iter()
            .filter(|rule| takes(&rule.criteria, request))
            .min_by_key(|rule| (rule.priority, rule.id.clone()))
            .map(|rule| rule.id.clone())
    }
}

const PATHS: [&str; 10] = [
    "/", "/a", "/aa", "/a/", "/a/b", "/ab", "/x/b", "/y/b/", "//a", "/a/b/c",
];
const METHODS: [&str; 3] = ["GET", "POST", "get"];
const NAMES: [&str; 2] = ["x-a", "x-b"];
const VALUES: [&str; 5] = ["", "/a", "/aa", "1", "10"];

fn texts(of: &'static [&'static str], max: usize) -> impl Strategy<Value = Vec<String>> {
    subsequence(of, 0..=max).prop_map(|texts| texts.into_iter().map(str::to_owned).collect())
}

fn path_pattern() -> impl Strategy<Value = PathPattern> {
    prop_oneof![
        select(&PATHS[..]).prop_map(|path| PathPattern::Exact(path.to_owned())),
        select(&PATHS[..]).prop_map(|path| PathPattern::Prefix(path.to_owned())),
        select(&naive::REGEXES[..]).prop_map(|regex| PathPattern::Regex(regex.to_owned())),
    ]
}

fn value_pattern() -> impl Strategy<Value = ValuePattern> {
    prop_oneof![
        select(&VALUES[..]).prop_map(|value| ValuePattern::Exact(value.to_owned())),
        select(&VALUES[..]).prop_map(|value| ValuePattern::Prefix(value.to_owned())),
        select(&naive::REGEXES[..]).prop_map(|regex| ValuePattern::Regex(regex.to_owned())),
        any::<bool>().prop_map(ValuePattern::Present),
    ]
}

fn criteria() -> impl Strategy<Value = Criteria> {
    let header = proptest::collection::btree_map(
        select(&NAMES[..]).prop_map(str::to_owned),
        proptest::collection::vec(value_pattern(), 1..3),
        0..=2,
    );
    (
        proptest::collection::vec(path_pattern(), 0..3),
        texts(&METHODS, 2),
        texts(&["eu", "us"], 2),
        header,
    )
        .prop_map(|(path, method, region, header)| Criteria {
            path,
            method,
            region,
            header,
            ..Criteria::default()
        })
}

proptest! {
    #[test]
    fn a_compiled_route_answers_as_the_naive_reader_does(
        rules in proptest::collection::vec((0_u32..6, criteria()), 0..30),
        method in select(&METHODS[..]),
        path in select(&PATHS[..]),
        headers in proptest::collection::vec((select(&NAMES[..]), select(&VALUES[..])), 0..4),
    ) {
        let rules: Vec<_> = rules.into_iter().enumerate()
            .map(|(at, (priority, criteria))| rule(&at.to_string(), priority, criteria, answer(200))).collect();
        let route = CompiledRoute::compile(content(), rules.clone(), Vec::new()).unwrap();
        let request = request(method, path, &headers);
        let found = naive::find(&rules, &request);
        prop_assert_eq!(route.find(&request).map(|(_, rule)| rule.id.clone()), found.clone());
        prop_assert_eq!(route.scan(&request).map(|(_, rule)| rule.id.clone()), found);
    }

    #[test]
    fn a_changed_route_is_the_one_that_is_compiled_anew(
        before in proptest::collection::btree_map((0_u32..6, 0_usize..40), (criteria(), 0_usize..4), 0..30),
        edits in proptest::collection::btree_map((0_u32..6, 0_usize..40), proptest::option::of((criteria(), 0_usize..4)), 0..12),
        more_upstreams in any::<bool>(),
        method in select(&METHODS[..]),
        path in select(&PATHS[..]),
        headers in proptest::collection::vec((select(&NAMES[..]), select(&VALUES[..])), 0..4),
    ) {
        let action = |number: usize| match number {
            0 => answer(200),
            1 => forward(&[("b", 1)]),
            2 => forward(&[("b", 1), ("d", 2)]),
            _ => answer(404),
        };
        let rules = |all: &BTreeMap<(u32, usize), (Criteria, usize)>| -> Vec<_> {
            let rules = all.iter();
            rules.map(|((priority, id), (criteria, number))| {
                rule(&id.to_string(), *priority, criteria.clone(), action(*number))
            }).collect()
        };
        let upstreams = |names: &[&str]| names.iter().map(|name| upstream(name)).collect::<Vec<_>>();
        let now: &[_] = if more_upstreams { &["a", "b", "c", "d"] } else { &["b", "d"] };

        let first = CompiledRoute::compile(content(), rules(&before), upstreams(&["b", "d"])).unwrap();
        let mut after = before.clone();
        let mut changes = Vec::new();
        for (key, edit) in edits {
            let gone = after.remove(&key).is_some();
            after.extend(edit.clone().map(|edit| (key, edit)));
            let (priority, id) = key;
            let make = |(criteria, number)| rule(&id.to_string(), priority, criteria, action(number));
            let made = make((Criteria::default(), 0));
            if gone || edit.is_some() {
                changes.push(RuleChange { key: made.key(), after: edit.map(make) });
            }
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        let ready = ReadyRules::changed(&first, changes.clone()).unwrap().expect("they fit");
        let changed = CompiledRoute::assemble(content(), ready, upstreams(now)).unwrap();
        let anew = CompiledRoute::compile(content(), rules(&after), upstreams(now)).unwrap();

        let shown = |route: &CompiledRoute| -> Vec<_> {
            let rules = route.rules().iter();
            rules.map(|rule| (rule.id.clone(), rule.priority, rule.action.clone())).collect()
        };
        prop_assert_eq!(shown(&changed), shown(&anew));
        prop_assert_eq!(changed.patterns.len(), anew.patterns.len());
        let request = request(method, path, &headers);
        let found = |route: &CompiledRoute| route.find(&request).map(|(place, rule)| (place, rule.id.clone()));
        prop_assert_eq!(found(&changed), found(&anew));
        let same = first.rules().iter().filter(|rule| changed.rules().iter().any(|kept| Arc::ptr_eq(rule, kept)));
        if !more_upstreams {
            let untouched = first.rules().len() - changes.iter().filter(|change| {
                first.rules().iter().any(|rule| rule_key(rule.priority, &rule.id) == change.key)
            }).count();
            prop_assert_eq!(same.count(), untouched, "what is the same stays where it is");
        }
    }

    #[test]
    fn checking_a_path_never_panics_and_never_lets_a_decoded_dot_segment_through(path in "/([a.%/;\\\\]|%2[eEfF]|%5[cC]|%00|\\.\\.){0,12}") {
        let accepted = crate::matching::check_path(&path).is_ok();
        let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
        let dotted = decoded.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
        prop_assert!(!(accepted && dotted), "{}", path);
    }
}
