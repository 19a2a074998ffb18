//! Tells of upstreams that go out of use in a region and come back: on the node that leads, what edges
//! say is gathered again and again, and what most of them say is proposed, which the state machine
//! writes down once. Whoever leads next begins with what is written down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::command::{Command, Origin, OutageChange, RecordOutages, Stamped};
use domain::id::{EnvironmentId, RequestId};
use domain::limits::OUTAGES_MAX;
use domain::query;
use platform::{Clock, Entropy};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::verdict::{Verdicts, Witness};
use crate::control_plane::ControlPlane;
use crate::rest::{EdgeView, FleetReader, FleetView};

/// How often is looked: as often as edges are pinged.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the herald takes from outside.
pub(crate) struct Parts {
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) fleet: Arc<dyn FleetReader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// A running herald.
pub(crate) struct Herald(JoinHandle<()>);

impl Herald {
    pub(crate) fn start(parts: Parts) -> Self {
        Self(tokio::spawn(run(parts)))
    }

    /// Ends it. What was proposed and not answered may have been written down, or not; the next
    /// leader looks anew.
    pub(crate) fn shut_down(self) {
        self.0.abort();
    }
}

async fn run(parts: Parts) {
    let mut verdicts = BTreeMap::<EnvironmentId, Verdicts>::new();
    loop {
        sleep(LOOK_EVERY).await;
        if parts.control.leader() != Some(parts.control.this().id) {
            verdicts.clear();
            continue;
        }
        for environment in parts.environments() {
            let verdicts = verdicts.entry(environment.clone()).or_default();
            parts.look(&environment, verdicts).await;
        }
    }
}

impl Parts {
    fn environments(&self) -> Vec<EnvironmentId> {
        let read = self.control.read_local(|view| query::environments(view));
        // A storage fault ends the process.
        let environments = read.map(|(environments, _)| environments);
        let environments = environments.unwrap_or_default().into_iter();
        environments.map(|environment| environment.id).collect()
    }

    async fn look(&self, environment: &EnvironmentId, verdicts: &mut Verdicts) {
        let FleetView { edges, silent, .. } = self.fleet.gather(environment).await;
        let read = |view: &dyn domain::rows::View| query::all_outages(view, environment);
        let Ok((known, _)) = self.control.read_local(read) else {
            return;
        };
        let known = known.into_keys().collect();
        let now = self.clock.now();
        let serves = |edge: &&EdgeView| edge.is_online(now) && edge.applied.is_some();
        let witnesses: Vec<_> = edges.iter().filter(serves).map(witness).collect();
        let changes = verdicts.changes(Instant::now(), &witnesses, &known, silent.is_empty());
        if !changes.is_empty() {
            self.propose(environment, changes).await;
        }
    }

    async fn propose(&self, environment: &EnvironmentId, mut changes: Vec<OutageChange>) {
        changes.truncate(OUTAGES_MAX);
        for change in &changes {
            let OutageChange {
                upstream_id,
                region,
                is_down,
                edges_down,
                edges,
            } = change;
            tracing::info!(%upstream_id, region, is_down, edges_down, edges, "most edges of a region say so");
        }
        let at = self.clock.now();
        let stamped = Stamped {
            at,
            request_id: RequestId::new(self.entropy.seed(at)),
            idempotency: None,
            command: Command::RecordOutages(RecordOutages {
                environment_id: environment.clone(),
                changes,
            }),
            origin: Origin::default(),
            precondition: None,
        };
        // What is lost is seen and proposed again; what is repeated changes nothing.
        if let Err(error) = self.control.propose(stamped).await {
            tracing::debug!(%error, "outages could not be written down");
        }
    }
}

fn witness(edge: &EdgeView) -> Witness<'_> {
    Witness {
        region: &edge.region,
        down: &edge.health.down,
    }
}
