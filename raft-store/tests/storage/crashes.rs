//! Any sequence of what consensus does, with faults and power cuts in between: what was
//! acknowledged is there, what is there was written, and the node always starts again.

use openraft::storage::{RaftLogStorage, RaftStateMachine};
use proptest::prelude::*;
use raft_store::{LogId, SimDisk, Vote};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{Node, applied_to, entries, log_id, transfer, vote};

/// Indexes stay below what the support module knows the state of.
const INDEX_MAX: u64 = 350;

#[derive(Clone, Debug)]
enum Step {
    /// Appends so many entries.
    Append(u64),
    /// Removes so many uncommitted entries and goes on in the next term.
    Truncate(u64),
    Vote,
    /// Commits so many entries more.
    Commit(u64),
    /// Applies so many committed entries more.
    Apply(u64),
    Checkpoint,
    /// Purges so many entries less than the checkpoint allows.
    Purge(u64),
    /// Installs a checkpoint of another member that is so many entries ahead.
    Install(u64),
    /// Lets time go by, so that the mark is synced.
    Wait,
    /// One of the next syncs or writes fails; the process dies of it, and the machine with it.
    FailSync(u64),
    FailWrite(u64),
    Crash,
    /// The process dies and starts again; the machine goes on.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u64).prop_map(Step::Append),
        2 => (1..4_u64).prop_map(Step::Truncate),
        1 => Just(Step::Vote),
        4 => (1..6_u64).prop_map(Step::Commit),
        4 => (1..9_u64).prop_map(Step::Apply),
        2 => Just(Step::Checkpoint),
        2 => (0..3_u64).prop_map(Step::Purge),
        1 => (1..9_u64).prop_map(Step::Install),
        1 => Just(Step::Wait),
        2 => (0..12_u64).prop_map(Step::FailSync),
        2 => (0..12_u64).prop_map(Step::FailWrite),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// The log as it is known to be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Log {
    purged: Option<LogId>,
    /// The entries after `purged`.
    entries: Vec<LogId>,
    vote: Option<Vote>,
}

impl Log {
    fn last(&self) -> Option<LogId> {
        self.entries.last().copied().or(self.purged)
    }

    fn next(&self) -> u64 {
        next(self.last())
    }
}

fn next(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index + 1)
}

struct World {
    disk: SimDisk,
    node: Node,
    rng: ChaCha8Rng,
    term: u64,
    log: Log,
    /// What the log is if the step that failed took effect.
    maybe: Option<Log>,
    committed: Option<LogId>,
    applied: Option<LogId>,
    /// Up to where the state is durable for sure.
    durable: Option<LogId>,
    failing: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new();
        let node = Node::sim(&disk).unwrap();
        Self {
            disk,
            node,
            rng: ChaCha8Rng::seed_from_u64(seed),
            term: 1,
            log: Log::default(),
            maybe: None,
            committed: None,
            applied: None,
            durable: None,
            failing: false,
        }
    }

    /// Notes whether a step that turns the log into `after` was acknowledged.
    fn acknowledged(&mut self, ok: bool, after: Log) {
        if ok {
            self.log = after;
        } else {
            self.maybe = Some(after);
        }
    }

    /// Does one step; answers whether the node is still alive.
    async fn take(&mut self, step: Step) -> bool {
        let down = matches!(step, Step::Crash | Step::Restart);
        let mut after = self.log.clone();
        let ok = match step {
            Step::Append(count) => {
                let start = self.log.next();
                if start + count > INDEX_MAX {
                    return true;
                }
                let new = entries(self.term, start..start + count);
                after.entries.extend(new.iter().map(|entry| entry.log_id));
                let ok = self.node.append(new).await.is_ok();
                self.acknowledged(ok, after);
                ok
            }
            Step::Truncate(count) => {
                let keep = self
                    .log
                    .next()
                    .saturating_sub(count)
                    .max(next(self.committed));
                after.entries.retain(|log_id| log_id.index < keep);
                let ok = self.node.log.truncate_after(after.last()).await.is_ok();
                self.term += 1;
                self.acknowledged(ok, after);
                ok
            }
            Step::Vote => {
                self.term += 1;
                after.vote = Some(vote(self.term));
                let ok = self.node.log.save_vote(&vote(self.term)).await.is_ok();
                self.acknowledged(ok, after);
                ok
            }
            Step::Commit(count) => {
                let upto = (next(self.committed) + count).min(self.log.next());
                let found = self
                    .log
                    .entries
                    .iter()
                    .rev()
                    .find(|log_id| log_id.index < upto);
                self.committed = self.committed.max(found.copied());
                self.node.log.save_committed(self.committed).await.is_ok()
            }
            Step::Apply(count) => {
                let (from, end) = (next(self.applied), next(self.committed));
                let upto = (from + count).min(end);
                let mut batch = Vec::new();
                for index in from..upto {
                    batch.extend(self.node.entry(index).await);
                }
                let applied = batch.last().map(|entry| entry.log_id).or(self.applied);
                let ok = self.node.apply(batch).await.is_ok();
                // One batch is one write, so one that failed may be there or not.
                self.applied = applied;
                ok
            }
            Step::Checkpoint => {
                if self.applied.is_none() {
                    return true;
                }
                let ok = self.node.checkpoint().await.is_ok();
                if ok {
                    self.durable = self.applied;
                }
                ok
            }
            Step::Purge(less) => {
                let current = self.node.machine.get_current_snapshot().await;
                let Ok(current) = current else { return false };
                let covered = current.and_then(|current| current.meta.last_log_id);
                let upto = self
                    .log
                    .entries
                    .iter()
                    .rev()
                    .find(|log_id| log_id.index + less <= next(covered).saturating_sub(1));
                let Some(upto) = upto.copied() else {
                    return true;
                };
                if covered.is_none() {
                    return true;
                }
                after.entries.retain(|log_id| log_id.index > upto.index);
                after.purged = Some(upto);
                let ok = self.node.log.purge(upto).await.is_ok();
                self.acknowledged(ok, after);
                ok
            }
            Step::Install(ahead) => {
                let upto = self.log.next() + ahead;
                if upto > INDEX_MAX {
                    return true;
                }
                let mut leader = applied_to(self.term, upto).await;
                let checkpoint = leader.checkpoint().await.unwrap();
                if self.failing {
                    // The transfer's own unwraps are for senders that do no wrong.
                    return true;
                }
                let received = transfer(&checkpoint, &self.node.checkpoints, 500).await;
                if self.node.install(received).await.is_err() {
                    return false;
                }
                self.applied = Some(log_id(self.term, upto));
                (self.durable, self.committed) = (self.applied, self.applied);
                after.entries.clear();
                after.purged = self.applied;
                let ok = self.node.log.purge(log_id(self.term, upto)).await.is_ok();
                self.acknowledged(ok, after);
                ok
            }
            Step::Wait => {
                tokio::time::advance(std::time::Duration::from_secs(2)).await;
                true
            }
            Step::FailSync(after) => {
                self.failing = true;
                self.disk.fail_sync_after(after);
                true
            }
            Step::FailWrite(after) => {
                self.failing = true;
                self.disk.fail_write_after(after);
                true
            }
            Step::Crash | Step::Restart => false,
        };
        // What was not acknowledged is a fault, which the process was told of; one that it was told
        // of in between, of noting the mark, takes nothing back.
        let told = !self.node.faults.lock().is_empty();
        assert!(ok || told || down, "nobody was told of a fault");
        ok && !told
    }

    /// The machine goes down and comes up again.
    async fn restart(&mut self, power_cut: bool) {
        if power_cut {
            self.disk.crash(&mut self.rng);
        } else {
            self.disk.clear_faults();
        }
        // What is left of the old node must not matter.
        self.disk.kill();
        self.node = Node::sim(&self.disk).expect("what a crash leaves must open");
        self.failing = false;
        let observed = self.observe().await;
        self.check(&observed).await;
        self.log = observed;
        self.maybe = None;
        self.node
            .recover()
            .await
            .expect("consensus must be able to start");
        self.node.check_state().await;
        let applied = self.node.applied().await;
        assert!(
            applied <= self.committed.max(self.applied),
            "more was applied than was committed"
        );
        self.applied = applied;
        self.committed = self.committed.max(applied);
        // Starting purges what an installed checkpoint covers, and makes a checkpoint if the log
        // was purged and none was left.
        self.log = self.observe().await;
    }

    async fn observe(&mut self) -> Log {
        let state = self.node.log.get_log_state().await.unwrap();
        let entries = self.node.log_ids(0..u64::MAX).await;
        Log {
            purged: state.last_purged_log_id,
            entries,
            vote: self.node.vote().await,
        }
    }

    async fn check(&mut self, observed: &Log) {
        let applied = self.node.applied().await;
        assert!(
            applied >= self.durable,
            "applied {applied:?}, durable {:?}",
            self.durable
        );
        assert!(
            observed.purged <= applied,
            "purged {:?}, applied {applied:?}",
            observed.purged
        );
        self.node.check_state().await;
        if let Some(current) = self.node.machine.get_current_snapshot().await.unwrap() {
            assert!(
                current.meta.last_log_id <= applied,
                "a checkpoint ahead of the state"
            );
        }
        let matches = |log: &Log| {
            // A purge that was lost brings entries back; they are the ones that were there.
            let above = |entries: &[LogId]| {
                let purged = next(log.purged);
                entries
                    .iter()
                    .copied()
                    .filter(|log_id| log_id.index >= purged)
                    .collect::<Vec<_>>()
            };
            observed.vote == log.vote
                && above(&observed.entries) == log.entries
                && observed.next() == log.next()
        };
        let lost_purge = |log: &Log| {
            observed.purged < log.purged && log.entries.is_empty() && observed.vote == log.vote
        };
        let expected = [Some(&self.log), self.maybe.as_ref()];
        assert!(
            expected
                .iter()
                .flatten()
                .any(|log| matches(log) || lost_purge(log)),
            "found {observed:?}, expected one of {expected:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_and_the_node_starts_again(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed);
            for step in steps {
                let gentle = matches!(step, Step::Restart);
                if !world.take(step).await {
                    world.restart(!gentle).await;
                }
            }
            world.restart(true).await;
        });
    }
}
