//! The `action` object.

use serde_json::json as value;

use super::super::{Action, BODY_BYTES_MAX, InvalidKind, UPSTREAMS_MAX, action_upstreams};
use super::{json, refused};
use InvalidKind::{Invalid, Missing, Unknown};

fn check(input: &str, expect: &str) {
    let action =
        Action::from_json(&json(input)).unwrap_or_else(|error| panic!("{input}: {error:?}"));
    assert_eq!(action.to_json(), json(expect), "{input}");
    assert_eq!(
        Action::from_json(&action.to_json()),
        Ok(action),
        "{input} read back"
    );
}

fn check_refused(input: &str, kind: InvalidKind, param: &str) {
    assert_eq!(
        refused(input, Action::from_json(&json(input))),
        (kind, param.to_owned()),
        "{input}"
    );
}

/// Contract: D-41.
#[test]
fn forward_takes_one_upstream_or_several_with_weights() {
    check(
        r#"{"type":"forward","upstream_id":"up_01J2A8K6"}"#,
        r#"{"type":"forward","upstreams":[{"upstream_id":"up_01J2A8K6","weight":1}]}"#,
    );
    check(
        r#"{"type":"forward","upstreams":[{"upstream_id":"up_BBBBBBBB","weight":0},{"upstream_id":"up_AAAAAAAA","weight":1000}]}"#,
        r#"{"type":"forward","upstreams":[{"upstream_id":"up_AAAAAAAA","weight":1000},{"upstream_id":"up_BBBBBBBB","weight":0}]}"#,
    );
    let action =
        Action::from_json(&json(r#"{"type":"forward","upstream_id":"up_01J2A8K6"}"#)).unwrap();
    assert_eq!(
        action_upstreams(&action)
            .map(|id| id.as_str())
            .collect::<Vec<_>>(),
        ["up_01J2A8K6"]
    );

    check_refused(r#"{"type":"forward"}"#, Missing, "upstream_id");
    check_refused(
        r#"{"type":"forward","upstream_id":"rt_01J2A8K6"}"#,
        Invalid,
        "upstream_id",
    );
    check_refused(
        r#"{"type":"forward","upstream_id":null}"#,
        Invalid,
        "upstream_id",
    );
    check_refused(
        r#"{"type":"forward","upstream_id":"up_01J2A8K6","upstreams":[]}"#,
        Invalid,
        "upstreams",
    );
    check_refused(r#"{"type":"forward","upstreams":[]}"#, Invalid, "upstreams");
    check_refused(
        r#"{"type":"forward","upstreams":["up_01J2A8K6"]}"#,
        Invalid,
        "upstreams[0]",
    );
    check_refused(
        r#"{"type":"forward","upstreams":[{"weight":1}]}"#,
        Missing,
        "upstreams[0].upstream_id",
    );
    for weight in ["-1", "1001", "1.5", "\"1\"", "null"] {
        let input = format!(
            r#"{{"type":"forward","upstreams":[{{"upstream_id":"up_01J2A8K6","weight":{weight}}}]}}"#
        );
        check_refused(&input, Invalid, "upstreams[0].weight");
    }
    check_refused(
        r#"{"type":"forward","upstreams":[{"upstream_id":"up_01J2A8K6"},{"upstream_id":"up_01J2A8K6"}]}"#,
        Invalid,
        "upstreams[1].upstream_id",
    );
    check_refused(
        r#"{"type":"forward","upstream_id":"up_01J2A8K6","weight":1}"#,
        Unknown,
        "weight",
    );
    check_refused(
        r#"{"type":"forward","upstreams":[{"upstream_id":"up_01J2A8K6","wieght":1}]}"#,
        Unknown,
        "upstreams[0].wieght",
    );
    let many: Vec<_> = (0..=UPSTREAMS_MAX)
        .map(|n| value!({ "upstream_id": format!("up_{n:08}") }))
        .collect();
    check_refused(
        &value!({ "type": "forward", "upstreams": many }).to_string(),
        Invalid,
        "upstreams",
    );
}

/// Contract: D-41.
#[test]
fn redirect_takes_an_absolute_url_or_a_path() {
    check(
        r#"{"type":"redirect","url":"https://example.net/new"}"#,
        r#"{"type":"redirect","url":"https://example.net/new","status":302,"preserve_path":false}"#,
    );
    check(
        r#"{"type":"redirect","url":"/new?a=b#c","status":308}"#,
        r#"{"type":"redirect","url":"/new?a=b#c","status":308,"preserve_path":false}"#,
    );
    for good in [
        "/",
        "http://example.net",
        "HTTPS://example.net:8443/x",
        "http://[::1]:80/",
        "http://127.0.0.1?a",
    ] {
        let input = value!({ "type": "redirect", "url": good, "status": 301 });
        assert!(Action::from_json(&input).is_ok(), "{good}");
    }
    for bad in [
        "",
        "new",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "ftp://example.net",
        "javascript:alert(1)",
        "http:example.net",
        "http://",
        "http:///x",
        "https://user@example.net/",
        "https://exa mple.net",
        "/a b",
        "/ü",
        "/a\r\nSet-Cookie: x",
        "http://example.net:0/",
        "http://example.net:99999/",
        "http://[::1",
        "http://:80/",
        &format!("/{}", "a".repeat(2048)),
    ] {
        check_refused(
            &value!({ "type": "redirect", "url": bad }).to_string(),
            Invalid,
            "url",
        );
    }
    check_refused(r#"{"type":"redirect"}"#, Missing, "url");
    check_refused(
        r#"{"type":"redirect","url":"/a","status":303}"#,
        Invalid,
        "status",
    );
    check_refused(
        r#"{"type":"redirect","url":"/a","status":"301"}"#,
        Invalid,
        "status",
    );
    check_refused(
        r#"{"type":"redirect","url":"/a","preserve_path":1}"#,
        Invalid,
        "preserve_path",
    );
    check_refused(
        r#"{"type":"redirect","url":"/a?b","preserve_path":true}"#,
        Invalid,
        "url",
    );
    check_refused(
        r#"{"type":"redirect","url":"/a","body":""}"#,
        Unknown,
        "body",
    );
}

/// Contract: D-41.
#[test]
fn fixed_response_takes_a_status_headers_and_a_body() {
    check(
        r#"{"type":"fixed_response","status":200}"#,
        r#"{"type":"fixed_response","status":200,"headers":{},"body":""}"#,
    );
    check(
        r#"{"type":"fixed_response","status":503,"headers":{"Retry-After":"60","Content-Type":"text/plain"},"body":"säd"}"#,
        r#"{"type":"fixed_response","status":503,"headers":{"content-type":"text/plain","retry-after":"60"},"body":"säd"}"#,
    );
    check_refused(r#"{"type":"fixed_response"}"#, Missing, "status");
    for status in ["199", "600", "\"200\"", "null"] {
        check_refused(
            &format!(r#"{{"type":"fixed_response","status":{status}}}"#),
            Invalid,
            "status",
        );
    }
    let body = |length: usize| value!({ "type": "fixed_response", "status": 200, "body": "x".repeat(length) });
    assert!(Action::from_json(&body(BODY_BYTES_MAX)).is_ok());
    check_refused(&body(BODY_BYTES_MAX + 1).to_string(), Invalid, "body");
    check_refused(
        r#"{"type":"fixed_response","status":204,"body":"x"}"#,
        Invalid,
        "body",
    );
    check_refused(
        r#"{"type":"fixed_response","status":200,"body":{}}"#,
        Invalid,
        "body",
    );
    let header = |name: &str, content: &str| {
        value!({ "type": "fixed_response", "status": 200, "headers": { name: content } })
            .to_string()
    };
    check_refused(&header("x-a", "b\r\nset-cookie: c"), Invalid, "headers.x-a");
    check_refused(&header("x-a", "b\n"), Invalid, "headers.x-a");
    check_refused(&header("x-a", "b\u{0}"), Invalid, "headers.x-a");
    check_refused(&header("x-a", &"b".repeat(4097)), Invalid, "headers.x-a");
    check_refused(&header("x a", "b"), Invalid, "headers.x a");
    check_refused(&header("x:a", "b"), Invalid, "headers.x:a");
    check_refused(
        &header("Content-Length", "5"),
        Invalid,
        "headers.Content-Length",
    );
    check_refused(
        &header("transfer-encoding", "chunked"),
        Invalid,
        "headers.transfer-encoding",
    );
    check_refused(
        r#"{"type":"fixed_response","status":200,"headers":{"a":1}}"#,
        Invalid,
        "headers.a",
    );
    check_refused(
        r#"{"type":"fixed_response","status":200,"headers":{"a":"b","A":"c"}}"#,
        Invalid,
        "headers.A",
    );
    check_refused(
        r#"{"type":"fixed_response","status":200,"headers":[]}"#,
        Invalid,
        "headers",
    );
}

/// Contract: D-41.
#[test]
fn an_action_has_one_of_three_types() {
    check_refused("{}", Missing, "type");
    check_refused("[]", Invalid, "");
    check_refused(r#""forward""#, Invalid, "");
    check_refused(r#"{"type":"drop"}"#, Invalid, "type");
    check_refused(r#"{"type":7}"#, Invalid, "type");
}
