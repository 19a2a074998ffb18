//! The newest manifest of each environment that has edges, watched once for all of them.
//!
//! One task looks at the state when this node has applied something. A publish therefore costs
//! one look-up for each environment, however many edges follow it, and each edge is woken by
//! what concerns it alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::EnvironmentId;
use domain::query;
use edge_protocol::ManifestRef;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control_plane::ControlPlane;

/// An environment's newest manifest as it changes; nothing before it was first looked at.
pub(super) type Manifests = watch::Receiver<Option<Newest>>;

/// An environment's newest manifest, and since when this node knows of it, if it saw it come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) manifest: ManifestRef,
    pub(super) learned: Option<Instant>,
}

/// Who follows what.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeds(Arc<Mutex<BTreeMap<EnvironmentId, watch::Sender<Option<Newest>>>>>);

impl Feeds {
    /// Follows an environment from now on. What is current must be read after this.
    pub(super) fn follow(&self, environment_id: &EnvironmentId) -> Manifests {
        let mut feeds = self.0.lock();
        feeds.entry(environment_id.clone()).or_default().subscribe()
    }

    /// What was current when an environment was first followed: it came at an unknown time.
    pub(super) fn seed(&self, environment_id: &EnvironmentId, manifest: ManifestRef) {
        if let Some(feed) = self.0.lock().get(environment_id) {
            feed.send_if_modified(|newest| {
                newest.get_or_insert(Newest {
                    manifest,
                    learned: None,
                });
                // Whoever follows has read it himself.
                false
            });
        }
    }

    /// Passes changes on until the node stops.
    pub(super) async fn run(self, control: Arc<dyn ControlPlane>) {
        let mut changes = control.changes();
        while changes.changed().await.is_ok() {
            self.pass_on(&*control);
        }
    }

    fn pass_on(&self, control: &dyn ControlPlane) {
        let mut feeds = self.0.lock();
        feeds.retain(|_, feed| !feed.is_closed());
        if feeds.is_empty() {
            return;
        }
        let newest = control.read_local(|view| {
            let manifests = feeds
                .keys()
                .map(|id| ManifestRef::from(&query::manifest(view, id)));
            manifests.collect::<Vec<_>>()
        });
        // A storage fault ends the process; there is nothing to pass on.
        let Ok((newest, _)) = newest else { return };
        let now = Instant::now();
        for (feed, manifest) in feeds.values().zip(newest) {
            feed.send_if_modified(|newest| pass(newest, manifest, now));
        }
    }
}

/// Whether the manifest is news.
fn pass(newest: &mut Option<Newest>, manifest: ManifestRef, now: Instant) -> bool {
    let news = newest.is_none_or(|newest| newest.manifest != manifest);
    if news {
        *newest = Some(Newest {
            manifest,
            learned: newest.map(|_| now),
        });
    }
    news
}
