//! The replicated state machine in one process, as a map and a counter, with what can go wrong in a cluster.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::command::Stamped;
use domain::id::EnvironmentId;
use domain::machine;
use domain::model::Sealing;
use domain::outcome::Applied;
use domain::query;
use domain::rows::MemoryRows;
use domain::schema::SEALING;
use domain::time::{Revision, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::support::keys;
use crate::control_plane::{
    BoxFuture, Consistency, ControlPlane, Member, MemberId, ProposeError, ReadError, Readiness,
    ViewVisitor,
};

/// What goes wrong in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// Nothing is proposed, no read index is had.
    NoLeader,
    /// A disk is full: nothing that grows is taken.
    StorageFull,
    /// Commands are applied, but nobody hears of it.
    AnswersLost,
    /// Commands panic on the way, and reads that are to be fresh.
    Panics,
    /// Nothing is ever answered.
    Hangs,
    /// Commands are applied and answered when there is no trouble any more.
    Slow,
    /// A command is applied and answered, and nothing can be read after it: the node ends.
    Ends,
}

/// The replicated state machine in one process.
pub(super) struct MemoryControl {
    state: Mutex<(MemoryRows, Revision)>,
    pub(super) trouble: watch::Sender<Trouble>,
    /// What comes between the next request's look-up of its caller and its read.
    pub(super) meanwhile: Mutex<Option<Stamped>>,
    pub(super) changes: watch::Sender<Revision>,
    /// Whether the storage takes no more reads.
    ended: AtomicBool,
    pub(super) draining: AtomicBool,
    pub(super) barriers: AtomicU64,
    pub(super) reads: AtomicU64,
}

impl MemoryControl {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            trouble: watch::Sender::new(Trouble::None),
            meanwhile: Mutex::default(),
            changes: watch::Sender::new(Revision(0)),
            ended: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            barriers: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        }
    }

    pub(super) fn apply(&self, stamped: &Stamped) -> Applied {
        let mut state = self.state.lock();
        let revision = Revision(state.1.0 + 1);
        let applied = machine::step(&mut state.0, revision, stamped);
        state.1 = revision;
        self.changes.send_replace(revision);
        applied
    }

    pub(super) fn environment(&self, name: &str) -> EnvironmentId {
        let state = self.state.lock();
        query::environment_by_name(&state.0, name).unwrap().id
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.borrow()
    }

    /// Writes rows that no command makes.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut MemoryRows)) {
        edit(&mut self.state.lock().0);
    }

    /// Has secrets be sealed under the key that the node has.
    pub(super) fn seal_under_a_key(&self) {
        let active = keys().keks().wanted().unwrap();
        let since = Timestamp(0);
        self.edit(|rows| SEALING.put(rows, (), &Sealing { active, since }));
    }

    /// All rows as they are now.
    pub(super) fn rows(&self) -> MemoryRows {
        self.state.lock().0.clone()
    }

    pub(super) fn applied(&self) -> Revision {
        self.state.lock().1
    }
}

impl ControlPlane for MemoryControl {
    fn propose(&self, stamped: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(async move {
            let trouble = self.trouble();
            match trouble {
                Trouble::Hangs => std::future::pending().await,
                Trouble::None => Ok(self.apply(&stamped)),
                Trouble::Ends => {
                    self.ended.store(true, Ordering::Relaxed);
                    Ok(self.apply(&stamped))
                }
                Trouble::Slow => {
                    let mut trouble = self.trouble.subscribe();
                    let over = trouble.wait_for(|trouble| *trouble == Trouble::None).await;
                    over.unwrap();
                    Ok(self.apply(&stamped))
                }
                Trouble::NoLeader => Err(ProposeError::Unavailable {
                    retry_after_s: 2,
                    reason: "10.0.0.1 is silent".to_owned(),
                }),
                Trouble::StorageFull if stamped.command.grows() => Err(ProposeError::StorageFull {
                    reason: "the disk of 10.0.0.1 is full".to_owned(),
                }),
                Trouble::StorageFull => Ok(self.apply(&stamped)),
                Trouble::AnswersLost => {
                    self.apply(&stamped);
                    Err(ProposeError::OutcomeUnknown {
                        reason: "10.0.0.1 went away".to_owned(),
                    })
                }
                Trouble::Panics => panic!("a secret place in /src"),
            }
        })
    }

    fn barrier(&self, consistency: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>> {
        Box::pin(async move {
            let meanwhile = self.meanwhile.lock().take();
            if let Some(stamped) = meanwhile {
                self.apply(&stamped).reply.unwrap();
            }
            if consistency == Consistency::Linearizable {
                self.barriers.fetch_add(1, Ordering::Relaxed);
                let trouble = self.trouble();
                if trouble == Trouble::Hangs {
                    std::future::pending::<()>().await;
                }
                assert_ne!(trouble, Trouble::Panics, "a secret place in /src");
                if trouble == Trouble::NoLeader {
                    return Err(ReadError::Unavailable {
                        retry_after_s: 2,
                        reason: "10.0.0.1 is silent".to_owned(),
                    });
                }
            }
            Ok(self.applied())
        })
    }

    fn with_view(&self, visit: ViewVisitor<'_>) -> Result<Revision, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.ended.load(Ordering::Relaxed) {
            return Err(ReadError::Storage);
        }
        let state = self.state.lock();
        visit(&state.0);
        Ok(state.1)
    }

    fn access_changed(&self) -> Revision {
        // As if every entry changed it.
        self.applied()
    }

    fn members(&self) -> Vec<Member> {
        vec![self.this()]
    }

    fn this(&self) -> Member {
        Member {
            id: 1,
            region: "eu-central-1".to_owned(),
            internal: "127.0.0.1:7201".to_owned(),
            rest: "http://127.0.0.1:7101".to_owned(),
            publisher: "127.0.0.1:7301".to_owned(),
        }
    }

    fn leader(&self) -> Option<MemberId> {
        self.readiness().leader
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.changes.subscribe()
    }

    fn readiness(&self) -> Readiness {
        let leader = (self.trouble() != Trouble::NoLeader).then_some(1);
        Readiness {
            leader,
            leading: leader.is_some(),
            term: 3,
            applied: self.applied(),
            committed: self.applied(),
            last_contact: Some(std::time::Duration::from_millis(12)),
            draining: self.draining.load(Ordering::Relaxed),
        }
    }
}
