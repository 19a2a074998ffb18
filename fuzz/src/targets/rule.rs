//! From the JSON of a rule, as a client sends it, to the form that edges try requests with.

use domain::content::{
    Action, Criteria, JSON_DEPTH_MAX, RouteContent, RuleContent, UpstreamContent, action_upstreams,
    canonical_json, json_depth, route_config, strict_json,
};
use domain::id::{RouteId, RuleId, Seed};
use domain::matching::{CompiledCriteria, CompiledRoute};
use domain::model::{Algorithm, Metadata, Mode, Priority, UpstreamSettings};
use domain::tree::Hash;
use serde_json::Value;

use crate::Seen;

pub(super) const WORDS: &[&[u8]] = &[
    b"\"match\":",
    b"\"action\":",
    b"\"config\":",
    b"\"path\":",
    b"\"method\":",
    b"\"region\":",
    b"\"header\":",
    b"\"query\":",
    b"\"host\":",
    b"\"ip_cidr\":",
    b"\"regex\":",
    b"\"prefix\":",
    b"\"present\":true",
    b"\"type\":",
    b"\"forward\"",
    b"\"redirect\"",
    b"\"fixed_response\"",
    b"\"upstream_id\":",
    b"\"upstreams\":",
    b"\"weight\":",
    b"\"status\":",
    b"\"url\":",
    b"\"preserve_path\":",
    b"\"body\":",
    b"\"headers\":",
    b"\"cache\":",
    b"\"fallback\":",
    b"\"health_check\":",
    b"\"tls\":",
    b"up_00000001",
    b"10.0.0.0/8",
    b"2001:db8::/32",
    b"*.example.net",
    b"(?i)",
    b"{1000}",
    b"(a|b)*",
    b"[^/]+",
    b".*",
    b"/*",
    b"\\\\",
    b"\\u0000",
    b"1e400",
    b"null",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
];

pub(super) fn run(input: &[u8]) -> Seen {
    let value = match strict_json(input, JSON_DEPTH_MAX) {
        Ok(value) => value,
        Err(error) => return Seen::refused(&error),
    };
    assert!(json_depth(&value) <= JSON_DEPTH_MAX);
    let configured = value.get("config").map(config);
    let rule = rule(&value);
    rule.and(configured.unwrap_or_else(|| Seen::of("no config")))
}

fn rule(value: &Value) -> Seen {
    let nothing = Value::Object(serde_json::Map::new());
    let criteria = match Criteria::from_json(value.get("match").unwrap_or(&nothing)) {
        Ok(criteria) => criteria,
        Err(error) => return Seen::refused(&error).and(Seen::of(first(&error.param))),
    };
    // The normal form reads back as what it is the form of.
    assert_eq!(
        Criteria::from_json(&criteria.to_json()).as_ref(),
        Ok(&criteria)
    );
    CompiledCriteria::compile(&criteria).expect("what nodes take compiles");
    let action = match value.get("action").map(Action::from_json) {
        Some(Ok(action)) => action,
        Some(Err(error)) => return Seen::refused(&error).and(Seen::of(first(&error.param))),
        None => return Seen::of("no action"),
    };
    assert_eq!(Action::from_json(&action.to_json()).as_ref(), Ok(&action));
    let content = RuleContent {
        id: RuleId::new(Seed {
            unix_ms: 1,
            random: 2,
        }),
        priority: Priority(1),
        name: "made of the input".to_owned(),
        criteria,
        action,
        metadata: Metadata::default(),
    };
    let encoded = content.encode();
    let decoded = RuleContent::decode(&encoded).expect("what nodes take has an encoding");
    assert_eq!(decoded, content);
    let told = canonical_json(&content.to_json());
    assert_eq!(told, canonical_json(&decoded.to_json()));
    served(content);
    Seen::of("a rule")
}

/// What a path begins with: the rest may be a name that the input made up.
fn first(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// An edge serves it, given the upstreams that it names; without them it says so.
fn served(content: RuleContent) {
    let upstreams: Vec<_> = action_upstreams(&content.action)
        .map(|id| UpstreamContent {
            id: id.clone(),
            name: String::new(),
            algorithm: Algorithm::WeightedRoundRobin,
            settings: UpstreamSettings::default(),
            targets: Vec::new(),
        })
        .collect();
    let alone = CompiledRoute::compile(
        route("api.example.net", 1),
        vec![content.clone()],
        Vec::new(),
    );
    assert_eq!(alone.is_ok(), upstreams.is_empty());
    let route = CompiledRoute::compile(route("api.example.net", 1), vec![content], upstreams)
        .expect("a rule with its upstreams compiles");
    assert_eq!(route.rules().len(), 1);
}

/// A route for a hostname, with so many rules.
pub(super) fn route(hostname: &str, rule_count: u64) -> RouteContent {
    RouteContent {
        route_id: RouteId::new(Seed {
            unix_ms: 1,
            random: 1,
        }),
        name: String::new(),
        hostname: hostname.to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        default_upstreams: Vec::new(),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: Hash::EMPTY_TREE,
        rule_count,
    }
}

/// What is taken as a route's config is kept as its canonical text, which is taken for the same.
fn config(value: &Value) -> Seen {
    let of = |mode| match route_config(mode, value) {
        Ok(config) => {
            let read: Value =
                serde_json::from_str(&config.canonical).expect("canonical JSON is JSON");
            assert_eq!(canonical_json(&read), config.canonical);
            assert_eq!(route_config(mode, &read), Ok(config));
            Seen::of("config")
        }
        Err(error) => Seen::refused(&error),
    };
    of(Mode::Balanced)
        .and(of(Mode::CacheFirst))
        .and(of(Mode::OriginFirst))
}
