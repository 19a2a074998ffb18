//! Requests per second against the number of rules that the request's route has, and how long an
//! edge takes to start with all of them from its disk.
//!
//! One edge has a route for each number, so that they are measured in turn. Requests are for the paths of
//! so many rules at most as `--paths` says, spread evenly over all, so that routes with more rules than that differ
//! in nothing else: each rule that takes requests has counts of its own, and its path a place in other tables,
//! which costs the same however many rules there are beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Options;
use super::ground::{Ground, path};
use super::scripts;
use super::turns::{Comparison, Contender, Course, compare, take};
use crate::benchmarks::blocking;
use crate::figures::{Table, median, number};
use crate::tools::{Load, Shape};

/// How often the edge is started.
const STARTS: usize = 5;

/// Measures.
pub(super) async fn measure(ground: &mut Ground, options: &Options) -> Result<Value> {
    let upstream = ground.upstream_id.clone();
    for &rules in &options.rules {
        ground.route(&host(rules), &upstream, rules).await?;
        println!("a route with {rules} rules is served");
    }
    let (courses, starts) = ground
        .alone(async |ground| {
            let courses = blocking(|| race(ground, options))?;
            anyhow::Ok((courses, starts(ground, options).await?))
        })
        .await?;
    let fewest = options.rules.first().copied().unwrap_or_default();
    let comparisons = compare(&courses, &shown(fewest));
    print!("\n{}", table(&courses, &comparisons, fewest));
    let start_ms = median(starts.clone());
    println!(
        "\nStarted from disk, with all of them: {} ms",
        number(start_ms)
    );
    Ok(json!({
        "courses": courses,
        "comparisons": comparisons,
        "start_ms": start_ms,
        "starts_ms": starts,
    }))
}

fn race(ground: &Ground, options: &Options) -> Result<Vec<Course>> {
    let hosts: Vec<String> = options.rules.iter().map(|rules| host(*rules)).collect();
    let scripts = options
        .rules
        .iter()
        .map(|rules| script(&ground.folder, *rules, options.paths))
        .collect::<Result<Vec<_>>>()?;
    let mut contenders = Vec::new();
    for ((rules, host), script) in options.rules.iter().zip(&hosts).zip(&scripts) {
        contenders.push(Contender {
            name: shown(*rules),
            pid: ground.edge()?,
            load: Load {
                address: ground.address()?,
                host,
                length: Duration::from_secs(options.seconds),
                core: 0,
                shape: Shape::Scripted {
                    connections: options.connections,
                    script,
                },
            },
        });
    }
    take(&contenders, ground.origin.pid()?, options.rounds)
}

/// Milliseconds from starting the edge's process to the first answer by the last rule of all.
async fn starts(ground: &Ground, options: &Options) -> Result<Vec<f64>> {
    let most = options.rules.iter().copied().max().unwrap_or_default();
    let last = path(most.saturating_sub(1));
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let took = ground.restart_edge(&host(most), &last).await?;
        starts.push(took.as_secs_f64() * 1000.0);
    }
    Ok(starts)
}

fn host(rules: u64) -> String {
    format!("r{rules}.bench.example")
}

fn shown(rules: u64) -> String {
    format!("{rules} rules")
}

/// A script that has wrk ask for one rule's path after the other, of so many rules at most.
fn script(folder: &Path, rules: u64, most: u64) -> Result<PathBuf> {
    let paths = rules.min(most).max(1);
    let paths = (0..paths).map(|number| path(number * rules / paths));
    scripts::one_after_the_other(&folder.join(format!("rules-{rules}.lua")), paths)
}

fn table(courses: &[Course], comparisons: &[Comparison], fewest: u64) -> String {
    let ratio = format!("{} have so many times", shown(fewest));
    let mut table = Table::new([
        "route",
        "on core",
        "requests/s",
        "p99 ms",
        "CPU us/request",
        &ratio,
    ]);
    for course in courses {
        let comparison = comparisons
            .iter()
            .find(|comparison| comparison.with == course.name);
        table.row([
            course.name.clone(),
            course.core.to_string(),
            number(course.median.round.per_second),
            number(course.median.round.p99_ms),
            number(course.median.cpu_us),
            comparison.map_or_else(String::new, |it| format!("{:.3}", it.per_second)),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_are_spread_over_all_rules() {
        let folder = tempfile::tempdir().expect("a folder");
        for (rules, lines, last) in [(1, 1, 0), (100, 100, 99), (100_000, 1000, 99_900)] {
            let file = script(folder.path(), rules, 1000).expect("a script");
            let text = fs::read_to_string(file).expect("text");
            let paths: Vec<&str> = text.lines().filter(|line| line.contains("/r/")).collect();
            assert_eq!(paths.len(), lines);
            assert!(
                paths[lines - 1].contains(&path(last)),
                "{}",
                paths[lines - 1]
            );
        }
    }
}
