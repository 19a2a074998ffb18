//! The time as a task sees it: read once for each of its turns. A request asks for it a dozen times, within
//! microseconds, and each look at the clock costs about what parsing a field does.
//!
//! Outside of a turn, everybody who asks is told anew.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use platform::Clock;
use tokio::time::Instant;

/// What is known of the time in a turn.
#[derive(Clone, Copy)]
struct Known {
    is_turn: bool,
    now: Option<Instant>,
    /// By the wall clock, in milliseconds.
    wall_ms: Option<u64>,
}

const OUTSIDE: Known = Known {
    is_turn: false,
    now: None,
    wall_ms: None,
};

thread_local! {
    static KNOWN: Cell<Known> = const { Cell::new(OUTSIDE) };
}

/// Ends a turn, however it ends.
struct End(Known);

impl Drop for End {
    fn drop(&mut self) {
        KNOWN.set(self.0);
    }
}

/// A turn of a task.
pub(crate) fn take<T>(turn: impl FnOnce() -> T) -> T {
    let _end = End(KNOWN.get());
    KNOWN.set(Known {
        is_turn: true,
        ..OUTSIDE
    });
    turn()
}

/// The time of this turn.
pub(crate) fn now() -> Instant {
    let known = KNOWN.get();
    if let Some(now) = known.now {
        return now;
    }
    let now = Instant::now();
    if known.is_turn {
        let now = Some(now);
        KNOWN.set(Known { now, ..known });
    }
    now
}

/// The wall clock's time in this turn, in milliseconds since 1970.
pub(crate) fn wall_ms(clock: &dyn Clock) -> u64 {
    let known = KNOWN.get();
    if let Some(wall_ms) = known.wall_ms {
        return wall_ms;
    }
    let wall_ms = clock.now().0;
    if known.is_turn {
        let wall_ms = Some(wall_ms);
        KNOWN.set(Known { wall_ms, ..known });
    }
    wall_ms
}

/// Each poll of a future is a turn.
pub(crate) async fn by_turns<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| take(|| future.as_mut().poll(cx))).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_stands_still_within_a_turn_and_nowhere_else() {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let mut waits = Box::pin(async {
            let first = now();
            advance(second).await;
            (first, now())
        });
        let (first, last) = by_turns(async { waits.as_mut().await }).await;
        assert_eq!((first - begun, last - begun), (Duration::ZERO, second));
        let outside = now();
        advance(second).await;
        assert_eq!(now() - outside, second);
    }

    #[test]
    fn a_turn_within_a_turn_has_its_own_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let _guard = runtime.as_ref().expect("a runtime").enter();
        let (before, within, after) = take(|| (now(), take(now), now()));
        assert!(within >= before);
        assert_eq!(before, after);
    }
}
