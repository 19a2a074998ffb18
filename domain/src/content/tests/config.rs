//! A route's `config`.

use super::super::{InvalidKind, JSON_DEPTH_MAX, route_config};
use super::{json, refused};
use crate::model::Mode::{self, Balanced, CacheFirst, OriginFirst};
use InvalidKind::{Conflict, Invalid, Missing, Unknown};

const BALANCED: &str =
    r#"{"upstreams":[{"upstream_id":"up_AAAAAAAA","weight":90},{"upstream_id":"up_BBBBBBBB"}]}"#;
const CACHE: &str = r#"{"cache":{"ttl_s":60},"origin_upstream_id":"up_AAAAAAAA"}"#;
const ORIGIN: &str =
    r#"{"origin_upstream_id":"up_AAAAAAAA","fallback":{"upstream_id":"up_BBBBBBBB"}}"#;

/// Reads `base` with the fields of `more` put in and compares the upstreams it uses.
fn check(mode: Mode, base: &str, more: &str, expect: &[&str]) {
    let config = merged(base, more);
    let read = route_config(mode, &config).unwrap_or_else(|error| panic!("{config}: {error:?}"));
    assert_eq!(
        read.upstreams()
            .into_iter()
            .map(|id| id.as_str())
            .collect::<Vec<_>>(),
        expect,
        "{config}"
    );
    assert_eq!(json(&read.canonical), config);
}

fn check_refused(mode: Mode, base: &str, more: &str, kind: InvalidKind, param: &str) {
    let config = merged(base, more);
    assert_eq!(
        refused(more, route_config(mode, &config)),
        (kind, param.to_owned()),
        "{config}"
    );
}

fn merged(base: &str, more: &str) -> serde_json::Value {
    let mut config = json(base);
    super::super::merge_patch(&mut config, &json(more));
    config
}

/// Contract: D-52.
#[test]
fn each_mode_asks_for_its_fields() {
    check(Balanced, BALANCED, "{}", &["up_AAAAAAAA", "up_BBBBBBBB"]);
    check(CacheFirst, CACHE, "{}", &["up_AAAAAAAA"]);
    check(OriginFirst, ORIGIN, "{}", &["up_AAAAAAAA", "up_BBBBBBBB"]);
    check_refused(Balanced, "{}", "{}", Missing, "config.upstreams");
    check_refused(
        Balanced,
        BALANCED,
        r#"{"upstreams":[]}"#,
        Invalid,
        "config.upstreams",
    );
    check_refused(
        Balanced,
        BALANCED,
        r#"{"upstreams":[{"weight":1}]}"#,
        Missing,
        "config.upstreams[0].upstream_id",
    );
    check_refused(
        CacheFirst,
        CACHE,
        r#"{"cache":null}"#,
        Missing,
        "config.cache",
    );
    check_refused(
        CacheFirst,
        r#"{"origin_upstream_id":"up_AAAAAAAA"}"#,
        r#"{"cache":{"key":["path"]}}"#,
        Missing,
        "config.cache.ttl_s",
    );
    check_refused(
        CacheFirst,
        CACHE,
        r#"{"origin_upstream_id":null}"#,
        Missing,
        "config.origin_upstream_id",
    );
    check_refused(
        OriginFirst,
        ORIGIN,
        r#"{"origin_upstream_id":null}"#,
        Missing,
        "config.origin_upstream_id",
    );
    check_refused(
        OriginFirst,
        ORIGIN,
        r#"{"fallback":null}"#,
        Missing,
        "config.fallback",
    );
}

#[test]
fn fields_of_another_mode_conflict_and_unknown_ones_are_refused() {
    check_refused(
        Balanced,
        BALANCED,
        r#"{"cache":{"ttl_s":60}}"#,
        Conflict,
        "config.cache",
    );
    check_refused(
        Balanced,
        BALANCED,
        r#"{"origin_upstream_id":"up_AAAAAAAA"}"#,
        Conflict,
        "config.origin_upstream_id",
    );
    check_refused(CacheFirst, CACHE, BALANCED, Conflict, "config.upstreams");
    check_refused(OriginFirst, ORIGIN, BALANCED, Conflict, "config.upstreams");
    check_refused(
        Balanced,
        BALANCED,
        r#"{"upstream":[]}"#,
        Unknown,
        "config.upstream",
    );
    check_refused(Balanced, "[]", "[]", Invalid, "config");
    let deep = format!(
        "{}1{}",
        r#"{"tls":"#.repeat(JSON_DEPTH_MAX + 1),
        "}".repeat(JSON_DEPTH_MAX + 1)
    );
    check_refused(Balanced, &deep, "{}", Invalid, "config");
}

/// Contract: D-52.
#[test]
fn one_config_can_fit_cache_first_and_origin_first() {
    let both = ["up_AAAAAAAA", "up_BBBBBBBB"];
    check(OriginFirst, ORIGIN, r#"{"cache":{"ttl_s":60}}"#, &both);
    check(CacheFirst, ORIGIN, r#"{"cache":{"ttl_s":60}}"#, &both);
    check_refused(
        OriginFirst,
        ORIGIN,
        r#"{"cache":{}}"#,
        Missing,
        "config.cache.ttl_s",
    );
}

#[test]
fn the_cache_has_times_and_a_key() {
    let check = |more: &str| check(CacheFirst, CACHE, more, &["up_AAAAAAAA"]);
    check(r#"{"cache":{"stale_while_revalidate_s":0,"key":["host","path","query","method"]}}"#);
    check(r#"{"cache":{"ttl_s":31536000,"key":["header:Accept","query:page","cookie:session"]}}"#);
    let refused = |more: &str, kind, param| check_refused(CacheFirst, CACHE, more, kind, param);
    refused(r#"{"cache":{"ttl_s":0}}"#, Invalid, "config.cache.ttl_s");
    refused(
        r#"{"cache":{"ttl_s":31536001}}"#,
        Invalid,
        "config.cache.ttl_s",
    );
    refused(r#"{"cache":{"ttl_s":"60"}}"#, Invalid, "config.cache.ttl_s");
    refused(
        r#"{"cache":{"ttl_seconds":60}}"#,
        Unknown,
        "config.cache.ttl_seconds",
    );
    refused(
        r#"{"cache":{"stale_while_revalidate_s":-1}}"#,
        Invalid,
        "config.cache.stale_while_revalidate_s",
    );
    refused(r#"{"cache":{"key":[]}}"#, Invalid, "config.cache.key");
    refused(
        r#"{"cache":{"key":["path","path"]}}"#,
        Invalid,
        "config.cache.key[1]",
    );
    refused(
        r#"{"cache":{"key":["body"]}}"#,
        Invalid,
        "config.cache.key[0]",
    );
    refused(
        r#"{"cache":{"key":["header:"]}}"#,
        Invalid,
        "config.cache.key[0]",
    );
    refused(r#"{"cache":7}"#, Invalid, "config.cache");
}

/// Contract: D-52.
#[test]
fn the_tls_policy_decides_what_goes_with_it() {
    let check = |more: &str| check(Balanced, BALANCED, more, &["up_AAAAAAAA", "up_BBBBBBBB"]);
    check(r#"{"tls":{"policy":"off"}}"#);
    check(r#"{"tls":{"policy":"passthrough"}}"#);
    check(r#"{"tls":{"policy":"flexible","min_version":"1.2"}}"#);
    check(
        r#"{"tls":{"policy":"strict","min_version":"1.3","certificate_id":"cert_01HX9K3M7PQ6RSTV2W4N8A"}}"#,
    );
    let refused = |more: &str, kind, param| check_refused(Balanced, BALANCED, more, kind, param);
    refused(r#"{"tls":{}}"#, Missing, "config.tls.policy");
    refused(
        r#"{"tls":{"policy":"strict"}}"#,
        Missing,
        "config.tls.certificate_id",
    );
    refused(
        r#"{"tls":{"policy":"loose"}}"#,
        Invalid,
        "config.tls.policy",
    );
    refused(
        r#"{"tls":{"policy":"flexible","min_version":"1.1"}}"#,
        Invalid,
        "config.tls.min_version",
    );
    refused(
        r#"{"tls":{"policy":"flexible","certificate_id":"rule_01HX9K3M"}}"#,
        Invalid,
        "config.tls.certificate_id",
    );
    refused(
        r#"{"tls":{"policy":"off","min_version":"1.2"}}"#,
        Conflict,
        "config.tls.min_version",
    );
    refused(
        r#"{"tls":{"policy":"passthrough","certificate_id":"cert_01HX9K3M"}}"#,
        Conflict,
        "config.tls.certificate_id",
    );
    refused(
        r#"{"tls":{"policy":"off","cert":"x"}}"#,
        Unknown,
        "config.tls.cert",
    );
    refused(r#"{"tls":"strict"}"#, Invalid, "config.tls");
}

/// Contract: R-40, D-52.
#[test]
fn health_checks_have_ranges() {
    let check = |more: &str| check(Balanced, BALANCED, more, &["up_AAAAAAAA", "up_BBBBBBBB"]);
    check(r#"{"health_check":{"path":"/health"}}"#);
    check(
        r#"{"health_check":{"path":"/","method":"HEAD","interval_s":5,"timeout_s":5,"healthy_threshold":1,"unhealthy_threshold":3,"expected_status":200}}"#,
    );
    check(r#"{"health_check":{"path":"/","interval_s":300,"expected_status":[200,204]}}"#);
    let refused =
        |more: &str, kind, param: &str| check_refused(Balanced, BALANCED, more, kind, param);
    refused(
        r#"{"health_check":{}}"#,
        Missing,
        "config.health_check.path",
    );
    for (field, bad) in [
        ("path", r#""health""#),
        ("path", r#""/a b""#),
        ("method", r#""POST""#),
        ("interval_s", "4"),
        ("interval_s", "301"),
        ("timeout_s", "0"),
        ("healthy_threshold", "0"),
        ("unhealthy_threshold", "101"),
        ("expected_status", "99"),
    ] {
        let more = format!(r#"{{"health_check":{{"path":"/","{field}":{bad}}}}}"#);
        let more = if field == "path" {
            format!(r#"{{"health_check":{{"path":{bad}}}}}"#)
        } else {
            more
        };
        refused(&more, Invalid, &format!("config.health_check.{field}"));
    }
    refused(
        r#"{"health_check":{"path":"/","expected_status":[200,"x"]}}"#,
        Invalid,
        "config.health_check.expected_status[1]",
    );
    refused(
        r#"{"health_check":{"path":"/","interval_s":10,"timeout_s":11}}"#,
        Conflict,
        "config.health_check.timeout_s",
    );
    refused(
        r#"{"health_check":{"path":"/","port":80}}"#,
        Unknown,
        "config.health_check.port",
    );
}

/// Contract: D-52.
#[test]
fn a_fallback_is_an_upstream_or_an_action() {
    check(
        Balanced,
        BALANCED,
        r#"{"fallback":{"upstream_id":"up_CCCCCCCC"}}"#,
        &["up_AAAAAAAA", "up_BBBBBBBB", "up_CCCCCCCC"],
    );
    check(
        Balanced,
        BALANCED,
        r#"{"fallback":{"action":{"type":"fixed_response","status":503}}}"#,
        &["up_AAAAAAAA", "up_BBBBBBBB"],
    );
    let refused = |more: &str, kind, param| check_refused(Balanced, BALANCED, more, kind, param);
    refused(r#"{"fallback":{}}"#, Missing, "config.fallback.upstream_id");
    refused(
        r#"{"fallback":{"upstream_id":"x"}}"#,
        Invalid,
        "config.fallback.upstream_id",
    );
    refused(
        r#"{"fallback":{"action":{"type":"redirect"}}}"#,
        Missing,
        "config.fallback.action.url",
    );
    refused(
        r#"{"fallback":{"action":7}}"#,
        Invalid,
        "config.fallback.action",
    );
    refused(
        r#"{"fallback":{"upstream_id":"up_AAAAAAAA","action":{"type":"redirect","url":"/"}}}"#,
        Conflict,
        "config.fallback.action",
    );
}
