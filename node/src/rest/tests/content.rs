//! `match`, `action` and `config` are taken where the document says so, and nowhere else: samples on
//! both sides of every limit, judged by the schemas and by the parsers of the state machine.

use domain::content::{Action, Criteria, route_config};
use domain::model::Mode;
use serde_json::{Value, json};

use super::documented::validator;

/// Whether the document and the parser say the same, and that it is `good`.
fn check(shape: &str, value: &Value, parsed: bool, good: bool) {
    let schema = json!({"$ref": format!("#/components/schemas/{shape}")});
    let text = value.to_string();
    let text = &text[..text.floor_char_boundary(200)];
    assert_eq!(parsed, good, "the parser on {text}");
    assert_eq!(
        validator(&schema).is_valid(value),
        good,
        "the document on {text}"
    );
}

const UP: &str = "up_01HW2J9Q4NB3RSTU8V2K5C";

#[test]
fn criteria_are_what_the_document_says() {
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    let many = |count: usize| {
        (0..count)
            .map(|number| json!(format!("r{number}")))
            .collect::<Vec<_>>()
    };
    let headers = |count: usize| -> Value {
        let all = (0..count).map(|number| (format!("h{number}"), json!("x")));
        Value::Object(all.collect())
    };
    for (good, value) in [
        (true, json!({})),
        (false, json!([])),
        (true, json!({"path": "/a"})),
        (true, json!({"path": "/a*"})),
        (true, json!({"path": "/*"})),
        (false, json!({"path": "/a*b"})),
        (false, json!({"path": "/a**"})),
        (false, json!({"path": "a"})),
        (false, json!({"path": ""})),
        (false, json!({"path": "/a?b"})),
        (false, json!({"path": "/a#b"})),
        (false, json!({"path": "/a b"})),
        (false, json!({"path": "/ä"})),
        (true, json!({"path": long(512)})),
        (false, json!({"path": long(513)})),
        (
            true,
            json!({"path": [{"exact": "/a*b"}, {"prefix": "/a"}, {"regex": "/v[0-9]+"}]}),
        ),
        (false, json!({"path": {"prefix": "/a*"}})),
        (true, json!({"path": {"prefix": "/a*b"}})),
        (false, json!({"path": {"exact": "/a", "prefix": "/a"}})),
        (false, json!({"path": {"present": true}})),
        (false, json!({"path": {}})),
        (false, json!({"path": []})),
        (false, json!({"path": null})),
        (true, json!({"method": "get"})),
        (true, json!({"method": ["GET", "M-SEARCH"]})),
        (false, json!({"method": "G T"})),
        (false, json!({"method": ""})),
        (true, json!({"region": "a".repeat(64)})),
        (false, json!({"region": "a".repeat(65)})),
        (true, json!({"region": many(100)})),
        (false, json!({"region": many(101)})),
        (true, json!({"region": "eu.central-1_a"})),
        (false, json!({"region": "eu/central"})),
        (true, json!({"header": {"X-A": "b c"}})),
        (false, json!({"header": {}})),
        (true, json!({"header": headers(50)})),
        (false, json!({"header": headers(51)})),
        (false, json!({"header": {"X A": "b"}})),
        (true, json!({"header": {"a".repeat(100): "b"}})),
        (false, json!({"header": {"a".repeat(101): "b"}})),
        (false, json!({"header": {"x-a": " b"}})),
        (false, json!({"header": {"x-a": "b\t"}})),
        (
            true,
            json!({"header": {"x-a": [{"present": false}, {"exact": "*"}, {"prefix": "c"}, {"regex": "d|e"}]}}),
        ),
        (false, json!({"header": {"x-a": {"present": "yes"}}})),
        (false, json!({"header": {"x-a": ""}})),
        (true, json!({"query": {"a b": "ü"}})),
        (true, json!({"query": {"a": ""}})),
        (false, json!({"query": {}})),
        (false, json!({"query": {"": "a"}})),
        (true, json!({"query": {"ü".repeat(100): "a"}})),
        (false, json!({"query": {"a".repeat(101): "a"}})),
        (true, json!({"query": {"a": "ü".repeat(512)}})),
        (false, json!({"query": {"a": "a".repeat(513)}})),
        (false, json!({"query": {"a": "b\n"}})),
        (false, json!({"query": {"a": "b\u{85}"}})),
        (false, json!({"query": {"a": {"prefix": ""}}})),
        (
            true,
            json!({"query": {"a": [{"present": true}, {"exact": ""}, {"prefix": " "}, {"regex": "b"}]}}),
        ),
        (true, json!({"host": "a.example.net"})),
        (true, json!({"host": ["*.example.net", "example.org"]})),
        (false, json!({"host": []})),
        (true, json!({"ip_cidr": "203.0.113.0/24"})),
        (true, json!({"ip_cidr": ["2001:db8::/32", "203.0.113.7"]})),
        (false, json!({"ip_cidr": ""})),
        (false, json!({"ip_cidr": []})),
    ] {
        check("Match", &value, Criteria::from_json(&value).is_ok(), good);
    }
}

#[test]
fn actions_are_what_the_document_says() {
    let several = |count: usize| {
        let all = (0..count).map(|number| json!({"upstream_id": format!("up_{number:08}")}));
        json!({"type": "forward", "upstreams": all.collect::<Vec<_>>()})
    };
    let redirect = |url: &str| json!({"type": "redirect", "url": url});
    let with = |status: u16, more: Value| {
        let mut action = json!({"type": "fixed_response", "status": status});
        action
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        action
    };
    for (good, value) in [
        (false, json!({})),
        (false, json!({"type": "proxy"})),
        (true, json!({"type": "forward", "upstream_id": UP})),
        (false, json!({"type": "forward"})),
        (false, json!({"type": "forward", "upstream_id": "x"})),
        (
            false,
            json!({"type": "forward", "upstream_id": UP, "upstreams": [{"upstream_id": UP}]}),
        ),
        (false, json!({"type": "forward", "upstreams": []})),
        (
            false,
            json!({"type": "forward", "upstream_id": UP, "url": "/a"}),
        ),
        (
            true,
            json!({"type": "forward", "upstreams": [{"upstream_id": UP, "weight": 1000}]}),
        ),
        (
            false,
            json!({"type": "forward", "upstreams": [{"upstream_id": UP, "weight": 1001}]}),
        ),
        (true, several(64)),
        (false, several(65)),
        (true, redirect("/a")),
        (true, redirect("/")),
        (false, redirect("//host/")),
        (false, redirect("")),
        (false, redirect("a")),
        (true, redirect("https://www.example.net")),
        (true, redirect("HTTP://[::1]:8080/a?b#c")),
        (false, redirect("https://user@example.net/")),
        (false, redirect("https://")),
        (false, redirect("ftp://example.net/")),
        (false, redirect("/a\"b")),
        (false, redirect("/a\\b")),
        (true, redirect(&format!("/{}", "a".repeat(2047)))),
        (false, redirect(&format!("/{}", "a".repeat(2048)))),
        (
            true,
            json!({"type": "redirect", "url": "/a", "status": 308, "preserve_path": true}),
        ),
        (
            false,
            json!({"type": "redirect", "url": "/a", "status": 303}),
        ),
        (
            true,
            with(
                200,
                json!({"headers": {"x-a": "b"}, "body": "a".repeat(65536)}),
            ),
        ),
        (false, with(200, json!({"body": "a".repeat(65537)}))),
        (true, with(599, json!({"headers": {}}))),
        (false, with(600, json!({}))),
        (false, with(199, json!({}))),
        (true, with(200, json!({"headers": {"x-a": ""}}))),
        (false, with(200, json!({"headers": {"x-a": " b"}}))),
        (false, with(200, json!({"headers": {"x a": "b"}}))),
        (false, with(200, json!({"headers": {"x-a": 1}}))),
    ] {
        check("Action", &value, Action::from_json(&value).is_ok(), good);
    }
}

#[test]
fn configs_are_what_the_document_says() {
    let balanced = |more: Value| {
        let mut config = json!({"upstreams": [{"upstream_id": UP}]});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        (Mode::Balanced, config)
    };
    let cached = |cache: Value| {
        (
            Mode::CacheFirst,
            json!({"origin_upstream_id": UP, "cache": cache}),
        )
    };
    for (good, (mode, config)) in [
        (true, balanced(json!({}))),
        (false, (Mode::Balanced, json!({}))),
        (false, balanced(json!({"cache": {"ttl_s": 1}}))),
        (false, balanced(json!({"origin_upstream_id": UP}))),
        (false, balanced(json!({"other": 1}))),
        (
            true,
            cached(
                json!({"ttl_s": 1, "stale_while_revalidate_s": 0, "key": ["host", "header:x-a"]}),
            ),
        ),
        (true, cached(json!({"ttl_s": 31_536_000}))),
        (false, cached(json!({"ttl_s": 31_536_001}))),
        (false, cached(json!({"ttl_s": 0}))),
        (false, cached(json!({}))),
        (false, cached(json!({"ttl_s": 1, "key": ["body"]}))),
        (false, cached(json!({"ttl_s": 1, "key": ["host", "host"]}))),
        (false, cached(json!({"ttl_s": 1, "key": []}))),
        (
            true,
            (
                Mode::OriginFirst,
                json!({"origin_upstream_id": UP, "fallback": {"upstream_id": UP}}),
            ),
        ),
        (
            false,
            (Mode::OriginFirst, json!({"origin_upstream_id": UP})),
        ),
        (
            true,
            balanced(json!({"fallback": {"action": {"type": "fixed_response", "status": 503}}})),
        ),
        (false, balanced(json!({"fallback": {}}))),
        (
            true,
            balanced(json!({"tls": {"policy": "strict", "certificate_id": "cert_01HW2J9Q"}})),
        ),
        (false, balanced(json!({"tls": {"policy": "strict"}}))),
        (
            false,
            balanced(json!({"tls": {"policy": "strict", "certificate_id": "cert_1"}})),
        ),
        (
            true,
            balanced(json!({"tls": {"policy": "flexible", "min_version": "1.3"}})),
        ),
        (true, balanced(json!({"tls": {"policy": "off"}}))),
        (
            false,
            balanced(json!({"tls": {"policy": "off", "min_version": "1.3"}})),
        ),
        (
            false,
            balanced(json!({"tls": {"policy": "flexible", "min_version": "1.1"}})),
        ),
        (false, balanced(json!({"tls": {}}))),
        (
            true,
            balanced(
                json!({"health_check": {"path": "/h", "interval_s": 5, "expected_status": [200, 204]}}),
            ),
        ),
        (
            true,
            balanced(
                json!({"health_check": {"path": "/h", "method": "HEAD", "expected_status": 200}}),
            ),
        ),
        (
            false,
            balanced(json!({"health_check": {"path": "/h", "interval_s": 4}})),
        ),
        (
            false,
            balanced(json!({"health_check": {"path": "/h", "timeout_s": 301}})),
        ),
        (false, balanced(json!({"health_check": {"path": "h"}}))),
        (false, balanced(json!({"health_check": {}}))),
        (
            false,
            balanced(json!({"health_check": {"path": "/h", "unhealthy_threshold": 101}})),
        ),
    ] {
        check(
            "RouteConfig",
            &config,
            route_config(mode, &config).is_ok(),
            good,
        );
    }
}
