//! The newest manifest of each environment that has edges, and when one of its certificates, or who
//! belongs to it, last changed, watched once for all of them.
//!
//! One task looks at the state when this node has applied something. A publish therefore costs
//! one look-up for each environment, however many edges follow it, and each edge is woken by
//! what concerns it alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::EnvironmentId;
use domain::query;
use domain::rows::View;
use domain::time::Revision;
use edge_protocol::{ManifestRef, Offer};
use parking_lot::Mutex;
use platform::trace::TraceContext;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control_plane::ControlPlane;
use crate::signing::Signer;
use crate::traces::Traces;

/// An environment's newest manifest as it changes; nothing before it was first looked at.
pub(super) type Manifests = watch::Receiver<Option<Newest>>;

/// An environment's newest manifest, and since when this node knows of it, if it saw it come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    /// Signed, and with it who may sign.
    pub(super) offer: Arc<Offer>,
    pub(super) learned: Option<Instant>,
    /// Where the request is recorded that published it, if this node knows.
    pub(super) trace: Option<TraceContext>,
}

/// The entry that last changed a certificate of an environment; nothing before the first change.
pub(super) type CertificateChanges = watch::Receiver<Option<Revision>>;

/// The entry that last let in an edge of an environment, or turned one away; nothing before the first.
pub(super) type EdgeChanges = watch::Receiver<Option<Revision>>;

/// Who follows what.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeds {
    manifests: Feed<Newest>,
    certificates: Feed<Revision>,
    edges: Feed<Revision>,
}

/// What is followed of each environment.
type Feed<T> = Arc<Mutex<BTreeMap<EnvironmentId, watch::Sender<Option<T>>>>>;

impl Newest {
    pub(super) fn manifest(&self) -> ManifestRef {
        self.offer.manifest.manifest
    }
}

impl Feeds {
    /// Follows an environment from now on. What is current must be read after this.
    pub(super) fn follow(&self, environment_id: &EnvironmentId) -> Manifests {
        follow(&self.manifests, environment_id)
    }

    /// Follows the certificates of an environment from now on. What is current must be read after
    /// this.
    pub(super) fn follow_certificates(&self, environment_id: &EnvironmentId) -> CertificateChanges {
        follow(&self.certificates, environment_id)
    }

    /// Follows who belongs to an environment from now on. What is current must be read after this.
    pub(super) fn follow_edges(&self, environment_id: &EnvironmentId) -> EdgeChanges {
        follow(&self.edges, environment_id)
    }

    /// What was current when an environment was first followed: it came at an unknown time.
    pub(super) fn seed(&self, environment_id: &EnvironmentId, offer: &Arc<Offer>) {
        if let Some(feed) = self.manifests.lock().get(environment_id) {
            feed.send_if_modified(|newest| {
                newest.get_or_insert_with(|| Newest {
                    offer: Arc::clone(offer),
                    learned: None,
                    trace: None,
                });
                // Whoever follows has read it himself.
                false
            });
        }
    }

    /// Passes changes on until the node stops.
    pub(super) async fn run(self, control: Arc<dyn ControlPlane>, signer: Signer, traces: Traces) {
        let mut changes = control.changes();
        while changes.changed().await.is_ok() {
            self.pass_on(&*control, &signer, &traces);
        }
    }

    fn pass_on(&self, control: &dyn ControlPlane, signer: &Signer, traces: &Traces) {
        let now = Instant::now();
        pass_on(
            &self.manifests,
            control,
            |view, id| (signer.offer(view, id), traces.of_manifest(view, id)),
            |told, (offer, trace)| match offer {
                Ok(offer) => pass(told, offer, (now, trace)),
                Err(error) => {
                    tracing::error!(%error, "edges hear of nothing new, because it cannot be signed");
                    false
                }
            },
        );
        pass_on(
            &self.certificates,
            control,
            |view, id| query::certificates_changed(view, id),
            |told, changed| std::mem::replace(told, changed) != changed,
        );
        pass_on(
            &self.edges,
            control,
            |view, id| query::edges_changed(view, id),
            |told, changed| std::mem::replace(told, changed) != changed,
        );
    }
}

fn follow<T>(feed: &Feed<T>, environment_id: &EnvironmentId) -> watch::Receiver<Option<T>> {
    let mut feeds = feed.lock();
    feeds
        .entry(environment_id.clone())
        .or_insert_with(|| watch::Sender::new(None))
        .subscribe()
}

/// Tells those who follow an environment what was found in it, where that is news.
fn pass_on<T, F>(
    feed: &Feed<T>,
    control: &dyn ControlPlane,
    find: impl Fn(&dyn View, &EnvironmentId) -> F,
    news: impl Fn(&mut Option<T>, F) -> bool,
) {
    let mut feeds = feed.lock();
    feeds.retain(|_, feed| !feed.is_closed());
    if feeds.is_empty() {
        return;
    }
    let found = control.read_local(|view| {
        let found = feeds.keys().map(|id| find(view, id));
        found.collect::<Vec<_>>()
    });
    // A storage fault ends the process; there is nothing to pass on.
    let Ok((found, _)) = found else { return };
    for (feed, found) in feeds.values().zip(found) {
        feed.send_if_modified(|told| news(told, found));
    }
}

/// Whether the manifest is news, or who may sign it.
fn pass(
    newest: &mut Option<Newest>,
    offer: Offer,
    (now, trace): (Instant, Option<TraceContext>),
) -> bool {
    let learned = match newest.as_ref() {
        Some(before) if *before.offer == offer => return false,
        Some(before) if before.manifest() == offer.manifest.manifest => before.learned,
        before => before.map(|_| now),
    };
    *newest = Some(Newest {
        offer: Arc::new(offer),
        learned,
        trace,
    });
    true
}
