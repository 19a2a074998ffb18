//! When keys were last used. Each node remembers in memory what it saw and reports it to the log
//! now and then, many keys at once, so that a request never costs a log entry for it. What a node
//! has not reported when it ends is forgotten: it is good to a few minutes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::command::{Command, Origin, RecordKeyUses, Stamped};
use domain::id::{ApiKeyId, RequestId};
use domain::time::Timestamp;
use parking_lot::Mutex;
use platform::{Clock, Entropy};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::auth::Caller;
use super::key_moves::KeyMoves;
use crate::control_plane::ControlPlane;

/// How often a node looks whether there is something to report.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// How often a node looks whether keys are to move: soon enough that an operator sees it happen.
const MOVE_EVERY: Duration = Duration::from_secs(5);

/// A key is reported by one node at most once in this time.
const REPORT_AGAIN_MS: u64 = 5 * 60 * 1000;

/// A key that was not used for this long after its report is forgotten.
const FORGET_AFTER_MS: u64 = 60 * 60 * 1000;

/// The most keys in one report: an entry of some tens of kilobytes.
const REPORT_KEYS_MAX: usize = 1_000;

/// How many keys are remembered: more than a node sees in an hour, in a few megabytes. The uses
/// of others go unnoticed until there is room again.
const KEYS_MAX: usize = 8192;

/// The uses of keys that this node saw. Cloning shares them.
#[derive(Clone, Default)]
pub struct KeyUses {
    seen: Arc<Mutex<BTreeMap<ApiKeyId, Use>>>,
    moves: KeyMoves,
}

#[derive(Clone, Copy)]
struct Use {
    last: Timestamp,
    /// The use that was reported last, and when that was.
    reported: Option<(Timestamp, Timestamp)>,
}

impl Use {
    fn is_due(&self, now: Timestamp) -> bool {
        self.reported
            .is_none_or(|(reported, at)| self.last > reported && now >= at.plus_ms(REPORT_AGAIN_MS))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.reported.is_some_and(|(reported, at)| {
            self.last <= reported && now >= at.plus_ms(FORGET_AFTER_MS)
        })
    }
}

impl fmt::Debug for KeyUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUses").finish_non_exhaustive()
    }
}

impl KeyUses {
    /// Notes that the caller's key is used now, and whether it is to move to another pepper.
    pub(crate) fn note(&self, caller: &Caller, now: Timestamp) {
        self.moves.note(&caller.api_key_id, &caller.recognised);
        self.note_use(&caller.api_key_id, now);
    }

    fn note_use(&self, key: &ApiKeyId, now: Timestamp) {
        let mut seen = self.seen.lock();
        if let Some(known) = seen.get_mut(key) {
            known.last = known.last.max(now);
        } else if seen.len() < KEYS_MAX {
            let first = Use {
                last: now,
                reported: None,
            };
            seen.insert(key.clone(), first);
        }
    }

    /// What is to be reported now; it counts as reported.
    fn take_due(&self, now: Timestamp) -> Vec<(ApiKeyId, Timestamp)> {
        let mut seen = self.seen.lock();
        seen.retain(|_, known| !known.is_over(now));
        let due = seen.iter_mut().filter(|(_, known)| known.is_due(now));
        let report = |(key, known): (&ApiKeyId, &mut Use)| {
            known.reported = Some((known.last, now));
            (key.clone(), known.last)
        };
        due.take(REPORT_KEYS_MAX).map(report).collect()
    }

    /// Takes a report back that did not arrive. Should it have arrived after all, telling it again
    /// changes nothing.
    fn take_back(&self, report: &[(ApiKeyId, Timestamp)]) {
        let mut seen = self.seen.lock();
        for (key, _) in report {
            if let Some(known) = seen.get_mut(key) {
                known.reported = None;
            }
        }
    }

    /// Reports what is due, if anything is.
    pub(crate) async fn report(
        &self,
        control: &dyn ControlPlane,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) {
        let now = clock.now();
        let uses = self.take_due(now);
        if uses.is_empty() {
            return;
        }
        let stamped = Stamped {
            at: now,
            request_id: RequestId::new(entropy.seed(now)),
            idempotency: None,
            command: Command::RecordKeyUses(RecordKeyUses { uses: uses.clone() }),
            origin: Origin::default(),
            precondition: None,
        };
        if let Err(error) = control.propose(stamped).await {
            tracing::debug!(%error, "the use of keys could not be reported");
            self.take_back(&uses);
        }
    }

    /// Has keys move that are to.
    pub(crate) async fn report_moves(
        &self,
        control: &dyn ControlPlane,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) {
        self.moves.report(control, clock, entropy).await;
    }

    /// Reports again and again until told to stop.
    pub async fn keep_reporting(
        self,
        control: Arc<dyn ControlPlane>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let ticks = |every| {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let reporting = async {
            let mut ticks = ticks(REPORT_EVERY);
            loop {
                ticks.tick().await;
                self.report(&*control, &*clock, &*entropy).await;
            }
        };
        let moving = async {
            let mut ticks = ticks(MOVE_EVERY);
            loop {
                ticks.tick().await;
                self.report_moves(&*control, &*clock, &*entropy).await;
            }
        };
        tokio::select! {
            () = reporting => {}
            () = moving => {}
            // A sender that is gone stops it as well.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;

    fn key(random: u64) -> ApiKeyId {
        ApiKeyId::new(Seed { unix_ms: 1, random })
    }

    #[test]
    fn a_key_is_reported_when_it_is_first_seen_and_then_once_in_five_minutes() {
        let uses = KeyUses::default();
        let mut reported = Vec::new();
        for second in 0..900 {
            let now = Timestamp(second * 1000);
            uses.note_use(&key(1), now);
            reported.extend(uses.take_due(now).into_iter().map(|(_, at)| at.0 / 1000));
        }
        assert_eq!(reported, [0, 300, 600]);
    }

    #[test]
    fn a_key_that_is_not_used_again_is_not_reported_again_and_is_forgotten() {
        let uses = KeyUses::default();
        uses.note_use(&key(1), Timestamp(1));
        assert_eq!(uses.take_due(Timestamp(2)), [(key(1), Timestamp(1))]);
        assert_eq!(uses.take_due(Timestamp(REPORT_AGAIN_MS * 2)), []);
        assert_eq!(uses.seen.lock().len(), 1);
        assert_eq!(uses.take_due(Timestamp(FORGET_AFTER_MS * 2)), []);
        assert!(uses.seen.lock().is_empty());
    }

    #[test]
    fn a_report_that_did_not_arrive_is_made_again() {
        let uses = KeyUses::default();
        uses.note_use(&key(1), Timestamp(1));
        let report = uses.take_due(Timestamp(2));
        uses.take_back(&report);
        assert_eq!(uses.take_due(Timestamp(3)), report);
    }

    #[test]
    fn reports_and_memory_are_bounded() {
        let uses = KeyUses::default();
        for number in 0..=KEYS_MAX {
            uses.note_use(&key(number as u64), Timestamp(1));
        }
        assert_eq!(uses.seen.lock().len(), KEYS_MAX);
        let mut reports = Vec::new();
        while let report @ [_, ..] = uses.take_due(Timestamp(2)).as_slice() {
            reports.push(report.len());
        }
        assert_eq!(reports.iter().sum::<usize>(), KEYS_MAX);
        assert!(reports.iter().all(|length| *length <= REPORT_KEYS_MAX));
    }
}
