//! House rules that no compiler checks: how files begin, how long they may be, what may not stay in
//! them, what may lie at the top of the repository, who may depend on whom, that the contract's
//! promises have tests, that what is watched is there, that containers get their secrets, and that security checks name tests.

mod containers;
mod contract;
mod observability;
mod security;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A longer file has more than one subject.
const LINES_MAX: usize = 600;

/// What may lie at the top of the repository: the folders of the architecture, and files that people
/// and tools look for there.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".git",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "deploy",
    "docs",
    "domain",
    "edge",
    "fuzz",
    "injection",
    "node",
    "platform",
    "raft-store",
    "rust-toolchain.toml",
    "simulation",
    "target",
];

/// Of our own crates, which may use which. Whatever is not here may not.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("injection", &[]),
    ("domain", &["injection"]),
    ("platform", &["domain"]),
    ("raft-store", &["injection", "domain"]),
    ("edge-protocol", &["injection", "domain"]),
    (
        "node",
        &[
            "injection",
            "domain",
            "platform",
            "raft-store",
            "edge-protocol",
        ],
    ),
    (
        "edge",
        &["injection", "domain", "platform", "edge-protocol"],
    ),
    (
        "simulation",
        &[
            "injection",
            "domain",
            "platform",
            "raft-store",
            "edge-protocol",
            "node",
            "edge",
        ],
    ),
    ("fuzz", &["domain", "raft-store", "edge-protocol", "node"]),
    ("xtask", &[]),
    (
        "bench",
        &["domain", "platform", "edge-protocol", "node", "xtask"],
    ),
    ("chaos", &["platform", "simulation", "bench", "xtask"]),
];

/// What a crate must not use, though others may.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "tokio",
            "rocksdb",
            "openraft",
            "rand",
            "getrandom",
            "quinn",
            "hyper",
            "axum",
            "tonic",
        ],
    ),
    ("edge", &["openraft", "rocksdb", "tonic", "axum"]),
    ("edge-protocol", &["tokio", "quinn"]),
];

/// Words that mark unfinished work. Split, so that this file does not break its own rule.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("dbg", "!("),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ign", "ore"),
];

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("deploy/xtask is two folders down")
        .to_owned()
}

/// The files that git knows or would add, so that what builds and editors leave does not count.
fn files() -> Vec<PathBuf> {
    let listing = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(
        listing.status.success(),
        "{}",
        String::from_utf8_lossy(&listing.stderr)
    );
    let names = String::from_utf8(listing.stdout).expect("names in UTF-8");
    let present = |name: &&str| !name.is_empty() && root().join(name).is_file();
    names
        .split('\0')
        .filter(present)
        .map(PathBuf::from)
        .collect()
}

/// Rust files with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let rust = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let sources: Vec<_> = rust
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).expect("a source file in UTF-8");
            (path, text)
        })
        .collect();
    assert!(
        sources.len() > 50,
        "only {} source files were found",
        sources.len()
    );
    sources
}

/// Whether a fail point is named: `Point::`, and no other name that ends like that.
fn names_a_point(text: &str) -> bool {
    let is_part_of_name = |before: char| before.is_alphanumeric() || before == '_';
    text.match_indices("Point::")
        .any(|(at, _)| !text[..at].ends_with(is_part_of_name))
}

/// Fails naming every offence at once.
fn none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

#[test]
fn every_source_file_begins_by_saying_what_it_is() {
    let bare = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"));
    none(
        "these files do not begin with `//!`",
        bare.map(|(path, _)| path.display().to_string()).collect(),
    );
}

#[test]
fn no_source_file_is_too_long() {
    let long = sources().into_iter().filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{} has {lines} lines", path.display()))
    });
    none("these files have more than one subject", long.collect());
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if UNFINISHED.iter().any(|word| line.contains(word)) {
                found.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    none(
        "these lines mark unfinished work, or a test that is not run",
        found,
    );
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let is_head = |path: &Path| {
        path.ends_with("src/lib.rs")
            || path.ends_with("src/main.rs")
            || path
                .parent()
                .is_some_and(|folder| folder.ends_with("src/bin"))
    };
    let open = sources()
        .into_iter()
        .filter(|(path, text)| is_head(path) && !text.contains("#![forbid(unsafe_code)]"));
    none(
        "these crates do not forbid unsafe code",
        open.map(|(path, _)| path.display().to_string()).collect(),
    );
}

#[test]
fn the_top_of_the_repository_holds_what_is_expected_there() {
    let entries: BTreeSet<String> = files()
        .iter()
        .filter_map(|path| path.components().next())
        .map(|first| first.as_os_str().to_string_lossy().into_owned())
        .collect();
    let strange = entries
        .into_iter()
        .filter(|entry| !TOP_LEVEL.contains(&entry.as_str()));
    none("these do not belong at the top", strange.collect());
}

#[test]
fn our_crates_depend_on_each_other_in_the_agreed_directions() {
    let directions: BTreeMap<&str, &[&str]> = DIRECTIONS.iter().copied().collect();
    let all = dependencies();
    let ours: BTreeSet<&String> = all.keys().collect();
    let mut wrong = Vec::new();
    for (package, used) in &all {
        let Some(allowed) = directions.get(package.as_str()) else {
            wrong.push(format!("{package} has no place in the architecture"));
            continue;
        };
        let others = used
            .iter()
            .filter(|other| ours.contains(other) && *other != package);
        wrong.extend(
            others
                .filter(|other| !allowed.contains(&other.as_str()))
                .map(|other| format!("{package} uses {other}")),
        );
    }
    none("these dependencies go the wrong way", wrong);
}

#[test]
fn crates_keep_away_from_what_would_make_them_impure() {
    let all = dependencies();
    let mut wrong = Vec::new();
    for (package, forbidden) in FORBIDDEN {
        let used = all.get(*package).expect("a crate of ours");
        wrong.extend(
            forbidden
                .iter()
                .filter(|other| used.contains(**other))
                .map(|other| format!("{package} uses {other}")),
        );
    }
    none("these dependencies break a wall", wrong);
}

/// The crate by which tests make the product fail or wrong, and the one that may have it do so.
const INJECTION: &str = "injection";
const INJECTING: &str = "simulation";

#[test]
fn nothing_but_the_simulation_can_make_the_product_fail_or_be_wrong() {
    let mut wrong = Vec::new();
    for package in packages() {
        let name = text(&package["name"]);
        let all = package["dependencies"].as_array().expect("dependencies");
        let turned_on = all.iter().any(|dependency| {
            dependency["name"] == INJECTION
                && dependency["features"]
                    .as_array()
                    .is_some_and(|features| !features.is_empty())
        });
        let by_features = package["features"].to_string().contains(INJECTION);
        if (turned_on || by_features) && name != INJECTING {
            wrong.push(format!("{name} turns on features of {INJECTION}"));
        }
        if name == INJECTION && package["features"]["default"].is_array() {
            wrong.push(format!("{INJECTION} has features that are on by default"));
        }
    }
    none("these could bring it into production", wrong);
    for program in ["node/src/main.rs", "edge/src/main.rs"] {
        let head = fs::read_to_string(root().join(program)).expect("the head of a program");
        assert!(
            head.contains("assert!(\n    cfg!(debug_assertions) || !injection::ENABLED,"),
            "{program} would compile to a release that can be made to fail"
        );
    }
}

#[test]
fn the_core_knows_of_mutants_alone_since_these_are_constants_of_a_run() {
    let points = sources().into_iter().filter(|(path, text)| {
        path.starts_with("domain") && (text.contains("injection::point") || names_a_point(text))
    });
    none(
        "these have fail points, which have effects",
        points.map(|(path, _)| path.display().to_string()).collect(),
    );
}

/// What each crate of the workspace uses, for building or running; tests may use more.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    packages()
        .iter()
        .map(|package| (text(&package["name"]), uses(package)))
        .collect()
}

/// The crates of the workspace, as cargo describes them.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn uses(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter();
    all.filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| text(&dependency["name"]))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name").to_owned()
}
