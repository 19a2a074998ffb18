//! What other nodes hear when they ask about limits.

use std::sync::{Arc, Weak};

use super::Inner;
use super::keeper::Wish;
use super::wire::{self, NOTES_MAX, Query, Reply};
use crate::control_plane::LocalLimits;

/// Answers for the limits while they are there. They hold consensus, which holds this.
pub(super) struct Desk {
    limits: Weak<Inner>,
}

impl Desk {
    pub(super) fn new(limits: &Arc<Inner>) -> Self {
        Self {
            limits: Arc::downgrade(limits),
        }
    }
}

impl LocalLimits for Desk {
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let limits = self.limits.upgrade()?;
        let reply = match wire::decode(query)? {
            Query::Take {
                id,
                limit,
                amount,
                insist,
            } => limits.answer(&Wish { id, limit, amount }, insist),
            Query::Notes(batch) if batch.notes.len() <= NOTES_MAX => {
                limits.keeper.note_all(limits.now_ms(), &batch);
                Reply::Noted
            }
            Query::Notes(_) => return None,
        };
        Some(wire::encode(&reply))
    }
}

impl Inner {
    fn answer(&self, wish: &Wish, insist: bool) -> Reply {
        let now_ms = self.now_ms();
        if self.cluster(now_ms).in_contact {
            self.keeper.ask(now_ms, wish, insist)
        } else {
            Reply::CutOff
        }
    }
}
