//! Alerts, their examples, and the expressions of dashboards, as Prometheus reads them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Ground;
use crate::toolchain::announce;

/// Rules and dashboards by `promtool`.
pub(super) fn check(ground: &Ground, promtool: &Path) -> Result<()> {
    let folder = ground.deploy.join("observability");
    let rules = folder.join("rules");
    let run = |arguments: &[&str], files: &[&Path]| {
        let mut command = Command::new(promtool);
        command.args(arguments).args(files);
        announce(command)
    };
    run(
        &["check", "rules"],
        &[&rules.join("recording.yaml"), &rules.join("alerts.yaml")],
    )?;
    run(&["test", "rules"], &[&rules.join("alerts_test.yaml")])?;
    // Its certificates are where Prometheus runs, not here.
    run(
        &["check", "config", "--syntax-only"],
        &[&folder.join("prometheus.yaml")],
    )?;
    let expressions = ground.scratch.join("dashboards.yaml");
    let text = as_rules(&expressions_of_all(&folder.join("dashboards"))?);
    std::fs::write(&expressions, text)
        .with_context(|| format!("{} cannot be written", expressions.display()))?;
    run(&["check", "rules"], &[&expressions])
}

/// What the panels of all dashboards ask.
fn expressions_of_all(folder: &Path) -> Result<Vec<String>> {
    let mut expressions = Vec::new();
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry.context("a dashboard cannot be read")?.path();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let dashboard: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is no JSON", path.display()))?;
        collect(&dashboard, &mut expressions);
    }
    Ok(expressions)
}

/// Every `expr`, wherever it stands.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "expr" => expressions.push(plain(text)),
                    _ => collect(field, expressions),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, expressions)),
        _ => {}
    }
}

/// Without the dashboard's variables, which stand for regular expressions.
fn plain(expression: &str) -> String {
    ["$instance", "$route", "$operation"]
        .iter()
        .fold(expression.to_owned(), |text, variable| {
            text.replace(variable, ".*")
        })
}

/// A file of rules; JSON is YAML.
fn as_rules(expressions: &[String]) -> String {
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(
            |(number, expression)| json!({"record": format!("panel:{number}"), "expr": expression}),
        )
        .collect();
    json!({"groups": [{"name": "dashboards", "rules": rules}]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_at_any_depth_and_freed_of_variables() {
        let dashboard = json!({"panels": [
            {"targets": [{"expr": "up{instance=~\"$instance\"}"}]},
            {"panels": [{"targets": [{"expr": "sum(up)", "legendFormat": "x"}]}]},
        ]});
        let mut found = Vec::new();
        collect(&dashboard, &mut found);
        assert_eq!(found, ["up{instance=~\".*\"}", "sum(up)"]);
        assert!(as_rules(&found).contains("panel:1"));
    }
}
