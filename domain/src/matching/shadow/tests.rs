//! What covers what, in tables, and against requests: no request reaches a rule that is said to be
//! covered.

use serde_json::Value;

use super::*;
use crate::matching::index::samples::{criteria, sent};
use crate::matching::predicate::CompiledCriteria;

fn parse(criteria: &str) -> Criteria {
    let value: Value = serde_json::from_str(criteria).unwrap();
    Criteria::from_json(&value).unwrap()
}

fn of(rules: &[&str], comparisons: u64) -> Shadows {
    let rules: Vec<_> = rules.iter().map(|rule| parse(rule)).collect();
    Shadows::within(&rules.iter().collect::<Vec<_>>(), comparisons)
}

/// Whether the first rule covers the second.
#[track_caller]
fn check(first: &str, second: &str, covers: bool) {
    let found = of(&[first, second], 1000).covered_by;
    assert_eq!(found, [None, covers.then_some(0)], "{first} {second}");
}

#[test]
fn a_rule_with_fewer_demands_covers_one_with_more() {
    check("{}", "{}", true);
    check("{}", r#"{"path":"/a"}"#, true);
    check(r#"{"path":"/a"}"#, "{}", false);
    check(r#"{"path":"/a"}"#, r#"{"path":"/a"}"#, true);
    check(r#"{"path":"/a"}"#, r#"{"path":"/a","method":"GET"}"#, true);
    check(r#"{"path":"/a","method":"GET"}"#, r#"{"path":"/a"}"#, false);
    check(
        r#"{"method":["GET","PUT"]}"#,
        r#"{"method":"PUT","region":"eu"}"#,
        true,
    );
    check(r#"{"method":"GET"}"#, r#"{"method":["GET","PUT"]}"#, false);
    check(
        r#"{"region":["eu","us"]}"#,
        r#"{"region":["eu","us"],"path":"/*"}"#,
        true,
    );
}

#[test]
fn paths_cover_what_is_below_them() {
    let paths = |first: &str, second: &str, covers| {
        let rule = |path: &str| format!(r#"{{"path":{path}}}"#);
        check(&rule(first), &rule(second), covers);
    };
    paths(r#""/api*""#, r#""/api""#, true);
    paths(r#""/api*""#, r#""/api/v1""#, true);
    paths(r#""/api*""#, r#""/api/*""#, true);
    paths(r#""/api*""#, r#""/api/v1*""#, true);
    paths(r#""/api*""#, r#""/apix""#, false);
    paths(r#""/api*""#, r#""/apix*""#, false);
    paths(r#""/api/*""#, r#""/api*""#, false);
    paths(r#""/api/*""#, r#""/api""#, false);
    paths(r#""/api""#, r#""/api*""#, false);
    paths(r#"["/a","/b"]"#, r#"["/a","/b"]"#, true);
    paths(r#"["/a","/b*"]"#, r#"["/a","/b/c"]"#, true);
    paths(r#"["/a","/b"]"#, r#"["/a","/c"]"#, false);
    paths(r#""/*""#, r#"{"regex":".*"}"#, true);
    paths(r#""/api*""#, r#"{"regex":"/api/v[0-9]+"}"#, true);
    paths(r#""/api*""#, r#"{"regex":"/api"}"#, true);
    paths(r#""/api*""#, r#"{"regex":"/api.*"}"#, false);
    paths(r#""/api*""#, r#"{"regex":"/(api|v1)/.*"}"#, false);
    paths(r#"["/api*","/v1/*"]"#, r#"{"regex":"/api/(a|b)"}"#, true);
    paths(r#"{"regex":"/v[0-9]+"}"#, r#""/v12""#, true);
    paths(r#"{"regex":"/v[0-9]+"}"#, r#""/vx""#, false);
    paths(r#"{"regex":"/v[0-9]+"}"#, r#"{"regex":"/v[0-9]+"}"#, true);
    check(r#"{"path":"/*"}"#, r#"{"method":"GET"}"#, true);
}

#[test]
fn values_cover_narrower_ones() {
    for source in ["header", "query"] {
        let values = |first: &str, second: &str, covers| {
            let rule = |value: &str| format!(r#"{{"{source}":{{"a":{value}}}}}"#);
            check(&rule(first), &rule(second), covers);
        };
        values(r#""x""#, r#""x""#, true);
        values(r#""x""#, r#""y""#, false);
        values(
            r#"{"present":true}"#,
            r#"["x",{"prefix":"y"},{"regex":"z+"}]"#,
            true,
        );
        values(r#"{"present":true}"#, r#"["x",{"present":false}]"#, false);
        values(r#"{"present":false}"#, r#"{"present":false}"#, true);
        values(r#"{"present":false}"#, r#""x""#, false);
        values(
            r#"{"prefix":"x"}"#,
            r#"["xy",{"prefix":"xz"},{"regex":"xa+"}]"#,
            true,
        );
        values(r#"{"prefix":"xy"}"#, r#"{"prefix":"x"}"#, false);
        values(r#"{"prefix":"x"}"#, r#"{"regex":"[xy]z"}"#, false);
        values(r#"{"regex":"x+"}"#, r#""xxx""#, true);
        values(r#"{"regex":"x+"}"#, r#""xy""#, false);
        let two = format!(r#"{{"{source}":{{"a":"x","b":"y"}}}}"#);
        let one = format!(r#"{{"{source}":{{"b":"y"}}}}"#);
        check(&one, &two, true);
        check(&two, &one, false);
        let any = format!(r#"{{"{source}":{{"a":[{{"present":true}},{{"present":false}}]}}}}"#);
        check(&any, r#"{"path":"/a"}"#, true);
    }
    check(r#"{"header":{"a":"x"}}"#, r#"{"query":{"a":"x"}}"#, false);
}

#[test]
fn hosts_and_networks_cover_what_is_in_them() {
    check(
        r#"{"host":"*.b.net"}"#,
        r#"{"host":["a.b.net","c.b.net"]}"#,
        true,
    );
    check(r#"{"host":"*.b.net"}"#, r#"{"host":"b.net"}"#, false);
    check(r#"{"host":"a.b.net"}"#, r#"{"host":"*.b.net"}"#, false);
    check(
        r#"{"ip_cidr":"10.0.0.0/8"}"#,
        r#"{"ip_cidr":["10.1.0.0/16","10.0.0.1"]}"#,
        true,
    );
    check(
        r#"{"ip_cidr":"10.1.0.0/16"}"#,
        r#"{"ip_cidr":"10.0.0.0/8"}"#,
        false,
    );
    check(
        r#"{"ip_cidr":["0.0.0.0/0","::/0"]}"#,
        r#"{"path":"/a"}"#,
        true,
    );
    check(r#"{"ip_cidr":"0.0.0.0/0"}"#, r#"{"path":"/a"}"#, false);
}

#[test]
fn the_first_rule_that_covers_another_is_named() {
    let rules = [
        r#"{"path":"/b"}"#,
        r#"{"path":"/a*","method":["GET","PUT"]}"#,
        r#"{"path":"/a/x","method":"PUT"}"#,
        r#"{"path":"/a*"}"#,
        r#"{"path":"/a/x","method":"GET","header":{"x":"1"}}"#,
        r#"{"path":"/a/x","method":["GET","POST"]}"#,
        r#"{"path":"/c"}"#,
        "{}",
        r#"{"path":"/d"}"#,
        r#"{"path":"/b"}"#,
    ];
    let shadows = of(&rules, 1000);
    let expect = [
        None,
        None,
        Some(1),
        None,
        Some(1),
        Some(3),
        None,
        None,
        Some(7),
        Some(0),
    ];
    assert_eq!(shadows.covered_by, expect);
    assert!(!shadows.is_partial);
}

#[test]
fn looking_ends_when_it_takes_too_long() {
    let rules = [
        r#"{"path":"/a*"}"#,
        r#"{"path":"/a/b"}"#,
        r#"{"path":"/a/c"}"#,
    ];
    let shadows = of(&rules, 1);
    assert_eq!(shadows.covered_by, [None, None, None]);
    assert!(shadows.is_partial);
}

proptest::proptest! {
    #[test]
    fn no_request_reaches_a_rule_that_is_covered(
        rules in proptest::collection::vec(criteria(), 2..30),
        requests in proptest::collection::vec(sent(), 1..20),
    ) {
        let shadows = Shadows::of(&rules.iter().collect::<Vec<_>>());
        for sent in requests {
            let request = sent.request();
            let takes = |criteria: &Criteria| CompiledCriteria::compile(criteria).unwrap().hold(&request);
            for (place, cover) in shadows.covered_by.iter().enumerate() {
                if let Some(cover) = cover {
                    proptest::prop_assert!(*cover < place);
                    proptest::prop_assert!(!takes(&rules[place]) || takes(&rules[*cover]), "{:?}", sent);
                }
            }
        }
    }
}
