//! Telling what was granted: to the members that would keep a window if the one that granted were lost,
//! until they have heard it. What waits, and in what form it is sent, is the outbox's matter.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::id::WindowId;
use super::outbox::{Collected, Posted};
use super::wire::{Note, Query, Reply};
use super::{Inner, Limits};
use crate::control_plane::MemberId;

/// How many members know of each grant: the one that made it, and two more that can be lost.
const KEEPERS: usize = 3;

/// How long to wait before a member that did not confirm is told again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What follows an attempt to tell a member.
enum Next {
    /// The next batch.
    Now,
    /// The same one again.
    Later,
    /// Nothing waits.
    End,
}

impl Limits {
    /// Tells the members that may have to keep the window what was granted.
    pub(super) fn tell(&self, order: &[MemberId], granted_by: MemberId, id: WindowId, count: u32) {
        if count == 0 {
            return;
        }
        let inner = &self.inner;
        let now_ms = inner.now_ms();
        for &member in order
            .iter()
            .take(KEEPERS)
            .filter(|member| **member != granted_by)
        {
            if member == inner.this {
                let age_ms = 0;
                inner.keeper.note(now_ms, &Note { id, count, age_ms });
                continue;
            }
            match inner.outbox.post(now_ms, member, id, count) {
                Posted::Send => drop(tokio::spawn(deliver(Arc::downgrade(inner), member))),
                Posted::Waits => {}
                Posted::Lost => drop(inner.metrics.notes_lost.inc()),
            }
        }
    }

    async fn deliver_once(&self, member: MemberId) -> Next {
        let inner = &self.inner;
        let Collected { batch, dropped } = inner.outbox.collect(inner.now_ms(), member);
        inner.metrics.notes_lost.inc_by(dropped as u64);
        let Some(batch) = batch else {
            return Next::End;
        };
        let number = batch.number;
        if self.send(member, &Query::Notes(batch)).await == Some(Reply::Noted) {
            inner.outbox.confirm(member, number);
            inner.fitness.lock().answered(member);
            Next::Now
        } else {
            inner.fitness.lock().silent(inner.now_ms(), member);
            Next::Later
        }
    }
}

/// Tells a member what waits for it, until nothing does. It does not keep the limits alive.
async fn deliver(limits: Weak<Inner>, member: MemberId) {
    loop {
        let Some(inner) = limits.upgrade() else {
            return;
        };
        match (Limits { inner }).deliver_once(member).await {
            Next::Now => {}
            Next::Later => tokio::time::sleep(AGAIN_AFTER).await,
            Next::End => return,
        }
    }
}
