//! A deadline for the next piece of a body. It costs nothing while pieces come without waiting:
//! the timer exists from the first wait on, and is moved only when it fires too early.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Fires when one wait has lasted too long.
#[derive(Debug)]
pub struct IdleDeadline {
    limit: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleDeadline {
    /// A deadline of `limit` for each wait.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            timer: None,
        }
    }

    /// What was waited for has come.
    pub fn arrived(&mut self) {
        self.since = None;
    }

    /// Waits on; ready when this wait has lasted too long.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
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
