//! Keys that are still recognised by a hash under an earlier pepper. The text of a key is nowhere but in requests that are made with
//! it, so a key moves to the active pepper when it is used: the node that saw it tells the log by what it is to be recognised, many keys at
//! once and never on the way of a request. What a node has not told when it ends is found again at the key's next use.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::command::{Command, MoveKeys, MovedKey, Origin, Stamped};
use domain::id::{ApiKeyId, RequestId};
use domain::limits::KEY_MOVES_MAX;
use domain::model::{KeyHash, PepperId};
use parking_lot::Mutex;
use platform::{Clock, Entropy};

use super::shown::Recognised;
use crate::control_plane::ControlPlane;

/// How many secrets may wait to be told: a few seconds' worth of keys, in two megabytes. Others are noticed at their next use.
const MOVES_MAX: usize = 8192;

/// The secrets that are to move. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct KeyMoves {
    waiting: Arc<Mutex<BTreeMap<KeyHash, Move>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Move {
    id: ApiKeyId,
    now: KeyHash,
    /// What `now` was made under.
    pepper: PepperId,
}

impl KeyMoves {
    /// Notes how a key was recognised.
    pub(super) fn note(&self, id: &ApiKeyId, recognised: &Recognised) {
        let Recognised {
            shown,
            stored,
            pepper,
        } = *recognised;
        if shown == stored {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.len() < MOVES_MAX || waiting.contains_key(&stored) {
            let id = id.clone();
            let now = shown;
            waiting.insert(stored, Move { id, now, pepper });
        }
    }

    /// Some that are under one pepper; they do not wait any more.
    fn take(&self) -> Option<MoveKeys> {
        let mut waiting = self.waiting.lock();
        let pepper = waiting.values().next()?.pepper;
        let all = waiting.iter().filter(|(_, to)| to.pepper == pepper);
        let some = all.take(KEY_MOVES_MAX).map(|(was, to)| MovedKey {
            id: to.id.clone(),
            was: *was,
            now: to.now,
        });
        let keys: Vec<_> = some.collect();
        for moved in &keys {
            waiting.remove(&moved.was);
        }
        Some(MoveKeys { pepper, keys })
    }

    /// Tells the log of those that wait. What it may not have heard is told again when the key is used again: that changes
    /// nothing, if it did hear it.
    pub(super) async fn report(
        &self,
        control: &dyn ControlPlane,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) {
        while let Some(moves) = self.take() {
            let (at, count) = (clock.now(), moves.keys.len());
            let stamped = Stamped {
                at,
                request_id: RequestId::new(entropy.seed(at)),
                idempotency: None,
                command: Command::MoveKeys(moves),
                origin: Origin::default(),
                precondition: None,
            };
            if let Err(error) = control.propose(stamped).await {
                tracing::debug!(%error, keys = count, "keys could not be moved to the active pepper");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::id::Seed;

    use super::*;

    fn recognised(number: u64, pepper: u8) -> Recognised {
        let mut stored = KeyHash([0; 32]);
        stored.0[..8].copy_from_slice(&number.to_be_bytes());
        Recognised {
            shown: KeyHash([0xff; 32]),
            stored,
            pepper: PepperId([pepper; 8]),
        }
    }

    fn key(random: u64) -> ApiKeyId {
        ApiKeyId::new(Seed { unix_ms: 1, random })
    }

    #[test]
    fn a_key_that_is_under_another_pepper_is_told_once() {
        let moves = KeyMoves::default();
        let mut moved = recognised(1, 1);
        moves.note(&key(1), &moved);
        moves.note(&key(1), &moved);
        let told = MovedKey {
            id: key(1),
            was: moved.stored,
            now: moved.shown,
        };
        let told = MoveKeys {
            pepper: moved.pepper,
            keys: vec![told],
        };
        assert_eq!(moves.take(), Some(told));
        assert_eq!(moves.take(), None);
        moved.stored = moved.shown;
        moves.note(&key(1), &moved);
        assert_eq!(moves.take(), None);
    }

    #[test]
    fn what_waits_and_what_is_told_at_once_is_bounded_and_of_one_pepper() {
        let moves = KeyMoves::default();
        for number in 0..=MOVES_MAX as u64 {
            moves.note(&key(number), &recognised(number, (number % 2) as u8));
        }
        assert_eq!(moves.waiting.lock().len(), MOVES_MAX);
        let (mut told, mut peppers) = (0, BTreeSet::new());
        while let Some(taken) = moves.take() {
            assert!((1..=KEY_MOVES_MAX).contains(&taken.keys.len()));
            told += taken.keys.len();
            peppers.insert(taken.pepper);
        }
        assert_eq!((told, peppers.len()), (MOVES_MAX, 2));
    }
}
