//! Decides about all targets: when each is checked, what the results and the failures of requests
//! mean for it, and which share of requests it gets. Pure: time and randomness are passed in, and
//! the checks themselves are run by the driver.
//!
//! Invariants: a target that is down by its checks, or ejected, has the share 0, and no other has;
//! requests alone never put out more than half of an upstream's targets; a target is checked by
//! one check at a time.

mod monitor;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::id::UpstreamId;
use domain::model::Ejection;
use edge_protocol::OutCause;
use tokio::time::Instant;

use self::monitor::{Checking, Monitor, jittered};
use super::probe::Probe;
use super::registry::HealthCounts;
use super::{Identity, SlowStart, TargetHealth, Thresholds};
use crate::balance::SHARE_WHOLE;

/// How many checks run at once: enough for thousands of targets, and few beside what clients ask.
const CHECKS_MAX: usize = 64;

/// A target, and how it is to be watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its health.
    pub health: Arc<TargetHealth>,
    /// How it is checked, if it is.
    pub probe: Option<Arc<Probe>>,
    /// When it is put out for what requests tell.
    pub ejection: Ejection,
}

/// All targets that are to be watched.
pub type Plan = BTreeMap<Identity, Watched>;

/// A check that is to be run now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Whose.
    pub identity: Identity,
    /// Which one; its result is given back with this.
    pub ticket: u64,
    /// What to do.
    pub probe: Arc<Probe>,
}

/// A target that takes no requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// Why not.
    pub cause: OutCause,
    /// What was wrong last; empty where nothing is known.
    pub error: String,
    /// Since when.
    pub since: Instant,
}

/// What is known of all targets.
#[derive(Debug, Default)]
pub struct Keeper {
    monitors: BTreeMap<Identity, Monitor>,
    /// Which of them belong to one upstream.
    groups: BTreeMap<UpstreamId, Vec<Identity>>,
    /// When each target is to be looked at next.
    agenda: BTreeSet<(Instant, Identity)>,
    /// Targets whose check is due and waits for another to end.
    waiting: VecDeque<Identity>,
    running: usize,
    tickets: u64,
    /// Whether other targets are out than when this was last asked.
    changed: bool,
}

impl Keeper {
    /// Watches these targets from now on, and no others. Of those that were watched before,
    /// everything is remembered.
    pub fn reconcile(&mut self, now: Instant, plan: Plan, random: &mut dyn FnMut() -> u64) {
        let mut before = std::mem::take(&mut self.monitors);
        self.changed = true;
        self.groups.clear();
        self.agenda.clear();
        self.waiting.clear();
        for (identity, watched) in plan {
            let mut monitor = match before.remove(&identity) {
                Some(monitor) => monitor.going_on(now, watched, random),
                None => Monitor::new(now, watched, random),
            };
            if monitor.checking == Checking::Waits {
                self.waiting.push_back(identity.clone());
            }
            monitor.next = monitor.soonest(now);
            self.agenda
                .extend(monitor.next.map(|next| (next, identity.clone())));
            let group = self.groups.entry(identity.upstream.clone());
            group.or_default().push(identity.clone());
            self.monitors.insert(identity, monitor);
        }
        for upstream in self.groups.keys() {
            self.settle(now, upstream);
        }
    }

    /// The next check to be run, if one is due and may run.
    pub fn poll_due(&mut self) -> Option<Due> {
        while self.running < CHECKS_MAX {
            let identity = self.waiting.pop_front()?;
            let Some(monitor) = self.monitors.get_mut(&identity) else {
                continue;
            };
            let Some(probe) = monitor.watched.probe.clone() else {
                continue;
            };
            self.running += 1;
            self.tickets += 1;
            monitor.checking = Checking::Runs(self.tickets);
            return Some(Due {
                identity,
                ticket: self.tickets,
                probe,
            });
        }
        None
    }

    /// A check has ended; without a result where nothing was found out of the target.
    pub fn handle_result(
        &mut self,
        now: Instant,
        (identity, ticket): (&Identity, u64),
        result: Option<Result<(), String>>,
        random: &mut dyn FnMut() -> u64,
    ) {
        self.running = self.running.saturating_sub(1);
        let Some(monitor) = self.monitors.get_mut(identity) else {
            return;
        };
        let Some(probe) = &monitor.watched.probe else {
            return;
        };
        if monitor.checking != Checking::Runs(ticket) {
            return;
        }
        let interval = Duration::from_secs(probe.check.interval_s.into());
        monitor.checking = Checking::At(now + jittered(interval, random()));
        let thresholds = Thresholds::of(&probe.check);
        if let Some(result) = result
            && monitor.check.observe(result.is_ok(), thresholds)
        {
            log_check(identity, &result);
            monitor.slow_start = monitor.check.is_up().then(|| SlowStart::new(now));
            let error = result.err().unwrap_or_default();
            monitor.turn(now, OutCause::Check, error);
            self.changed = true;
            let upstream = identity.upstream.clone();
            self.settle(now, &upstream);
        }
        self.reschedule(now, identity);
    }

    /// Looks at targets that requests suspect.
    pub fn handle_suspects(&mut self, now: Instant, counts: &HealthCounts) {
        let suspects = self.monitors.iter().filter(|(_, monitor)| {
            // Asked of all, so that nothing is left of an old suspicion.
            monitor.watched.health.take_suspicion() && monitor.is_in()
        });
        let suspects: Vec<_> = suspects.map(|(identity, _)| identity.clone()).collect();
        for identity in suspects {
            if !self.may_eject(&identity.upstream) {
                continue;
            }
            let Some(monitor) = self.monitors.get_mut(&identity) else {
                continue;
            };
            monitor.ejection.eject(now, &monitor.watched.ejection);
            monitor.slow_start = None;
            monitor.turn(now, OutCause::Requests, String::new());
            self.changed = true;
            counts.ejections.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                upstream = %identity.upstream, target = %identity.target, address = identity.authority,
                "a target is left out because requests to it failed"
            );
            self.settle(now, &identity.upstream);
            self.reschedule(now, &identity);
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, identity)) = self.agenda.first().filter(|(next, _)| *next <= now) {
            let identity = identity.clone();
            let Some(monitor) = self.monitors.get_mut(&identity) else {
                self.agenda.pop_first();
                continue;
            };
            if monitor.ejection.poll(now) {
                monitor.slow_start = Some(SlowStart::new(now));
                monitor.turn(now, OutCause::Requests, String::new());
                self.changed = true;
                tracing::info!(
                    upstream = %identity.upstream, target = %identity.target, address = identity.authority,
                    "a target that was left out is tried again"
                );
            }
            if matches!(monitor.checking, Checking::At(at) if at <= now) {
                monitor.checking = Checking::Waits;
                self.waiting.push_back(identity.clone());
            }
            self.settle(now, &identity.upstream);
            self.reschedule(now, &identity);
        }
    }

    /// When [`Self::handle_timeout`] should be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.agenda.first().map(|(next, _)| *next)
    }

    /// All targets, and of those that are out, why.
    pub fn states(&self) -> impl Iterator<Item = (&Identity, Option<&Out>)> {
        self.monitors
            .iter()
            .map(|(identity, monitor)| (identity, monitor.out.as_ref()))
    }

    /// Whether other targets may be out than when this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn group(&self, upstream: &UpstreamId) -> impl Iterator<Item = &Monitor> {
        let identities = self.groups.get(upstream).into_iter().flatten();
        identities.filter_map(|identity| self.monitors.get(identity))
    }

    /// Whether one more of the upstream's targets may be put out for what requests tell.
    fn may_eject(&self, upstream: &UpstreamId) -> bool {
        let (mut all, mut out) = (0, 0);
        for monitor in self.group(upstream) {
            all += 1;
            out += usize::from(!monitor.is_in());
        }
        (out + 1) * 2 <= all
    }

    /// Tells the serving threads what each target of the upstream gets.
    fn settle(&self, now: Instant, upstream: &UpstreamId) {
        let mut impaired = false;
        let mut group = None;
        for monitor in self.group(upstream) {
            let share = monitor.share(now);
            monitor.watched.health.set_share(share);
            impaired |= share != SHARE_WHOLE;
            group = Some(&monitor.watched.health.group);
        }
        if let Some(group) = group {
            group.set_impaired(impaired);
        }
    }

    fn reschedule(&mut self, now: Instant, identity: &Identity) {
        let Some(monitor) = self.monitors.get_mut(identity) else {
            return;
        };
        if let Some(slow_start) = &monitor.slow_start
            && slow_start.share(now).is_none()
        {
            monitor.slow_start = None;
        }
        let next = monitor.soonest(now);
        let before = std::mem::replace(&mut monitor.next, next);
        if let Some(before) = before {
            self.agenda.remove(&(before, identity.clone()));
        }
        if let Some(next) = next {
            self.agenda.insert((next, identity.clone()));
        }
    }
}

fn log_check(identity: &Identity, result: &Result<(), String>) {
    let (upstream, target, address) = (&identity.upstream, &identity.target, &identity.authority);
    match result {
        Ok(()) => tracing::info!(%upstream, %target, address, "a target is up again"),
        Err(reason) => tracing::warn!(%upstream, %target, address, reason, "a target is down"),
    }
}

#[cfg(test)]
mod tests;
