//! That the table of security checks has each of them, and that the tests which it names are there.

use std::collections::BTreeSet;

use xtask::commands::security::{TABLE, read};

use crate::{none, root, sources};

#[test]
fn each_security_check_is_there_and_names_tests_that_are() {
    let text = std::fs::read_to_string(root().join(TABLE)).expect("the table of checks");
    let checks = read(&text).expect("a table of checks");
    let ids: Vec<_> = checks.iter().map(|check| check.id.clone()).collect();
    // There are none from 18 to 19.
    let expect: Vec<_> = (1..=17)
        .chain(20..=65)
        .map(|n| format!("S-{n:02}"))
        .collect();
    assert_eq!(ids, expect);
    let functions: BTreeSet<String> = sources()
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_once("fn ")?.1.split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect();
    let missing = checks.iter().flat_map(|check| {
        let of = |name: &&String| !functions.contains(*name);
        let lines = check.tests.iter().filter(of);
        lines.map(|name| format!("{}: {name}", check.id))
    });
    none(
        "these tests of security checks are not there",
        missing.collect(),
    );
}
