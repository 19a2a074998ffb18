//! A deadline that is set anew for each wait without touching the timer: the timer is moved only
//! when it fires too early, so that a thousand waits that end in time cost one timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that exists from the first wait on.
#[derive(Debug, Default)]
pub(super) struct Due(Option<Pin<Box<Sleep>>>);

impl Due {
    /// Ready when it is `deadline`. Deadlines of one timer should not jump back, since it then has
    /// to be moved.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
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
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_deadline() {
        let begun = Instant::now();
        let mut due = Due::default();
        for seconds in [5, 7, 7, 20, 12, 30] {
            let deadline = begun + Duration::from_secs(seconds);
            poll_fn(|cx| due.poll(cx, deadline)).await;
            assert!(Instant::now() >= deadline);
        }
        let later = begun + Duration::from_secs(100);
        let wait = poll_fn(|cx| due.poll(cx, later));
        assert!(
            tokio::time::timeout(Duration::from_secs(60), wait)
                .await
                .is_err()
        );
        let sooner = Instant::now() + Duration::from_secs(1);
        poll_fn(|cx| due.poll(cx, sooner)).await;
        assert_eq!(begun.elapsed().as_secs(), 91);
    }
}
