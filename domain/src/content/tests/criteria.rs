//! The `match` object.

use super::super::{ALTERNATIVES_MAX, Criteria, InvalidKind};
use super::{json, refused};
use InvalidKind::{Invalid, Unknown};

use crate::matching::PATTERN_BYTES_MAX;

/// Reads the input and compares it with its normalised form, which must read as the same.
fn check(input: &str, expect: &str) {
    let criteria =
        Criteria::from_json(&json(input)).unwrap_or_else(|error| panic!("{input}: {error:?}"));
    assert_eq!(criteria.to_json(), json(expect), "{input}");
    assert_eq!(
        Criteria::from_json(&criteria.to_json()),
        Ok(criteria),
        "{input} read back"
    );
}

fn check_refused(input: &str, kind: InvalidKind, param: &str) {
    assert_eq!(
        refused(input, Criteria::from_json(&json(input))),
        (kind, param.to_owned()),
        "{input}"
    );
}

/// Contract: D-40.
#[test]
fn criteria_take_one_value_or_alternatives() {
    check("{}", "{}");
    check(
        r#"{"region":["eu-central-1"],"method":"GET"}"#,
        r#"{"region":["eu-central-1"],"method":["GET"]}"#,
    );
    check(
        r#"{"region":"eu-central-1"}"#,
        r#"{"region":["eu-central-1"]}"#,
    );
    check(
        r#"{"method":["post","GET","Post"]}"#,
        r#"{"method":["GET","POST"]}"#,
    );
    check(r#"{"path":"/a"}"#, r#"{"path":["/a"]}"#);
    check(r#"{"path":["/b","/a","/b"]}"#, r#"{"path":["/a","/b"]}"#);
    check(
        r#"{"header":{"X-Beta":"1","accept":["a","b"]}}"#,
        r#"{"header":{"accept":["a","b"],"x-beta":["1"]}}"#,
    );
}

#[test]
fn a_trailing_star_is_a_prefix_and_any_other_is_refused() {
    check(r#"{"path":"/api*"}"#, r#"{"path":[{"prefix":"/api"}]}"#);
    check(r#"{"path":"/api/*"}"#, r#"{"path":[{"prefix":"/api/"}]}"#);
    check(r#"{"path":"/*"}"#, r#"{"path":[{"prefix":"/"}]}"#);
    check(
        r#"{"path":{"prefix":"/api"}}"#,
        r#"{"path":[{"prefix":"/api"}]}"#,
    );
    check(r#"{"path":{"exact":"/api"}}"#, r#"{"path":["/api"]}"#);
    check(
        r#"{"path":{"exact":"/a*b*"}}"#,
        r#"{"path":[{"exact":"/a*b*"}]}"#,
    );
    check(
        r#"{"path":{"regex":"/v[0-9]+/.*"}}"#,
        r#"{"path":[{"regex":"/v[0-9]+/.*"}]}"#,
    );
    check(
        r#"{"path":["/x",{"regex":"/y"},"/x*"]}"#,
        r#"{"path":["/x",{"prefix":"/x"},{"regex":"/y"}]}"#,
    );
    for bad in [
        "*", "", "api", "/a/*/b", "/a**", "*/a", "/a b", "/ü", "/a?b=c", "/a#b", "/a\n",
    ] {
        check_refused(
            &serde_json::json!({ "path": bad }).to_string(),
            Invalid,
            "path",
        );
    }
    check_refused(r#"{"path":{"prefix":"/api/*"}}"#, Invalid, "path.prefix");
    check_refused(r#"{"path":["/a",{"exact":"b"}]}"#, Invalid, "path[1].exact");
}

/// Contract: D-40.
#[test]
fn header_values_are_literal_or_patterns() {
    check(r#"{"header":{"a":"x*"}}"#, r#"{"header":{"a":["x*"]}}"#);
    check(
        r#"{"header":{"a":{"exact":"x"}}}"#,
        r#"{"header":{"a":["x"]}}"#,
    );
    check(
        r#"{"header":{"a":{"prefix":"x"}}}"#,
        r#"{"header":{"a":[{"prefix":"x"}]}}"#,
    );
    check(
        r#"{"header":{"a":{"regex":"x+"}}}"#,
        r#"{"header":{"a":[{"regex":"x+"}]}}"#,
    );
    check(
        r#"{"header":{"a":{"present":false}}}"#,
        r#"{"header":{"a":[{"present":false}]}}"#,
    );
    check(
        r#"{"header":{"a":[{"present":false},"x"]}}"#,
        r#"{"header":{"a":["x",{"present":false}]}}"#,
    );
    check_refused(r#"{"header":{"a":1}}"#, Invalid, "header.a");
    check_refused(
        r#"{"header":{"a":{"present":"yes"}}}"#,
        Invalid,
        "header.a.present",
    );
    check_refused(r#"{"header":{"a":"x\r\ny"}}"#, Invalid, "header.a");
    check_refused(r#"{"header":{"a":["x"," y"]}}"#, Invalid, "header.a[1]");
    check_refused(r#"{"header":{"a":"ü"}}"#, Invalid, "header.a");
    check_refused(r#"{"header":{"a b":"x"}}"#, Invalid, "header.a b");
    check_refused(r#"{"header":{"":"x"}}"#, Invalid, "header.");
    check_refused(r#"{"header":{"X-A":"x","x-a":"y"}}"#, Invalid, "header.x-a");
    check_refused(r#"{"header":{}}"#, Invalid, "header");
    check_refused(r#"{"header":["a"]}"#, Invalid, "header");
}

/// Contract: D-40.
#[test]
fn query_values_are_any_letters_literal_or_patterns() {
    check(r#"{"query":{"A b":"x y"}}"#, r#"{"query":{"A b":["x y"]}}"#);
    check(r#"{"query":{"a":""}}"#, r#"{"query":{"a":[""]}}"#);
    check(
        r#"{"query":{"a":["ü",{"prefix":" x"},{"regex":"y+"},{"present":false},{"exact":"ü"}]}}"#,
        r#"{"query":{"a":["ü",{"prefix":" x"},{"regex":"y+"},{"present":false}]}}"#,
    );
    check_refused(r#"{"query":{}}"#, Invalid, "query");
    check_refused(r#"{"query":"a=1"}"#, Invalid, "query");
    check_refused(r#"{"query":{"":"x"}}"#, Invalid, "query.");
    check_refused(
        r#"{"query":{"a":{"prefix":""}}}"#,
        Invalid,
        "query.a.prefix",
    );
    check_refused(r#"{"query":{"a":{"regex":""}}}"#, Invalid, "query.a.regex");
    check_refused(r#"{"query":{"a":["b","c\n"]}}"#, Invalid, "query.a[1]");
    check_refused(r#"{"query":{"a":1}}"#, Invalid, "query.a");
}

/// Contract: D-40.
#[test]
fn hosts_and_networks_get_one_form() {
    check(
        r#"{"host":["B.Example.NET","*.example.net"]}"#,
        r#"{"host":["*.example.net","b.example.net"]}"#,
    );
    check(
        r#"{"host":"bücher.example"}"#,
        r#"{"host":["xn--bcher-kva.example"]}"#,
    );
    check_refused(r#"{"host":["a","*.*.example.net"]}"#, Invalid, "host[1]");
    check_refused(r#"{"host":"example.net:80"}"#, Invalid, "host");
    check_refused(r#"{"host":7}"#, Invalid, "host");
    check(
        r#"{"ip_cidr":["2001:DB8::/32","203.0.113.7","203.0.113.0/24","203.0.113.7/32"]}"#,
        r#"{"ip_cidr":["203.0.113.0/24","203.0.113.7/32","2001:db8::/32"]}"#,
    );
    check_refused(r#"{"ip_cidr":"203.0.113.7/24"}"#, Invalid, "ip_cidr");
    check_refused(
        r#"{"ip_cidr":["::/0","example.net"]}"#,
        Invalid,
        "ip_cidr[1]",
    );
    check_refused(r#"{"ip_cidr":[]}"#, Invalid, "ip_cidr");
}

#[test]
fn what_is_not_known_or_has_the_wrong_type_is_refused_where_it_stands() {
    check_refused("[]", Invalid, "");
    check_refused("null", Invalid, "");
    check_refused(r#"{"pth":"/a"}"#, Unknown, "pth");
    check_refused(r#"{"path":{"glob":"/a"}}"#, Unknown, "path.glob");
    check_refused(r#"{"path":{"exact":"/a","prefix":"/b"}}"#, Invalid, "path");
    check_refused(r#"{"path":{}}"#, Invalid, "path");
    check_refused(r#"{"path":1}"#, Invalid, "path");
    check_refused(r#"{"path":[]}"#, Invalid, "path");
    check_refused(r#"{"path":[["/a"]]}"#, Invalid, "path[0]");
    check_refused(r#"{"method":"G T"}"#, Invalid, "method");
    check_refused(r#"{"method":["GET",""]}"#, Invalid, "method[1]");
    check_refused(r#"{"region":["eu",7]}"#, Invalid, "region[1]");
    check_refused(r#"{"region":"e u"}"#, Invalid, "region");
    let long_name = "x".repeat(5000);
    let (kind, param) = refused(
        "",
        Criteria::from_json(&serde_json::json!({ long_name: 1 })),
    );
    assert_eq!((kind, param.len()), (Unknown, 100));
}

/// Contract: D-40.
#[test]
fn limits_hold() {
    let path = |length: usize| {
        serde_json::json!({ "path": format!("/{}", "a".repeat(length - 1)) }).to_string()
    };
    check(
        &path(PATTERN_BYTES_MAX),
        &serde_json::json!({ "path": [json(&path(PATTERN_BYTES_MAX))["path"]] }).to_string(),
    );
    check_refused(&path(PATTERN_BYTES_MAX + 1), Invalid, "path");
    let many = |count: usize| serde_json::json!({ "region": (0..count).map(|n| format!("r{n}")).collect::<Vec<_>>() });
    assert!(Criteria::from_json(&many(ALTERNATIVES_MAX)).is_ok());
    check_refused(&many(ALTERNATIVES_MAX + 1).to_string(), Invalid, "region");
    let regexes = |count: usize| {
        let patterns: Vec<_> = (1..count)
            .map(|n| serde_json::json!({ "regex": format!("/{n}") }))
            .collect();
        serde_json::json!({ "path": patterns, "header": { "a": { "regex": "b" } } })
    };
    assert!(Criteria::from_json(&regexes(20)).is_ok());
    check_refused(&regexes(21).to_string(), Invalid, "");
    let headers: serde_json::Map<_, _> = (0..51).map(|n| (format!("h{n}"), "x".into())).collect();
    check_refused(
        &serde_json::json!({ "header": headers }).to_string(),
        Invalid,
        "header",
    );
}

#[test]
fn regular_expressions_are_those_that_edges_compile() {
    for common in [
        r"/users/\d+",
        r"/users/\w+/posts",
        "/[^/]+/x",
        r"/files/.*\.(png|jpe?g|webp)",
        "(?i)/api/.*",
    ] {
        let input = serde_json::json!({ "path": { "regex": common } });
        assert!(Criteria::from_json(&input).is_ok(), "{common}");
    }
    for bad in ["", "(", "a)|(?:b", "(?=a)", r"(a)\1", "a{1000}{1000}"] {
        let pattern = serde_json::json!({ "regex": bad });
        let path = serde_json::json!({ "path": pattern }).to_string();
        check_refused(&path, Invalid, "path.regex");
        let header = serde_json::json!({ "header": { "a": ["b", pattern] } }).to_string();
        check_refused(&header, Invalid, "header.a[1].regex");
    }
    let long = serde_json::json!({ "path": { "regex": "a".repeat(PATTERN_BYTES_MAX + 1) } });
    check_refused(&long.to_string(), Invalid, "path.regex");
}
