//! What serving threads see of a target's health, and what they tell of it. Atomics only: nobody
//! waits here for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use domain::id::{TargetId, UpstreamId};
use domain::model::{Ejection, Limits};
use tokio::sync::Notify;

use crate::balance::SHARE_WHOLE;

/// How many counters of requests under way a target has. Threads beyond share them.
pub const LANES: usize = 8;

/// Which target it is. One that moved to another address is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The upstream that it belongs to.
    pub upstream: UpstreamId,
    /// The target.
    pub target: TargetId,
    /// `host:port`.
    pub authority: String,
}

/// What is known of an upstream's targets together.
#[derive(Debug, Default)]
pub struct GroupHealth {
    /// Whether any of them has less than its whole share: while none has, nobody needs to look at
    /// each.
    impaired: AtomicBool,
    /// Requests that are tried again now.
    retrying: AtomicU32,
}

/// A target's health.
#[derive(Debug)]
pub struct TargetHealth {
    /// Which target it is.
    pub identity: Identity,
    /// Its upstream's.
    pub group: Arc<GroupHealth>,
    /// Its share of its weight, of [`SHARE_WHOLE`]; 0 while it is out.
    share: AtomicU32,
    /// Requests that failed in a row.
    failures: AtomicU32,
    /// How many of them make it suspect; 0 for no number.
    failures_max: AtomicU32,
    suspect: AtomicBool,
    /// Requests under way, by lane.
    under_way: [Lane; LANES],
    /// Requests that wait for a connection.
    pending: AtomicU32,
    limits: [AtomicU32; 2],
    /// Which configuration has set them.
    configured: AtomicU64,
    wake: Arc<Notify>,
}

/// A counter on a cache line of its own, so that threads that count do not slow each other down.
/// 128 bytes, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(AtomicU32);

/// A request that occupies a target, until it is dropped.
#[derive(Debug)]
pub struct Occupancy<T: AsRef<TargetHealth>> {
    of: T,
    lane: usize,
}

impl TargetHealth {
    pub(super) fn new(identity: Identity, group: Arc<GroupHealth>, wake: Arc<Notify>) -> Self {
        let limits = Limits::default();
        Self {
            identity,
            group,
            share: AtomicU32::new(SHARE_WHOLE),
            failures: AtomicU32::new(0),
            failures_max: AtomicU32::new(Ejection::default().failures),
            suspect: AtomicBool::new(false),
            under_way: std::array::from_fn(|_| Lane::default()),
            pending: AtomicU32::new(0),
            limits: [limits.requests.into(), limits.pending.into()],
            configured: AtomicU64::new(0),
            wake,
        }
    }

    /// Sets what its upstream says of it in the configuration of this number, unless another route
    /// has done so. It is for the configuration in use alone: health is the same in all.
    pub fn configure(&self, number: u64, ejection: &Ejection, limits: &Limits) {
        if self.configured.swap(number, Ordering::Relaxed) == number {
            return;
        }
        self.failures_max
            .store(ejection.failures, Ordering::Relaxed);
        self.limits[0].store(limits.requests, Ordering::Relaxed);
        self.limits[1].store(limits.pending, Ordering::Relaxed);
    }

    /// Its share of its weight, of [`SHARE_WHOLE`]; 0 while it is out.
    #[must_use]
    pub fn share(&self) -> u32 {
        self.share.load(Ordering::Relaxed)
    }

    pub(super) fn set_share(&self, share: u32) {
        self.share.store(share, Ordering::Relaxed);
    }

    /// A request succeeded.
    pub fn succeeded(&self) {
        // Mostly there is nothing to forget, and a line that is only read stays with every core.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed: the target did not answer, or with a status of 500 or more.
    pub fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let max = self.failures_max.load(Ordering::Relaxed);
        if max != 0 && failures >= max && !self.suspect.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Whether requests have made it suspect since this was last asked.
    pub(super) fn take_suspicion(&self) -> bool {
        let suspect = self.suspect.swap(false, Ordering::AcqRel);
        if suspect {
            self.failures.store(0, Ordering::Relaxed);
        }
        suspect
    }

    /// Requests under way.
    #[must_use]
    pub fn under_way(&self) -> u32 {
        let lanes = self.under_way.iter();
        lanes.map(|lane| lane.0.load(Ordering::Relaxed)).sum()
    }

    /// Begins a request on a lane, unless the target has as many as it takes.
    ///
    /// A lane may always use an equal part of the limit, and beyond it only while the sum is
    /// below the limit. So the sum is not formed while there is room, and exceeds the limit at
    /// worst by what other lanes had free of their parts.
    pub fn occupy<T: AsRef<Self>>(of: T, lane: usize) -> Option<Occupancy<T>> {
        let this = of.as_ref();
        let limit = this.limits[0].load(Ordering::Relaxed);
        let counter = &this.under_way[lane % LANES].0;
        let part = limit / LANES as u32;
        if counter.load(Ordering::Relaxed) >= part && this.under_way() >= limit {
            return None;
        }
        counter.fetch_add(1, Ordering::Relaxed);
        Some(Occupancy { of, lane })
    }

    /// Begins to wait for a connection, unless as many wait as may. To be followed by
    /// [`Self::connected`].
    pub fn connecting(&self) -> bool {
        let limit = self.limits[1].load(Ordering::Relaxed);
        let before = self.pending.fetch_add(1, Ordering::Relaxed);
        if before >= limit {
            self.connected();
            return false;
        }
        true
    }

    /// Waits for a connection no longer.
    pub fn connected(&self) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: AsRef<TargetHealth>> Occupancy<T> {
    /// What it occupies.
    pub fn target(&self) -> &T {
        &self.of
    }
}

impl<T: AsRef<TargetHealth>> Drop for Occupancy<T> {
    fn drop(&mut self) {
        self.of.as_ref().under_way[self.lane % LANES]
            .0
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl GroupHealth {
    /// Whether any target has less than its whole share.
    #[must_use]
    pub fn is_impaired(&self) -> bool {
        self.impaired.load(Ordering::Relaxed)
    }

    pub(super) fn set_impaired(&self, impaired: bool) {
        self.impaired.store(impaired, Ordering::Relaxed);
    }

    /// Takes a place among the retries, of which there may be `max`. To be followed by
    /// [`Self::retried`].
    #[must_use]
    pub fn retry(&self, max: u32) -> bool {
        let before = self.retrying.fetch_add(1, Ordering::Relaxed);
        if before >= max {
            self.retried();
            return false;
        }
        true
    }

    /// Gives a place among the retries back.
    pub fn retried(&self) {
        self.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Arc<TargetHealth> {
        let identity = Identity {
            upstream: UpstreamId::parse("up_00000001").unwrap(),
            target: TargetId::parse("tgt_00000001").unwrap(),
            authority: "192.0.2.1:80".to_owned(),
        };
        Arc::new(TargetHealth::new(identity, Arc::default(), Arc::default()))
    }

    #[test]
    fn only_failures_in_a_row_make_it_suspect_and_only_once() {
        let health = health();
        for _ in 0..4 {
            health.failed();
        }
        health.succeeded();
        for _ in 0..4 {
            health.failed();
        }
        assert!(!health.take_suspicion());
        health.failed();
        assert!(health.take_suspicion() && !health.take_suspicion());
        health.configure(
            1,
            &Ejection {
                failures: 0,
                ..Ejection::default()
            },
            &Limits::default(),
        );
        for _ in 0..100 {
            health.failed();
        }
        assert!(!health.take_suspicion());
    }

    #[test]
    fn limits_hold_over_all_lanes_and_what_ends_makes_room() {
        let health = health();
        let limits = Limits {
            requests: 16,
            pending: 2,
        };
        health.configure(1, &Ejection::default(), &limits);
        let mut held: Vec<_> = (0..16)
            .map(|_| TargetHealth::occupy(Arc::clone(&health), 3).unwrap())
            .collect();
        assert!(TargetHealth::occupy(Arc::clone(&health), 3).is_none());
        // Another lane has its part, and no more.
        held.extend((0..2).map(|_| TargetHealth::occupy(Arc::clone(&health), 4).unwrap()));
        assert!(TargetHealth::occupy(Arc::clone(&health), 4).is_none());
        held.truncate(15);
        assert_eq!(health.under_way(), 15);
        assert!(TargetHealth::occupy(Arc::clone(&health), 3).is_some());
        assert!(health.connecting() && health.connecting() && !health.connecting());
        health.connected();
        assert!(health.connecting());
    }

    #[test]
    fn retries_have_so_many_places() {
        let group = GroupHealth::default();
        assert!(group.retry(2) && group.retry(2) && !group.retry(2));
        group.retried();
        assert!(group.retry(2));
    }
}
