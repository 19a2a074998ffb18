//! Wall clocks that jump. libfaketime shows a process another time, which stands in a file; time that passes is not touched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::local::{Kind, Name, files};

use super::{Stage, millis, rest, seconds};
use crate::findings::Findings;
use crate::load::evidence::{Answer, Asked};
use crate::load::{Load, Record};
use crate::machine::tools::faketime_library;
use crate::town::{Plan, READY_WITHIN, Town};

/// How long clocks stay as they are.
const STEADY: std::time::Duration = millis(2500);

/// The offsets of the first, second and third node's clocks, one after the other; further nodes begin anew.
const OFFSETS: [[&str; 3]; 6] = [
    ["+3600", "-3600", "+0"],
    ["-3600", "+3600", "+0"],
    ["+600", "-600", "+3600"],
    ["-600", "+600", "-3600"],
    ["+600", "-600", "+0"],
    ["+0", "+0", "+0"],
];

/// P15: all nodes' clocks, each in its own way; in the middle, a restart with a clock that is wrong.
pub(super) async fn jumps(stage: &Stage) -> Result<Findings> {
    let library = faketime_library().context("libfaketime is not installed")?;
    let folder = stage.site().folder.join("clocks");
    files::make_folder(&folder)?;
    let plan = Plan::nodes(stage.nodes());
    for number in 1..=plan.nodes {
        set(&folder, Name::node(number), "+0")?;
    }
    let environment = |name: Name| environment(&library, &folder, name);
    let town = Town::build_with(stage.site(), stage.id(), &plan, environment).await?;
    let town = Arc::new(town);
    let load = Load::start(&town).await?;
    let mut jumps = Vec::new();
    for _ in 0..stage.choose(1, 20) {
        for offsets in OFFSETS {
            rest(STEADY).await;
            jumps.push(load.now_us());
            for node in town.nodes() {
                set(&folder, node, offset(offsets, node))?;
            }
            stage.say(format_args!("clocks are off by {} s", offsets.join(", ")));
        }
        let restarted = town.follower().await?;
        set(&folder, restarted, "+3600")?;
        town.kill(restarted)?;
        town.start(restarted)?;
        town.wait_ready(restarted, READY_WITHIN).await?;
        let leader = town.leader().await?;
        jumps.push(load.now_us());
        town.kill(leader)?;
        load.next_write(READY_WITHIN).await?;
        town.start(leader)?;
        town.wait_ready(leader, READY_WITHIN).await?;
    }
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &jumps);
    findings.gaps_at_most(seconds(3));
    let created = created(&record);
    let back = back(&created);
    let times = created.iter().map(|(_, at)| at);
    let span = times
        .clone()
        .max()
        .zip(times.min())
        .map_or(0, |(last, first)| last - first);
    findings.figure("times of creation compared", created.len());
    findings.figure(
        "between the first and the last of them",
        format!("{span} s"),
    );
    // Otherwise nobody was shown another time.
    findings.demand(span >= 3_000, || {
        format!("times of creation lie within {span} s: no clock jumped")
    });
    findings.demand(back.is_empty(), || {
        format!("times of creation go back: {back:?}")
    });
    Ok(findings)
}

fn environment(library: &Path, folder: &Path, name: Name) -> Vec<(String, OsString)> {
    if name.kind != Kind::Node {
        return Vec::new();
    }
    let pairs = [
        ("LD_PRELOAD", library.as_os_str().to_owned()),
        (
            "FAKETIME_TIMESTAMP_FILE",
            file(folder, name).into_os_string(),
        ),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        // The file is read anew each second.
        ("FAKETIME_CACHE_DURATION", "1".into()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

fn file(folder: &Path, node: Name) -> PathBuf {
    folder.join(node.to_string())
}

fn set(folder: &Path, node: Name, offset: &str) -> Result<()> {
    files::write(&file(folder, node), offset)
}

fn offset(offsets: [&'static str; 3], node: Name) -> &'static str {
    offsets[usize::from(node.number.saturating_sub(1)) % offsets.len()]
}

/// When rules were created, in seconds, by the revisions that did.
fn created(record: &Record) -> Vec<(u64, u64)> {
    let mut created = Vec::new();
    for attempt in &record.attempts {
        let (Asked::Create { .. }, Answer::Done(done)) = (&attempt.asked, &attempt.answer) else {
            continue;
        };
        let rule: Value = serde_json::from_str(&done.body).unwrap_or_default();
        if let Some(at) = rule["created_at"].as_u64() {
            created.push((done.revision, at));
        }
    }
    created.sort_unstable();
    created
}

/// Those that lie before one of an earlier revision.
fn back(created: &[(u64, u64)]) -> Vec<String> {
    created
        .windows(2)
        .filter(|pair| pair[1].1 < pair[0].1)
        .map(|pair| format!("{:?} after {:?}", pair[1], pair[0]))
        .collect()
}
