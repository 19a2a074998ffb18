//! What a load was told, and the judgement on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256};
use xtask::local::Name;

use super::evidence::{Attempt, Held, Rule};
use super::oracle;
use crate::client::{Answer, Call};
use crate::town::{POLL, Town};

/// How long a node may take for a page of what it holds, once the faults are over.
const PAGE_WITHIN: Duration = Duration::from_secs(120);

/// One thing that a client wanted, from its first attempt to its last.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Whose it was.
    pub client: usize,
    /// Whether it changes something.
    pub write: bool,
    /// When it was begun, in microseconds of the load.
    pub began_us: u64,
    /// When it was answered, or given up.
    pub ended_us: u64,
    /// How often it was asked.
    pub attempts: usize,
    /// Whether it succeeded.
    pub done: bool,
}

impl Operation {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.ended_us.saturating_sub(self.began_us))
    }
}

/// What a load was told, judged.
pub struct Record {
    /// All attempts, in the order in which they ended.
    pub attempts: Vec<Attempt>,
    /// What each node held at the end.
    pub held: BTreeMap<u16, Held>,
    /// What clients wanted, in the order in which it was answered.
    pub operations: Vec<Operation>,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Record {
    pub(super) fn judge(
        attempts: Vec<Attempt>,
        held: BTreeMap<u16, Held>,
        mut operations: Vec<Operation>,
        mut violations: Vec<String>,
    ) -> Self {
        operations.sort_by_key(|operation| operation.ended_us);
        violations.extend(oracle::violations(&attempts, &held));
        violations.extend(differing(&held));
        Self {
            attempts,
            held,
            operations,
            violations,
        }
    }

    /// How many writes were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledgements(0..u64::MAX).len()
    }

    /// How many reads were answered.
    #[must_use]
    pub fn reads(&self) -> usize {
        let reads = |done: &&Operation| !done.write && done.done;
        self.operations.iter().filter(reads).count()
    }

    /// When writes were acknowledged within a time, in order.
    #[must_use]
    pub fn acknowledgements(&self, within: std::ops::Range<u64>) -> Vec<u64> {
        self.operations
            .iter()
            .filter(|done| done.write && done.done && within.contains(&done.ended_us))
            .map(|done| done.ended_us)
            .collect()
    }

    /// For each fault, the longest time without an acknowledged write, from the last one before the fault to the last one before
    /// the next, or before the end.
    #[must_use]
    pub fn gaps(&self, faults: &[u64]) -> Vec<Duration> {
        let all = self.acknowledgements(0..u64::MAX);
        let gap = |(index, fault): (usize, &u64)| {
            let from = all.partition_point(|at| at < fault).saturating_sub(1);
            let until = faults.get(index + 1).copied().unwrap_or(u64::MAX);
            let to = all.partition_point(|at| *at < until);
            let longest = all.get(from..to).unwrap_or_default().windows(2);
            let longest = longest.map(|pair| pair[1] - pair[0]).max();
            Duration::from_micros(longest.unwrap_or_default())
        };
        faults.iter().enumerate().map(gap).collect()
    }

    /// The operations that never succeeded, each with its course.
    #[must_use]
    pub fn failed(&self) -> Vec<String> {
        let failed = self.operations.iter().filter(|done| !done.done);
        failed.map(|operation| self.course(operation)).collect()
    }

    /// The operations that took more than so many attempts, each with its course.
    #[must_use]
    pub fn beyond(&self, attempts: usize) -> Vec<String> {
        let beyond = |done: &&Operation| done.attempts > attempts;
        let beyond = self.operations.iter().filter(beyond);
        beyond.map(|operation| self.course(operation)).collect()
    }

    /// What became of an operation, attempt by attempt.
    fn course(&self, operation: &Operation) -> String {
        let within = operation.began_us..=operation.ended_us;
        let attempts = self.attempts.iter().filter(|attempt| {
            attempt.client == operation.client && within.contains(&attempt.sent_us)
        });
        let shown = attempts.map(|attempt| {
            let took = Duration::from_micros(attempt.ended_us.saturating_sub(attempt.sent_us));
            format!(
                "node {} {} after {} ms",
                attempt.node,
                attempt.answer.word(),
                took.as_millis()
            )
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// With nobody writing any more, all nodes hold the same.
fn differing(held: &BTreeMap<u16, Held>) -> Vec<String> {
    let mut states = held.iter();
    let Some((first, expected)) = states.next() else {
        return Vec::new();
    };
    states
        .filter(|(_, state)| state.hash != expected.hash)
        .map(|(node, state)| {
            format!(
                "node {node} holds {} rules, other than the {} of node {first}",
                state.rules.len(),
                expected.rules.len()
            )
        })
        .collect()
}

/// What a node holds, asked of it alone.
pub(super) async fn held_by(town: &Town, node: Name) -> Result<Held> {
    held(town, node, Call::get).await
}

/// What a node that hears of no other one shows of what it holds, however old that is.
///
/// # Errors
/// When it does not show it.
pub async fn shown_by(town: &Town, node: Name) -> Result<Held> {
    held(town, node, |path| Call::get(path).stale()).await
}

async fn held(town: &Town, node: Name, call: impl Fn(String) -> Call) -> Result<Held> {
    let mut state = Held::default();
    let mut digest = Sha256::new();
    let mut path = "/v2/rules?limit=100".to_owned();
    loop {
        let answer = page(town, node, &call(path)).await?;
        let page = answer.json();
        for rule in page["data"].as_array().into_iter().flatten() {
            digest.update(rule.to_string());
            state.rules.extend(Rule::read(rule));
        }
        let revision = answer.header("vectorgate-revision");
        state.applied = revision.and_then(|text| text.parse().ok()).unwrap_or(0);
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v2/rules?limit=100&cursor={cursor}");
    }
    state.hash = digest.finalize().into();
    Ok(state)
}

async fn page(town: &Town, node: Name, call: &Call) -> Result<Answer> {
    let began = Instant::now();
    loop {
        let asked = town
            .target()
            .call(town.http(node), call, Duration::from_secs(5))
            .await;
        let said = match asked {
            Ok(answer) if answer.status.is_success() => return Ok(answer),
            Ok(answer) => format!("{} {}", answer.status, answer.error_code()),
            Err(failure) => format!("{failure:?}"),
        };
        if began.elapsed() > PAGE_WITHIN || !town.is_running(node)? {
            bail!(
                "{node} does not show what it holds: {said}\n{}",
                town.log(node)
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(acknowledged_ms: &[u64]) -> Record {
        let operations = acknowledged_ms.iter().map(|ms| Operation {
            client: 0,
            write: true,
            began_us: 0,
            ended_us: ms * 1000,
            attempts: 1,
            done: true,
        });
        Record::judge(
            Vec::new(),
            BTreeMap::new(),
            operations.collect(),
            Vec::new(),
        )
    }

    #[test]
    fn a_gap_is_the_longest_silence_from_before_a_fault_to_the_next() {
        let record = record(&[0, 10, 500, 510, 1000, 1300]);
        let gaps = record.gaps(&[20_000, 1_010_000]);
        assert_eq!(gaps, [490, 300].map(Duration::from_millis));
    }

    #[test]
    fn nodes_that_hold_other_things_at_the_end_are_found() {
        let state = |byte| Held {
            hash: [byte; 32],
            ..Held::default()
        };
        let held = BTreeMap::from([(1, state(7)), (2, state(7)), (3, state(8))]);
        assert_eq!(differing(&held).len(), 1);
    }
}
