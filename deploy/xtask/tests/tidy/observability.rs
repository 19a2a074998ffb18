//! What is watched is there: each metric that dashboards, alerts and their pages name is one that nodes or edges show, each
//! alert has a page and an example, and each path of the API that a page sends people to is one of the API's.
//!
//! What nodes and edges show stands in `deploy/observability/metrics`, which their own tests hold to the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{none, root};

fn observability() -> PathBuf {
    root().join("deploy/observability")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn rules(name: &str) -> String {
    text(&observability().join("rules").join(name))
}

/// The names of the series that nodes and edges show.
fn shown() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files_in(&observability().join("metrics"), "txt") {
        for line in text(&file).lines() {
            let mut words = line.split(' ');
            let (name, kind) = (words.next().expect("a name"), words.next().expect("a kind"));
            if kind == "histogram" {
                // Text speaks of a histogram as one thing; promtool finds a query that does.
                names.insert(name.to_owned());
                names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
            } else {
                names.insert(name.to_owned());
            }
        }
    }
    assert!(names.len() > 100, "only {} series", names.len());
    names
}

/// The values of a key that stands at most once in a line.
fn values<'a>(yaml: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    yaml.lines().filter_map(move |line| {
        let line = line.trim_start().trim_start_matches("- ");
        let value = line.strip_prefix(key)?.strip_prefix(": ")?;
        Some(value.trim_matches('"'))
    })
}

fn is_ours(name: &str) -> bool {
    let prefixes = ["vectorgate_", "vectorgate:", "process_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The names of series in a text, comments left out.
fn named(text: &str) -> BTreeSet<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':'))
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| is_ours(word))
        .map(str::to_owned)
        .collect()
}

/// Where series are named: path and names.
fn who_names() -> Vec<(PathBuf, BTreeSet<String>)> {
    let mut files = files_in(&observability().join("dashboards"), "json");
    files.extend(files_in(&observability().join("rules"), "yaml"));
    let mut named: Vec<_> = files
        .into_iter()
        .map(|path| {
            let names = named(&text(&path));
            (path, names)
        })
        .collect();
    let mut pages = files_in(&root().join("docs/runbooks"), "md");
    pages.push(root().join("docs/installation.md"));
    // Markdown has headings where YAML has comments, and may break a name off with an ellipsis.
    named.extend(pages.into_iter().map(|path| {
        let names = self::named(&text(&path));
        (path, names)
    }));
    named
}

#[test]
fn every_series_that_somebody_watches_is_shown() {
    let recorded = rules("recording.yaml");
    let mut known = shown();
    known.extend(values(&recorded, "record").map(str::to_owned));
    let mut unknown = Vec::new();
    for (path, names) in who_names() {
        unknown.extend(
            names
                .into_iter()
                .filter(|name| !known.contains(name))
                .map(|name| format!("{}: {name}", path.display())),
        );
    }
    none("these series are named and nowhere shown", unknown);
}

#[test]
fn every_recorded_series_is_used() {
    let recorded = rules("recording.yaml");
    let used: BTreeSet<String> = who_names()
        .into_iter()
        .filter(|(path, _)| !path.ends_with("recording.yaml"))
        .flat_map(|(_, names)| names)
        .collect();
    let idle = values(&recorded, "record").filter(|name| !used.contains(*name));
    none("nobody reads these", idle.map(str::to_owned).collect());
}

#[test]
fn every_alert_has_a_page_and_an_example() {
    let (alerts, examples) = (rules("alerts.yaml"), rules("alerts_test.yaml"));
    let pages = root().join("docs/runbooks");
    let index = text(&pages.join("README.md"));
    let names: Vec<&str> = values(&alerts, "alert").collect();
    let runbooks: Vec<&str> = values(&alerts, "runbook").collect();
    assert_eq!(names.len(), runbooks.len(), "an alert has no runbook");
    let mut missing = Vec::new();
    for (name, runbook) in names.iter().zip(&runbooks) {
        let page = root().join(runbook);
        if !page.is_file() || !text(&page).starts_with(&format!("# {name}\n")) {
            missing.push(format!("{name}: {runbook} is not its page"));
        }
        if !index.contains(&format!("[{name}](")) {
            missing.push(format!("{name} is not in the list of runbooks"));
        }
        if !examples.contains(name) {
            missing.push(format!("{name} has no example"));
        }
    }
    let known: BTreeSet<PathBuf> = runbooks.iter().map(|page| root().join(page)).collect();
    for page in files_in(&pages, "md") {
        if !page.ends_with("README.md") && !known.contains(&page) {
            missing.push(format!("{} is no alert's page", page.display()));
        }
    }
    none("alerts without what belongs to them", missing);
}

#[test]
fn every_alert_says_how_urgent_it_is() {
    let alerts = rules("alerts.yaml");
    let severities: Vec<&str> = values(&alerts, "severity").collect();
    assert_eq!(severities.len(), values(&alerts, "alert").count());
    let strange = severities
        .into_iter()
        .filter(|severity| !["page", "ticket"].contains(severity));
    none(
        "these are no severities",
        strange.map(str::to_owned).collect(),
    );
}

#[test]
fn pages_send_people_to_paths_that_the_api_has() {
    let document: Value =
        serde_json::from_str(&text(&root().join("docs/openapi.json"))).expect("JSON");
    let paths: BTreeSet<String> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(|path| shape(path))
        .collect();
    let mut unknown = Vec::new();
    let mut pages = files_in(&root().join("docs/runbooks"), "md");
    pages.push(root().join("docs/installation.md"));
    for page in pages {
        let text = text(&page);
        let words = text.split(|c: char| c.is_whitespace() || "`,;()\"'".contains(c));
        for word in words {
            if let Some(place) = word.find("/v2/")
                && !paths.contains(&shape(&word[place..]))
            {
                unknown.push(format!("{}: {}", page.display(), &word[place..]));
            }
        }
    }
    none("the API has no such paths", unknown);
}

/// A path without what stands in it for identifiers.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts = path.trim_end_matches(['.', ':']).split('/');
    let shapes = parts.map(|part| {
        let is_place = part.starts_with('{') || part == "ID";
        if is_place { "*" } else { part }
    });
    shapes.collect::<Vec<_>>().join("/")
}

#[test]
fn dashboards_take_their_data_from_prometheus_alone() {
    let mut strange = Vec::new();
    for path in files_in(&observability().join("dashboards"), "json") {
        let dashboard: Value = serde_json::from_str(&text(&path)).expect("JSON");
        sources(&dashboard, &mut |source| {
            if source["type"] != "prometheus" || source["uid"] != "${datasource}" {
                strange.push(format!("{}: {source}", path.display()));
            }
        });
    }
    none("these sources are not Prometheus", strange);
}

fn sources(value: &Value, found: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "datasource" {
                    found(field);
                } else {
                    sources(field, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| sources(item, found)),
        _ => {}
    }
}
