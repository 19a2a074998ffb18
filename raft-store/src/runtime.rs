//! The asynchronous runtime under openraft: tokio, with random numbers that a simulation can seed.
//!
//! openraft draws election timeouts and back-off from its runtime. In production those come from
//! the operating system's entropy; a simulation that wants the same run from the same seed calls
//! [`seed_thread`] on the one thread that it runs everything on.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::type_config::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use rand::rngs::ThreadRng;
use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;

thread_local! {
    static SEEDED: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
}

/// From now on, openraft's random numbers on this thread come from `seed`.
pub fn seed_thread(seed: u64) {
    SEEDED.with(|slot| *slot.borrow_mut() = Some(ChaCha8Rng::seed_from_u64(seed)));
}

/// Ends what [`seed_thread`] began.
pub fn unseed_thread() {
    SEEDED.with(|slot| *slot.borrow_mut() = None);
}

/// Tokio, as openraft sees it.
#[derive(Debug)]
pub struct Runtime(TokioRuntime);

/// The generator of the thread: the seeded one if there is one, else the system's.
#[derive(Debug)]
pub struct RuntimeRng(ThreadRng);

impl RuntimeRng {
    fn draw<T>(
        &mut self,
        seeded: impl FnOnce(&mut ChaCha8Rng) -> T,
        system: impl FnOnce(&mut ThreadRng) -> T,
    ) -> T {
        SEEDED.with(|slot| match slot.borrow_mut().as_mut() {
            Some(rng) => seeded(rng),
            None => system(&mut self.0),
        })
    }
}

impl TryRng for RuntimeRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.draw(Rng::next_u32, Rng::next_u32))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw(Rng::next_u64, Rng::next_u64))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        SEEDED.with(|slot| match slot.borrow_mut().as_mut() {
            Some(rng) => rng.fill_bytes(into),
            None => self.0.fill_bytes(into),
        });
        Ok(())
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = RuntimeRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "openraft asks the runtime for it; the simulation seeds the one it gives"
    )]
    fn thread_rng() -> Self::ThreadLocalRng {
        RuntimeRng(rand::rng())
    }

    fn new(threads: usize) -> Self {
        Self(<TokioRuntime as AsyncRuntime>::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws() -> (u64, u32) {
        let mut rng = Runtime::thread_rng();
        (rng.next_u64(), rng.next_u32())
    }

    #[test]
    fn a_seeded_thread_draws_the_same_numbers_again_and_an_unseeded_one_does_not() {
        seed_thread(7);
        let first = (draws(), draws());
        seed_thread(7);
        assert_eq!((draws(), draws()), first);
        seed_thread(8);
        assert_ne!((draws(), draws()), first);
        unseed_thread();
        assert_ne!(draws(), draws());
    }
}
