//! Finds the health of targets by their identity, whichever configuration names them, and counts
//! what is done about it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use domain::id::UpstreamId;
use edge_protocol::HealthReport;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{GroupHealth, Identity, TargetHealth};

/// The health of all targets that a configuration in use names, or one that requests still hold.
#[derive(Debug, Default)]
pub struct Registry {
    known: Mutex<Known>,
    /// Something is to be looked at: another configuration, or a target that requests suspect.
    wake: Arc<Notify>,
    lanes: AtomicUsize,
    counts: HealthCounts,
    /// What the nodes are told.
    report: watch::Sender<HealthReport>,
}

#[derive(Debug, Default)]
struct Known {
    targets: BTreeMap<Identity, Weak<TargetHealth>>,
    groups: BTreeMap<UpstreamId, Weak<GroupHealth>>,
}

/// What is done about targets, for the metrics.
#[derive(Debug, Default)]
pub struct HealthCounts {
    /// Checks that succeeded.
    pub checks_passed: AtomicU64,
    /// Checks that failed.
    pub checks_failed: AtomicU64,
    /// Targets put out because requests failed.
    pub ejections: AtomicU64,
    /// Targets that are watched.
    pub targets: AtomicU64,
    /// Those of them that are out.
    pub targets_out: AtomicU64,
}

impl Registry {
    /// The health of a target: what is known of it already, or that of a target without a past.
    #[must_use]
    pub fn target(&self, identity: &Identity) -> Arc<TargetHealth> {
        let mut known = self.known.lock();
        if let Some(health) = known.targets.get(identity).and_then(Weak::upgrade) {
            return health;
        }
        let group = known.group(&identity.upstream);
        let wake = Arc::clone(&self.wake);
        let health = Arc::new(TargetHealth::new(identity.clone(), group, wake));
        let weak = Arc::downgrade(&health);
        known.targets.insert(identity.clone(), weak);
        health
    }

    /// That of an upstream's targets together.
    #[must_use]
    pub fn group(&self, upstream: &UpstreamId) -> Arc<GroupHealth> {
        self.known.lock().group(upstream)
    }

    /// A counter of requests under way for one more serving thread.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lanes.fetch_add(1, Ordering::Relaxed)
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &HealthCounts {
        &self.counts
    }

    /// Which targets take no requests, as that changes.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<HealthReport> {
        self.report.subscribe()
    }

    pub(super) fn report(&self, report: HealthReport) {
        self.report.send_if_modified(|known| {
            let is_new = *known != report;
            *known = report;
            is_new
        });
    }

    /// Another configuration is in use.
    pub fn changed(&self) {
        self.wake.notify_one();
    }

    /// Waits until there is something to be looked at.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Forgets what nobody names any more.
    pub(super) fn sweep(&self) {
        let mut known = self.known.lock();
        known.targets.retain(|_, health| health.strong_count() > 0);
        known.groups.retain(|_, group| group.strong_count() > 0);
    }
}

impl Known {
    fn group(&mut self, upstream: &UpstreamId) -> Arc<GroupHealth> {
        if let Some(group) = self.groups.get(upstream).and_then(Weak::upgrade) {
            return group;
        }
        let group = Arc::<GroupHealth>::default();
        self.groups.insert(upstream.clone(), Arc::downgrade(&group));
        group
    }
}

#[cfg(test)]
mod tests {
    use domain::id::TargetId;

    use super::*;

    #[test]
    fn a_target_is_known_for_as_long_as_somebody_names_it() {
        let registry = Registry::default();
        let identity = |authority: &str| Identity {
            upstream: UpstreamId::parse("up_00000001").unwrap(),
            target: TargetId::parse("tgt_00000001").unwrap(),
            authority: authority.to_owned(),
        };
        let health = registry.target(&identity("a:80"));
        health.set_share(0);
        assert_eq!(registry.target(&identity("a:80")).share(), 0);
        let moved = registry.target(&identity("b:80"));
        assert_ne!(moved.share(), 0);
        assert!(Arc::ptr_eq(&health.group, &moved.group));
        drop(health);
        registry.sweep();
        assert_ne!(registry.target(&identity("a:80")).share(), 0);
    }
}
