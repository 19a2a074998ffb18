//! A run told in order, for whoever wants to know how it came to a violation: faults, processes,
//! leaders, edges, and what each node believed at the end.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::history::{Answer, History, NodeSight};
use crate::run::Verdict;

/// The whole story, one event a line.
#[must_use]
pub fn tell(verdict: &Verdict) -> String {
    let history = &verdict.history;
    let mut lines: Vec<(u64, String)> = Vec::new();
    lines.extend(told(history));
    lines.extend(beliefs(history));
    lines.extend(edges(history));
    lines.extend(trouble(history));
    lines.sort_by_key(|(at_us, _)| *at_us);
    let mut text = String::new();
    for (at_us, line) in lines {
        let _ = writeln!(
            text,
            "{:5}.{:06} {line}",
            at_us / 1_000_000,
            at_us % 1_000_000
        );
    }
    let _ = writeln!(text, "what each node believed at the end:");
    let mut last: BTreeMap<usize, &NodeSight> = BTreeMap::new();
    for sight in &history.nodes {
        last.insert(sight.node, sight);
    }
    for sight in last.values() {
        let _ = writeln!(text, "  {sight:?}");
    }
    for violation in &verdict.violations {
        let _ = writeln!(text, "VIOLATION {violation}");
    }
    text
}

/// What the run wrote down itself. Each line begins with its time.
fn told(history: &History) -> impl Iterator<Item = (u64, String)> {
    history.story.iter().map(|line| {
        let time = line.trim_start().split_once(' ').map(|(time, _)| time);
        let seconds: f64 = time.and_then(|time| time.parse().ok()).unwrap_or(0.0);
        let rest = line
            .trim_start()
            .split_once(" s ")
            .map_or(line.as_str(), |(_, rest)| rest);
        let at_us = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        (
            u64::try_from(at_us.as_micros()).unwrap_or(u64::MAX),
            rest.to_owned(),
        )
    })
}

/// What nodes believed, whenever that changed but for the growth of their logs.
fn beliefs(history: &History) -> impl Iterator<Item = (u64, String)> {
    let mut before: BTreeMap<usize, String> = BTreeMap::new();
    history.nodes.iter().filter_map(move |sight| {
        let belief = format!(
            "term {}, vote {:?}, {}, leader {:?}, voters {:?}, learners {:?}",
            sight.term,
            sight.vote,
            if sight.leads { "leads" } else { "follows" },
            sight.leader,
            sight.voters,
            sight.learners,
        );
        let place = |place: Option<crate::history::Place>| place.map_or(0, |place| place.index);
        let line = format!(
            "  node {} life {}: {belief}; last {}, committed {}, applied {}, checkpoint {}, purged {}",
            sight.node,
            sight.life,
            place(sight.last),
            place(sight.committed),
            place(sight.applied),
            place(sight.checkpoint),
            place(sight.purged),
        );
        let known = before.insert(sight.node, belief.clone());
        (known != Some(belief)).then_some((sight.at_us, line))
    })
}

fn edges(history: &History) -> impl Iterator<Item = (u64, String)> {
    history.words.iter().map(|word| {
        let (epoch, version) = word.manifest;
        let what = match &word.refused {
            Some(reason) => format!("refuses manifest {epoch}.{version}: {reason}"),
            None => format!("takes manifest {epoch}.{version} into use"),
        };
        (word.at_us, format!("    edge {} {what}", word.edge + 1))
    })
}

/// Requests that did not get what they asked for.
fn trouble(history: &History) -> impl Iterator<Item = (u64, String)> {
    history.attempts.iter().filter_map(|attempt| {
        let answer = match &attempt.answer {
            Answer::Done(_) => return None,
            answer => answer,
        };
        let line = format!(
            "      client {} asked node {} for {:?}: {answer:?}",
            attempt.client, attempt.node, attempt.call
        );
        Some((attempt.ended_us, line))
    })
}
