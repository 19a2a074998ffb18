//! What the keeper knows of one target.

use std::time::Duration;

use edge_protocol::OutCause;
use tokio::time::Instant;

use super::{Out, Watched};
use crate::balance::SHARE_WHOLE;
use crate::health::{CheckState, EjectionState, SlowStart};

/// The first check of a target comes within this: soon, and not all in the same moment.
const FIRST_CHECK_MAX: Duration = Duration::from_secs(1);

/// A target, and all that decides about it.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) watched: Watched,
    pub(super) check: CheckState,
    pub(super) checking: Checking,
    pub(super) ejection: EjectionState,
    pub(super) slow_start: Option<SlowStart>,
    /// Why it is out, while it is.
    pub(super) out: Option<Out>,
    /// Its place in the agenda.
    pub(super) next: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checking {
    /// It is not checked.
    Never,
    /// The next check comes then.
    At(Instant),
    /// The check is due.
    Waits,
    /// This check runs.
    Runs(u64),
}

impl Monitor {
    pub(super) fn new(now: Instant, watched: Watched, random: &mut dyn FnMut() -> u64) -> Self {
        let checking = Checking::first(now, &watched, random);
        // What a target was before it was forgotten counts no more.
        watched.health.set_share(SHARE_WHOLE);
        Self {
            watched,
            check: CheckState::default(),
            checking,
            ejection: EjectionState::default(),
            slow_start: None,
            out: None,
            next: None,
        }
    }

    /// Notes why it is out, if it is; one that was out before is so since then.
    pub(super) fn turn(&mut self, now: Instant, cause: OutCause, error: String) {
        if self.is_in() {
            self.out = None;
        } else if self.out.is_none() {
            let since = now;
            self.out = Some(Out {
                cause,
                error,
                since,
            });
        }
    }

    /// The same, watched in another way perhaps.
    pub(super) fn going_on(
        mut self,
        now: Instant,
        watched: Watched,
        random: &mut dyn FnMut() -> u64,
    ) -> Self {
        let asked = |watched: &Watched| watched.probe.as_ref().map(|probe| probe.check.clone());
        if asked(&self.watched) != asked(&watched) {
            self.checking = Checking::first(now, &watched, random);
        }
        if watched.probe.is_none() {
            // Nobody would ever find out that it is up again.
            self.check = CheckState::default();
            self.turn(now, OutCause::Check, String::new());
        }
        self.watched = watched;
        self
    }

    pub(super) fn is_in(&self) -> bool {
        self.check.is_up() && self.ejection.until().is_none()
    }

    pub(super) fn share(&self, now: Instant) -> u32 {
        if !self.is_in() {
            return 0;
        }
        let slow_start = self.slow_start.as_ref();
        slow_start
            .and_then(|start| start.share(now))
            .unwrap_or(SHARE_WHOLE)
    }

    /// When it is to be looked at next.
    pub(super) fn soonest(&self, now: Instant) -> Option<Instant> {
        let check = match self.checking {
            Checking::At(at) => Some(at),
            Checking::Never | Checking::Waits | Checking::Runs(_) => None,
        };
        let slow_start = self.slow_start.as_ref().map(|start| start.next(now));
        [check, self.ejection.until(), slow_start]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Checking {
    pub(super) fn first(now: Instant, watched: &Watched, random: &mut dyn FnMut() -> u64) -> Self {
        if watched.probe.is_none() {
            return Self::Never;
        }
        let wait = FIRST_CHECK_MAX.mul_f64(fraction(random()));
        Self::At(now + wait)
    }
}

/// Up to a tenth more or less, so that edges that started together do not check together.
pub(super) fn jittered(interval: Duration, random: u64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fraction(random))
}

/// From 0 to 1.
#[allow(
    clippy::cast_precision_loss,
    reason = "32 bits are exact in a double, and enough for jitter"
)]
fn fraction(random: u64) -> f64 {
    (random >> 32) as f64 / f64::from(u32::MAX)
}
