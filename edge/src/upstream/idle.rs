//! A deadline for the next piece of a body. It costs nothing while pieces come without waiting:
//! the timer exists from the first wait on, and is moved only when it fires too early.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::due::Due;
use crate::turn;

/// Fires when one wait has lasted too long.
#[derive(Debug)]
pub struct IdleDeadline {
    limit: Duration,
    since: Option<Instant>,
    due: Due,
}

impl IdleDeadline {
    /// A deadline of `limit` for each wait.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            due: Due::default(),
        }
    }

    /// What was waited for has come.
    pub fn arrived(&mut self) {
        self.since = None;
    }

    /// Waits on; ready when this wait has lasted too long.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.since.get_or_insert_with(turn::now) + self.limit;
        self.due.poll(cx, deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_single_long_wait_fires() {
        let mut idle = IdleDeadline::new(Duration::from_secs(10));
        let begun = Instant::now();
        for _ in 0..5 {
            let wait = poll_fn(|cx| idle.poll_expired(cx));
            assert!(
                tokio::time::timeout(Duration::from_secs(8), wait)
                    .await
                    .is_err()
            );
            idle.arrived();
        }
        assert_eq!(begun.elapsed().as_secs(), 40);
        poll_fn(|cx| idle.poll_expired(cx)).await;
        assert_eq!(begun.elapsed().as_secs(), 50);
    }
}
