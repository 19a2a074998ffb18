//! Waiting until this node has applied a revision. Each waiter is woken once, when it is its
//! turn: with hundreds of writers a plain watch would wake all of them for every batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::time::Revision;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

/// Those who wait for revisions. Cloning shares it.
#[derive(Clone)]
pub(crate) struct AppliedWaiters {
    applied: watch::Receiver<Revision>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    turns: BTreeMap<(Revision, u64), oneshot::Sender<()>>,
}

impl AppliedWaiters {
    /// Waiters on `applied`, woken by a task that ends when the sender of `applied` is gone.
    pub(crate) fn spawn(applied: watch::Receiver<Revision>) -> Self {
        let waiters = Self {
            applied: applied.clone(),
            waiting: Arc::default(),
        };
        tokio::spawn(wake(applied, Arc::clone(&waiters.waiting)));
        waiters
    }

    /// What has been applied.
    pub(crate) fn applied(&self) -> Revision {
        *self.applied.borrow()
    }

    /// Returns once `revision` has been applied. It has no deadline of its own.
    pub(crate) async fn reach(&self, revision: Revision) {
        if self.applied() >= revision {
            return;
        }
        let (sender, turn) = oneshot::channel();
        let _entered = self.enter(revision, sender);
        // 1. `applied` is read as too low, 2. the revision is applied and the waker finds nobody,
        // 3. the waiter is entered: without a second look it would sleep until the next write.
        if self.applied() >= revision {
            return;
        }
        if turn.await.is_err() {
            // Nothing will be applied any more; whoever waits has a deadline.
            std::future::pending::<()>().await;
        }
    }

    fn enter(&self, revision: Revision, sender: oneshot::Sender<()>) -> Entered {
        let mut waiting = self.waiting.lock();
        let turn = (revision, waiting.next);
        waiting.next += 1;
        waiting.turns.insert(turn, sender);
        Entered {
            waiting: Arc::clone(&self.waiting),
            turn,
        }
    }
}

/// Takes a waiter out again, also one that gave up.
struct Entered {
    waiting: Arc<Mutex<Waiting>>,
    turn: (Revision, u64),
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.waiting.lock().turns.remove(&self.turn);
    }
}

async fn wake(mut applied: watch::Receiver<Revision>, waiting: Arc<Mutex<Waiting>>) {
    while applied.changed().await.is_ok() {
        let reached = *applied.borrow_and_update();
        let woken = {
            let mut waiting = waiting.lock();
            let later = waiting.turns.split_off(&(Revision(reached.0 + 1), 0));
            std::mem::replace(&mut waiting.turns, later)
        };
        for sender in woken.into_values() {
            // Whoever gave up waiting in this very moment is not there any more.
            let _ = sender.send(());
        }
    }
    waiting.lock().turns.clear();
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_waiter_returns_when_its_revision_is_applied_and_not_before() {
        let (sender, receiver) = watch::channel(Revision(3));
        let waiters = AppliedWaiters::spawn(receiver);
        assert!(waiters.reach(Revision(3)).now_or_never().is_some());
        let mut five = Box::pin(waiters.reach(Revision(5)));
        let mut six = Box::pin(waiters.reach(Revision(6)));
        assert!((&mut five).now_or_never().is_none());
        assert!((&mut six).now_or_never().is_none());
        sender.send(Revision(5)).unwrap();
        five.await;
        assert!((&mut six).now_or_never().is_none());
        sender.send(Revision(9)).unwrap();
        six.await;
        assert!(waiters.waiting.lock().turns.is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_is_forgotten() {
        let (_sender, receiver) = watch::channel(Revision(0));
        let waiters = AppliedWaiters::spawn(receiver);
        let mut one = Box::pin(waiters.reach(Revision(1)));
        let mut two = Box::pin(waiters.reach(Revision(1)));
        assert!((&mut one).now_or_never().is_none());
        assert!((&mut two).now_or_never().is_none());
        drop(one);
        assert_eq!(waiters.waiting.lock().turns.len(), 1);
        drop(two);
        assert!(waiters.waiting.lock().turns.is_empty());
    }

    #[tokio::test]
    async fn nobody_is_woken_for_what_will_never_be_applied() {
        let (sender, receiver) = watch::channel(Revision(0));
        let waiters = AppliedWaiters::spawn(receiver);
        let waiting = tokio::time::timeout(
            std::time::Duration::from_millis(20),
            waiters.reach(Revision(1)),
        );
        drop(sender);
        assert!(waiting.await.is_err());
    }
}
