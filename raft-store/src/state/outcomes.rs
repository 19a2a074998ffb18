//! What came of the proposals that were made here.
//!
//! A node applies every entry itself before it answers whoever proposed it, so it takes the
//! result from its own state machine: nobody has to send it one. A proposal is known by its
//! request id, which no other one has.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use domain::id::RequestId;
use domain::outcome::Applied;
use parking_lot::Mutex;
use tokio::sync::oneshot;

type Waiting = Arc<Mutex<BTreeMap<RequestId, oneshot::Sender<Applied>>>>;

/// Those who wait for the results of their proposals. Cloning shares it.
#[derive(Clone, Default)]
pub struct Outcomes {
    waiting: Waiting,
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outcomes").finish_non_exhaustive()
    }
}

impl Outcomes {
    /// The result of the proposal with this request id, once an entry with it is applied here.
    /// Ask before proposing it. An entry that comes as part of a checkpoint is not noticed.
    #[must_use]
    pub fn expect(&self, request_id: RequestId) -> Expected {
        let (sender, applied) = oneshot::channel();
        self.waiting.lock().insert(request_id.clone(), sender);
        Expected {
            waiting: Arc::clone(&self.waiting),
            request_id,
            applied,
        }
    }

    /// Tells whoever waits for one of these. Call it once they can be read.
    pub(super) fn tell<'a>(&self, applied: impl Iterator<Item = (&'a RequestId, Applied)>) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        for (request_id, applied) in applied {
            if let Some(sender) = waiting.remove(request_id) {
                // Whoever gave up waiting is not there any more.
                let _ = sender.send(applied);
            }
        }
    }
}

/// A result to come; a future of it, which never ends if the proposal is never applied here.
pub struct Expected {
    waiting: Waiting,
    request_id: RequestId,
    applied: oneshot::Receiver<Applied>,
}

impl fmt::Debug for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Expected")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl Expected {
    /// The result, if it is there.
    pub fn take(&mut self) -> Option<Applied> {
        self.applied.try_recv().ok()
    }
}

impl Future for Expected {
    type Output = Applied;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Applied> {
        match ready!(Pin::new(&mut self.applied).poll(cx)) {
            Ok(applied) => Poll::Ready(applied),
            // It was taken, or somebody else waits under this id now.
            Err(_) => Poll::Pending,
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        // After the result came there is nothing to remove, and nobody else has this id.
        if self.applied.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            self.waiting.lock().remove(&self.request_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;
    use domain::rejection::Rejection;
    use domain::time::Revision;
    use futures_util::FutureExt;

    use super::*;

    fn id(random: u64) -> RequestId {
        RequestId::new(Seed { unix_ms: 1, random })
    }

    fn applied(revision: u64) -> Applied {
        Applied {
            reply: Err(Rejection::AlreadyBootstrapped),
            revision: Revision(revision),
            replayed: false,
        }
    }

    #[test]
    fn each_result_reaches_whoever_expects_it_and_nobody_is_left_behind() {
        let outcomes = Outcomes::default();
        let mut first = outcomes.expect(id(1));
        let mut second = outcomes.expect(id(2));
        let given_up = outcomes.expect(id(3));
        assert!((&mut first).now_or_never().is_none());
        drop(given_up);
        let ids = [id(2), id(3), id(9)];
        outcomes.tell(ids.iter().zip([applied(5), applied(6), applied(7)]));
        assert_eq!(second.take(), Some(applied(5)));
        assert_eq!(first.take(), None);
        outcomes.tell([(&id(1), applied(8))].into_iter());
        assert_eq!(first.now_or_never(), Some(applied(8)));
        assert!(outcomes.waiting.lock().is_empty());
    }
}
