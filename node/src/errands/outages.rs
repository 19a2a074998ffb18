//! Tells of upstreams that go out of use in a region and come back: on the node that leads, what edges
//! say is gathered again and again, and what most of them say is proposed, which the state machine
//! writes down once. Whoever leads next begins with what is written down.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::command::{Command, OutageChange, RecordOutages};
use domain::id::EnvironmentId;
use domain::limits::OUTAGES_MAX;
use domain::query;
use tokio::time::{Instant, sleep};

use super::Parts;
use super::verdict::{Verdicts, Witness};
use crate::rest::{EdgeView, FleetView};

/// How often is looked: as often as edges are pinged.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks for ever. A task of its own, because it waits for nodes that do not answer.
pub(super) async fn run(parts: Parts) {
    let mut verdicts = BTreeMap::<EnvironmentId, Verdicts>::new();
    loop {
        sleep(LOOK_EVERY).await;
        if !parts.leads() {
            verdicts.clear();
            continue;
        }
        for environment in parts.environments() {
            let verdicts = verdicts.entry(environment.clone()).or_default();
            parts.look_for_outages(&environment, verdicts).await;
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

    async fn look_for_outages(&self, environment: &EnvironmentId, verdicts: &mut Verdicts) {
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
            self.record(environment, changes).await;
        }
    }

    async fn record(&self, environment: &EnvironmentId, mut changes: Vec<OutageChange>) {
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
        let record = RecordOutages {
            environment_id: environment.clone(),
            changes,
        };
        self.propose(self.clock.now(), Command::RecordOutages(record))
            .await;
    }
}

fn witness(edge: &EdgeView) -> Witness<'_> {
    Witness {
        region: &edge.region,
        down: &edge.health.down,
    }
}
