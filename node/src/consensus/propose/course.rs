//! The course of one proposal: attempt after attempt, as long as that is safe and may help. What an
//! attempt does is its caller's matter.

use std::future::Future;
use std::time::Duration;

use domain::time::Revision;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Attempt;
use crate::consensus::leadership::{self, Leadership};
use crate::control_plane::{PROPOSE_DEADLINE, ProposeError};

/// How long a command that is known not to be applied waits for a leader: past the usual
/// election, and short of the two seconds within which a node without a quorum has to say so.
const LEADER_PATIENCE: Duration = Duration::from_millis(1_800);

/// How long to wait before the next attempt, unless the leadership changes: the first retry
/// follows soon, because most refusals are elections that have just ended.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// When a client whose command was not taken should come back.
const RETRY_AFTER_S: u64 = 1;

/// Makes attempts under the leadership that is known each time, until one is applied, time is up,
/// or the outcome is unknown and the command must not be repeated.
pub(super) async fn run<F>(
    mut leadership: watch::Receiver<Leadership>,
    repeatable: bool,
    attempt: impl Fn(Leadership) -> F,
) -> Result<Revision, ProposeError>
where
    F: Future<Output = Attempt>,
{
    let mut course = Course {
        begun: Instant::now(),
        in_doubt: false,
        reason: String::new(),
    };
    let deadline = course.begun + PROPOSE_DEADLINE;
    while let Some(left) = course.time_left() {
        let known = leadership.borrow_and_update().clone();
        match tokio::time::timeout_at(deadline, attempt(known)).await {
            Ok(Attempt::Applied(revision)) => return Ok(revision),
            Ok(Attempt::Refused(reason)) => course.reason = reason,
            Ok(Attempt::Full(reason)) if !course.in_doubt => {
                return Err(ProposeError::StorageFull { reason });
            }
            // An attempt before may have been appended when there was room.
            Ok(Attempt::Full(reason)) => course.reason = reason,
            Ok(Attempt::Unknown(reason)) => course.doubt(reason),
            Err(_) => course.doubt("the deadline passed before the answer came".to_owned()),
        }
        if course.in_doubt && !repeatable {
            break;
        }
        leadership::change_within(&mut leadership, RETRY_PAUSE.min(left)).await;
    }
    Err(course.failure())
}

/// How a proposal has gone so far.
struct Course {
    begun: Instant,
    /// Whether some attempt may have put the command into a log. It stays so: a later attempt that
    /// is refused says nothing about an earlier one.
    in_doubt: bool,
    reason: String,
}

impl Course {
    fn time_left(&self) -> Option<Duration> {
        let limit = if self.in_doubt {
            PROPOSE_DEADLINE
        } else {
            LEADER_PATIENCE
        };
        limit
            .checked_sub(self.begun.elapsed())
            .filter(|left| !left.is_zero())
    }

    fn doubt(&mut self, reason: String) {
        self.in_doubt = true;
        self.reason = reason;
    }

    fn failure(self) -> ProposeError {
        let Self {
            in_doubt, reason, ..
        } = self;
        if in_doubt {
            ProposeError::OutcomeUnknown { reason }
        } else {
            ProposeError::Unavailable {
                retry_after_s: RETRY_AFTER_S,
                reason,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    fn applied() -> Attempt {
        Attempt::Applied(Revision(7))
    }

    fn refused() -> Attempt {
        Attempt::Refused("refused".to_owned())
    }

    fn unknown() -> Attempt {
        Attempt::Unknown("unknown".to_owned())
    }

    #[derive(Debug, PartialEq)]
    enum End {
        Applied,
        Unavailable,
        Full,
        Unknown,
    }

    struct Seen {
        end: End,
        attempts: usize,
        took: Duration,
    }

    /// Runs attempts that end as scripted; the last one goes on for ever.
    async fn run_scripted(repeatable: bool, script: &[Attempt]) -> Seen {
        let (_sender, leadership) = watch::channel(Leadership::default());
        let script = RefCell::new(VecDeque::from(script.to_vec()));
        let attempts = RefCell::new(0);
        let begun = Instant::now();
        let result = run(leadership, repeatable, |_| async {
            *attempts.borrow_mut() += 1;
            let mut script = script.borrow_mut();
            if script.len() > 1 {
                script.pop_front().unwrap()
            } else {
                script[0].clone()
            }
        })
        .await;
        let end = match result {
            Ok(_) => End::Applied,
            Err(ProposeError::Unavailable { .. }) => End::Unavailable,
            Err(ProposeError::StorageFull { .. }) => End::Full,
            Err(ProposeError::OutcomeUnknown { .. }) => End::Unknown,
        };
        Seen {
            end,
            attempts: attempts.into_inner(),
            took: begun.elapsed(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_tried_again_with_and_without_a_key() {
        for repeatable in [false, true] {
            let seen = run_scripted(repeatable, &[refused(), refused(), applied()]).await;
            assert_eq!((seen.end, seen.attempts), (End::Applied, 3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_all_the_time_is_unavailable_within_two_seconds() {
        for repeatable in [false, true] {
            let seen = run_scripted(repeatable, &[refused()]).await;
            assert_eq!(seen.end, End::Unavailable);
            assert!(seen.attempts > 10);
            assert!(seen.took < Duration::from_secs(2), "{:?}", seen.took);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_doubt_is_never_tried_again_without_a_key() {
        let seen = run_scripted(false, &[refused(), unknown(), applied()]).await;
        assert_eq!((seen.end, seen.attempts), (End::Unknown, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_doubt_and_has_a_key_is_tried_again_until_it_is_answered() {
        let seen = run_scripted(true, &[unknown(), refused(), unknown(), applied()]).await;
        assert_eq!((seen.end, seen.attempts), (End::Applied, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_after_a_doubt_leaves_the_doubt() {
        let seen = run_scripted(true, &[unknown(), refused()]).await;
        assert_eq!(seen.end, End::Unknown);
        assert!(
            seen.took >= PROPOSE_DEADLINE && seen.took < PROPOSE_DEADLINE + Duration::from_secs(1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_is_told_at_once_unless_it_is_in_doubt() {
        let full = || Attempt::Full("full".to_owned());
        for repeatable in [false, true] {
            let seen = run_scripted(repeatable, &[refused(), full(), applied()]).await;
            assert_eq!((seen.end, seen.attempts), (End::Full, 2));
        }
        // The first attempt may have been appended while there was room.
        let seen = run_scripted(true, &[unknown(), full()]).await;
        assert_eq!(seen.end, End::Unknown);
        let seen = run_scripted(true, &[unknown(), full(), applied()]).await;
        assert_eq!((seen.end, seen.attempts), (End::Applied, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_never_ends_is_in_doubt_at_the_deadline() {
        for repeatable in [false, true] {
            let (_sender, leadership) = watch::channel(Leadership::default());
            let begun = Instant::now();
            let result = run(leadership, repeatable, |_| std::future::pending()).await;
            assert!(
                matches!(result, Err(ProposeError::OutcomeUnknown { .. })),
                "{result:?}"
            );
            assert!(begun.elapsed() < PROPOSE_DEADLINE + Duration::from_millis(50));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_is_tried_at_once_and_one_that_will_never_come_does_not_spin() {
        let (sender, leadership) = watch::channel(Leadership::default());
        let begun = Instant::now();
        let result = run(leadership, false, |known| {
            sender.send_replace(Leadership {
                term: known.term + 1,
                leader: None,
            });
            std::future::ready(if known.term == 5 {
                applied()
            } else {
                refused()
            })
        })
        .await;
        assert!(result.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);

        let (sender, leadership) = watch::channel(Leadership::default());
        drop(sender);
        let attempts = RefCell::new(0);
        let result = run(leadership, false, |_| {
            *attempts.borrow_mut() += 1;
            std::future::ready(refused())
        })
        .await;
        assert!(matches!(result, Err(ProposeError::Unavailable { .. })));
        assert!(*attempts.borrow() < 100, "{attempts:?} attempts");
    }
}
