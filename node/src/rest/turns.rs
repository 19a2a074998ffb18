//! Requests with the same `Idempotency-Key` take turns on a node. The log alone would order them
//! just as well, and does between nodes; but where the first is still running, a second one would
//! only be a second command that waits for the same majority. Whoever waits too long for his turn is
//! told so, while he can still be told that the first has not been answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::EnvironmentId;
use domain::model::IdempotencyKey;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::ApiError;

/// How long a request waits for another one with its key. Most are over long before; a first one
/// that takes longer may be in trouble, and is better asked about again.
const PATIENCE: Duration = Duration::from_secs(5);

/// A key is an environment's own.
pub(super) type Id = (EnvironmentId, IdempotencyKey);

/// The keys of requests under way, each with what ends when the request does.
type Running = BTreeMap<Id, watch::Receiver<()>>;

/// Whose turn it is. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<Running>>);

/// A request's turn. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    id: Id,
    _ends: watch::Sender<()>,
}

impl Turns {
    /// Waits until no other request with this key is under way on this node.
    pub(super) async fn take(&self, id: Id) -> Result<Turn, ApiError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut first = match self.try_take(&id) {
                Ok(turn) => return Ok(turn),
                Err(first) => first,
            };
            // An error is what it waits for: nobody sends anything.
            if tokio::time::timeout_at(deadline, first.changed())
                .await
                .is_err()
            {
                return Err(ApiError::idempotency_in_progress());
            }
        }
    }

    fn try_take(&self, id: &Id) -> Result<Turn, watch::Receiver<()>> {
        let mut running = self.0.lock();
        if let Some(first) = running.get(id) {
            return Err(first.clone());
        }
        let (ends, end) = watch::channel(());
        running.insert(id.clone(), end);
        Ok(Turn {
            turns: self.clone(),
            id: id.clone(),
            _ends: ends,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::super::error::Code;
    use super::*;

    fn id(environment: u64, key: &str) -> Id {
        let seed = Seed {
            unix_ms: 1,
            random: environment,
        };
        (EnvironmentId::new(seed), IdempotencyKey(key.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn equal_keys_take_turns_and_others_do_not_wait() {
        let turns = Turns::default();
        let first = turns.take(id(1, "a")).await.unwrap();
        let began = Instant::now();
        let others = [turns.take(id(1, "b")).await, turns.take(id(2, "a")).await];
        assert!(others.iter().all(Result::is_ok));
        let end = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(first);
        };
        // Two wait; one of them gets the turn, and the other the next one.
        let [one, two] = [turns.take(id(1, "a")), turns.take(id(1, "a"))];
        let one = async { drop(one.await.unwrap()) };
        let two = async { drop(two.await.unwrap()) };
        tokio::join!(end, one, two);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        drop(others);
        assert!(turns.0.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_so() {
        let turns = Turns::default();
        let _first = turns.take(id(1, "a")).await.unwrap();
        let began = Instant::now();
        let error = turns.take(id(1, "a")).await.unwrap_err();
        assert_eq!(
            (error.code, error.retry_after_s),
            (Code::IdempotencyInProgress, Some(1))
        );
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
