//! Holds the contract, `docs/contract.md`, and the tests together: every promise is named by a test,
//! and every name is a promise. Whether a test that names a promise proves it is for its readers to
//! judge.
//!
//! A test names what it proves in a line of its documentation, `Contract:` and identifiers between
//! commas.

use std::collections::{BTreeMap, BTreeSet};

use super::{none, root, sources};

/// How the line begins.
const MARK: &str = "/// Contract:";

/// From this heading on the contract says what it does not promise.
const END_OF_PROMISES: &str = "## Not in this contract";

/// An identifier in a test's documentation, or where one does not belong.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    id: String,
    line: usize,
    /// Whether it stands at a test.
    at_test: bool,
}

/// The identifiers in the first column of the contract's tables, with how often each is there.
fn promises(contract: &str) -> BTreeMap<String, usize> {
    let lines = contract.lines().take_while(|line| *line != END_OF_PROMISES);
    let mut promises = BTreeMap::new();
    for id in lines.filter_map(|line| line.strip_prefix("| ")?.split(' ').next()) {
        if is_id(id) {
            *promises.entry(id.to_owned()).or_default() += 1;
        }
    }
    promises
}

/// `R-01`, `D-60`.
fn is_id(text: &str) -> bool {
    let number = text.strip_prefix("R-").or_else(|| text.strip_prefix("D-"));
    number
        .is_some_and(|number| number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// All names in a source file.
fn names(source: &str) -> Vec<Name> {
    let mut names = Vec::new();
    // What was seen of the comments and attributes above an item.
    let (mut ids, mut is_test, mut in_attribute) = (Vec::new(), false, false);
    for (line, text) in (1..).zip(source.lines().map(str::trim)) {
        if let Some(named) = text.strip_prefix(MARK) {
            let named = named.trim().trim_end_matches('.').split(',');
            ids.extend(named.map(|id| (id.trim().to_owned(), line)));
        } else if in_attribute || text.starts_with("#[") {
            is_test |= text.starts_with("#[test]") || text.starts_with("#[tokio::test");
            in_attribute = !text.ends_with(']');
        } else if !text.starts_with("//") {
            let at_test = is_test && text.contains("fn ");
            names.extend(ids.drain(..).map(|(id, line)| Name { id, line, at_test }));
            is_test = false;
        }
    }
    names
}

/// What is wrong between a contract and source files, each a path and a text.
fn offences<'s>(
    contract: &str,
    sources: impl IntoIterator<Item = (String, &'s str)>,
) -> Vec<String> {
    let promises = promises(contract);
    let (mut found, mut proven) = (Vec::new(), BTreeSet::new());
    for (path, source) in sources {
        for Name { id, line, at_test } in names(source) {
            if !at_test {
                found.push(format!("{path}:{line}: {id} is not named by a test"));
            } else if promises.contains_key(&id) {
                proven.insert(id);
            } else {
                found.push(format!("{path}:{line}: {id} is not promised"));
            }
        }
    }
    for (id, times) in promises {
        if times > 1 {
            found.push(format!("{id} is promised {times} times"));
        }
        if !proven.contains(&id) {
            found.push(format!("{id} has no test"));
        }
    }
    found
}

#[test]
fn every_promise_has_a_test_and_every_name_is_a_promise() {
    let contract = std::fs::read_to_string(root().join("docs/contract.md")).expect("the contract");
    assert!(contract.contains(END_OF_PROMISES), "{END_OF_PROMISES}");
    assert!(promises(&contract).len() > 50, "the tables were not found");
    let sources = sources();
    let sources = sources
        .iter()
        .map(|(path, text)| (path.display().to_string(), text.as_str()));
    none(
        "the contract and the tests disagree",
        offences(&contract, sources),
    );
}

const CONTRACT: &str = "
| Id | Promise |
|---|---|
| R-01 | One. |
| D-02 | Another, see R-77. |

## Not in this contract
| R-03 | A third. |
";

/// Compares what is said of a made-up source, in which `@` begins a line of names: written out, the
/// names would count for this file.
#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let source = source.replace('@', MARK);
    let found = offences(CONTRACT, [("a.rs".to_owned(), source.as_str())]);
    assert_eq!(found, expected, "{source}");
}

#[test]
fn promises_that_tests_name_are_kept() {
    check(
        "
        @ R-01.
        #[test]
        fn one() {}

        /// Says more.
        @ R-01, D-02.
        // In between.
        #[allow(
            clippy::all,
            reason = \"none\"
        )]
        #[tokio::test(start_paused = true)]
        async fn both() {}
        ",
        &[],
    );
}

#[test]
fn a_promise_that_no_test_names_is_found() {
    check(
        "
        #[test]
        @ D-02.
        fn another() {}
        ",
        &["R-01 has no test"],
    );
    check("", &["D-02 has no test", "R-01 has no test"]);
}

#[test]
fn a_name_that_is_no_promise_is_found() {
    check(
        "
        @ R-01, D-02, R-03, R-77, D-2.
        #[test]
        fn all() {}
        ",
        &[
            "a.rs:2: R-03 is not promised",
            "a.rs:2: R-77 is not promised",
            "a.rs:2: D-2 is not promised",
        ],
    );
}

#[test]
fn a_name_counts_at_a_test_alone() {
    check(
        "
        // Contract: R-01, D-02.
        #[test]
        fn no_documentation() {}

        @ R-01.
        fn no_test() {}

        @ D-02.
        #[test]
        const NO_FUNCTION: u8 = 0;

        #[test]
        fn neighbour() {}
        ",
        &[
            "a.rs:6: R-01 is not named by a test",
            "a.rs:9: D-02 is not named by a test",
            "D-02 has no test",
            "R-01 has no test",
        ],
    );
}

#[test]
fn a_promise_that_is_made_twice_is_found() {
    let contract = CONTRACT.replace("D-02", "R-01");
    let source = "@ R-01.\n#[test]\nfn one() {}".replace('@', MARK);
    let found = offences(&contract, [("a.rs".to_owned(), source.as_str())]);
    assert_eq!(found, ["R-01 is promised 2 times"]);
}
