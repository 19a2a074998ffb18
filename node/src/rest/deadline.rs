//! By when a request is answered. It is set when the request comes, and put off by an operation
//! that has done its work and now waits for something that its client asked it to wait for.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A deadline that can be put off. Whoever serves the request shares it with whoever watches it.
#[derive(Debug)]
pub(crate) struct Deadline(Mutex<Instant>);

impl Deadline {
    /// So long from now.
    pub(crate) fn after(within: Duration) -> Self {
        Self(Mutex::new(Instant::now() + within))
    }

    /// Puts it off until so long from now; it never comes nearer.
    pub(crate) fn put_off(&self, within: Duration) {
        let later = Instant::now() + within;
        let mut at = self.0.lock();
        *at = later.max(*at);
    }

    /// What comes of `work`; nothing, if it is not done in time.
    pub(crate) async fn bound<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        loop {
            let at = *self.0.lock();
            if let Ok(done) = tokio::time::timeout_at(at, work.as_mut()).await {
                return Some(done);
            }
            if *self.0.lock() == at {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn work_is_cut_off_at_the_deadline_and_not_before() {
        let began = Instant::now();
        let deadline = Deadline::after(3 * SECOND);
        assert_eq!(
            deadline.bound(tokio::time::sleep(2 * SECOND)).await,
            Some(())
        );
        assert_eq!(deadline.bound(std::future::pending::<()>()).await, None);
        assert_eq!(began.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn work_may_put_it_off_and_never_brings_it_nearer() {
        let began = Instant::now();
        let deadline = Deadline::after(3 * SECOND);
        let work = async {
            tokio::time::sleep(2 * SECOND).await;
            deadline.put_off(4 * SECOND);
            deadline.put_off(SECOND);
            std::future::pending::<()>().await;
        };
        assert_eq!(deadline.bound(work).await, None);
        assert_eq!(began.elapsed(), 6 * SECOND);
    }
}
