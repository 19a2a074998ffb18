//! What criteria take, in tables.

use super::*;

const GET: (&str, &str) = ("GET", "/v1/items");

fn holds(
    criteria: &Criteria,
    (method, path): (&str, &str),
    region: &str,
    headers: &[(&str, &str)],
) -> bool {
    CompiledCriteria::compile(criteria).unwrap().hold(&Request {
        method,
        host: "api.example.net",
        path,
        query: "",
        headers,
        client: "192.0.2.1".parse().unwrap(),
        region,
    })
}

/// Whether they hold for a plain request with this host, query and client.
fn holds_from(criteria: &Criteria, host: &str, query: &str, client: &str) -> bool {
    let headers: &[(&str, &str)] = &[];
    CompiledCriteria::compile(criteria).unwrap().hold(&Request {
        method: "GET",
        host,
        path: "/",
        query,
        headers,
        client: client.parse().unwrap(),
        region: "eu",
    })
}

fn paths(patterns: &[PathPattern]) -> Criteria {
    Criteria {
        path: patterns.to_vec(),
        ..Criteria::default()
    }
}

fn header(name: &str, values: &[ValuePattern]) -> Criteria {
    Criteria {
        header: BTreeMap::from([(name.to_owned(), values.to_vec())]),
        ..Criteria::default()
    }
}

/// Contract: D-40.
#[test]
fn without_criteria_every_request_is_taken() {
    assert!(holds(&Criteria::default(), GET, "eu", &[]));
}

#[test]
fn a_prefix_ends_at_a_segment_boundary() {
    for (prefix, path, taken) in [
        ("/api", "/api", true),
        ("/api", "/api/", true),
        ("/api", "/api/x", true),
        ("/api", "/apix", false),
        ("/api", "/ap", false),
        ("/api", "/API", false),
        ("/api/", "/api/", true),
        ("/api/", "/api/x", true),
        ("/api/", "/api", false),
        ("/", "/", true),
        ("/", "/anything/below", true),
        ("/a", "/%61", false),
    ] {
        let criteria = paths(&[PathPattern::Prefix(prefix.to_owned())]);
        assert_eq!(
            holds(&criteria, ("GET", path), "eu", &[]),
            taken,
            "{prefix} {path}"
        );
    }
}

/// Contract: R-02, D-40.
#[test]
fn alternatives_are_or_and_criteria_are_and() {
    let criteria = Criteria {
        path: vec![
            PathPattern::Exact("/a".to_owned()),
            PathPattern::Regex("/b[0-9]".to_owned()),
        ],
        method: vec!["GET".to_owned(), "HEAD".to_owned()],
        region: vec!["eu".to_owned()],
        header: BTreeMap::from([(
            "x-a".to_owned(),
            vec![
                ValuePattern::Exact("1".to_owned()),
                ValuePattern::Exact("2".to_owned()),
            ],
        )]),
        ..Criteria::default()
    };
    let with = [("x-a", "2")];
    assert!(holds(&criteria, ("GET", "/a"), "eu", &with));
    assert!(holds(&criteria, ("HEAD", "/b7"), "eu", &with));
    assert!(!holds(&criteria, ("POST", "/a"), "eu", &with));
    assert!(!holds(&criteria, ("get", "/a"), "eu", &with));
    assert!(!holds(&criteria, ("GET", "/b77"), "eu", &with));
    assert!(!holds(&criteria, ("GET", "/a"), "us", &with));
    assert!(!holds(&criteria, ("GET", "/a"), "eu", &[("x-a", "3")]));
    assert!(!holds(&criteria, ("GET", "/a"), "eu", &[]));
}

#[test]
fn header_values_are_tested_line_by_line() {
    let exact = |text: &str| ValuePattern::Exact(text.to_owned());
    let twice = [("x-a", "0"), ("x-a", "1")];
    assert!(holds(&header("x-a", &[exact("1")]), GET, "eu", &twice));
    assert!(!holds(&header("x-a", &[exact("0, 1")]), GET, "eu", &twice));
    assert!(!holds(
        &header("x-a", &[exact("a")]),
        GET,
        "eu",
        &[("x-a", "a, b")]
    ));
    assert!(holds(
        &header("x-a", &[ValuePattern::Prefix("a,".to_owned())]),
        GET,
        "eu",
        &[("x-a", "a, b")]
    ));
    assert!(holds(
        &header("x-a", &[ValuePattern::Regex("a|b".to_owned())]),
        GET,
        "eu",
        &[("x-a", "b")]
    ));
}

/// Contract: D-40.
#[test]
fn presence_and_absence_can_be_asked_for() {
    let (there, gone) = (ValuePattern::Present(true), ValuePattern::Present(false));
    for (patterns, headers, taken) in [
        (vec![there.clone()], vec![("x-a", "")], true),
        (vec![there.clone()], vec![("x-b", "1")], false),
        (vec![gone.clone()], vec![("x-b", "1")], true),
        (vec![gone.clone()], vec![("x-a", "1")], false),
        (vec![gone.clone(), there], vec![("x-a", "1")], true),
        (
            vec![gone.clone(), ValuePattern::Exact("1".to_owned())],
            vec![],
            true,
        ),
        (
            vec![gone.clone(), ValuePattern::Exact("1".to_owned())],
            vec![("x-a", "1")],
            true,
        ),
        (
            vec![gone, ValuePattern::Exact("1".to_owned())],
            vec![("x-a", "2")],
            false,
        ),
    ] {
        assert_eq!(
            holds(&header("x-a", &patterns), GET, "eu", &headers),
            taken,
            "{patterns:?} {headers:?}"
        );
    }
}

/// Contract: D-40.
#[test]
fn parameters_of_the_query_are_tested_decoded_and_each_by_itself() {
    let criteria = |name: &str, values: &[ValuePattern]| Criteria {
        query: BTreeMap::from([(name.to_owned(), values.to_vec())]),
        ..Criteria::default()
    };
    let exact = |text: &str| ValuePattern::Exact(text.to_owned());
    let prefix = |text: &str| ValuePattern::Prefix(text.to_owned());
    let regex = |text: &str| ValuePattern::Regex(text.to_owned());
    let long = format!("a={}%21", "x".repeat(5000));
    for (name, pattern, query, taken) in [
        ("a", exact("1"), "a=1", true),
        ("a", exact("1"), "b=2&a=0&a=1", true),
        ("a", exact("1"), "a=10", false),
        ("a", exact("1"), "A=1", false),
        ("a", exact("1"), "%61=%31", true),
        ("a", exact("b c"), "a=b+c", true),
        ("a", exact("\u{fc}"), "a=%C3%BC", true),
        ("a", exact(""), "a", true),
        ("a", exact(""), "a=1", false),
        ("a", exact("1"), "", false),
        ("a", prefix("b c"), "a=b%20cd", true),
        ("a", prefix("b c"), "a=b%20", false),
        ("a", regex("[0-9]+ x"), "a=12+x", true),
        ("a", regex("[0-9]+"), "a=12+x", false),
        ("a", regex("x+!"), long.as_str(), true),
        ("a", ValuePattern::Present(true), "b&a", true),
        ("a", ValuePattern::Present(true), "b", false),
        ("a", ValuePattern::Present(false), "b", true),
        ("a", ValuePattern::Present(false), "%61", false),
    ] {
        let criteria = criteria(name, std::slice::from_ref(&pattern));
        let found = holds_from(&criteria, "a", query, "192.0.2.1");
        assert_eq!(found, taken, "{pattern:?} {query}");
    }
    let both = criteria("a", &[exact("1"), ValuePattern::Present(false)]);
    for (query, taken) in [("", true), ("a=1", true), ("a=2", false)] {
        assert_eq!(holds_from(&both, "a", query, "192.0.2.1"), taken, "{query}");
    }
}

/// Contract: D-40.
#[test]
fn hosts_are_exact_or_one_label_below() {
    let criteria = Criteria {
        host: vec!["*.example.net".to_owned(), "example.org".to_owned()],
        ..Criteria::default()
    };
    for (host, taken) in [
        ("a.example.net", true),
        ("example.net", false),
        (".example.net", false),
        ("a.b.example.net", false),
        ("example.org", true),
        ("a.example.org", false),
    ] {
        assert_eq!(
            holds_from(&criteria, host, "", "192.0.2.1"),
            taken,
            "{host}"
        );
    }
}

/// Contract: D-40.
#[test]
fn clients_are_told_by_the_networks_that_they_are_in() {
    let range = |text: &str| IpRange::parse(text).unwrap();
    let criteria = Criteria {
        ip_cidr: vec![range("192.0.2.0/24"), range("2001:db8::/32")],
        ..Criteria::default()
    };
    for (client, taken) in [
        ("192.0.2.9", true),
        ("::ffff:192.0.2.9", true),
        ("192.0.3.1", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
    ] {
        assert_eq!(holds_from(&criteria, "a", "", client), taken, "{client}");
    }
}

#[test]
fn a_bad_pattern_is_named_and_too_many_are_refused() {
    let (pattern, error) =
        CompiledCriteria::compile(&paths(&[PathPattern::Regex("(".to_owned())])).unwrap_err();
    assert_eq!(pattern, "(");
    assert!(matches!(error, PatternError::Syntax(_)));
    let many: Vec<_> = (0..=PATTERNS_PER_RULE_MAX)
        .map(|n| PathPattern::Regex(format!("/{n}")))
        .collect();
    assert_eq!(
        CompiledCriteria::compile(&paths(&many)).unwrap_err().1,
        PatternError::TooMany
    );
    assert!(CompiledCriteria::compile(&paths(&many[1..])).is_ok());
}
