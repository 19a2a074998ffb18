//! That what is known of edges which were turned away long ago is not kept for ever: some of them an hour, so that a fleet that
//! turned away thousands is done within a day.

use std::time::Duration;

use domain::command::{Command, ForgetEdges};
use domain::limits::EDGES_FORGOTTEN_MAX;
use domain::query;
use domain::rows::View;
use tokio::time::Instant;

use super::Runner;

/// How far two looks are apart: each looks at all edges that are known.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

impl Runner {
    pub(super) async fn edges(&mut self) {
        if self
            .edges_looked
            .is_some_and(|at| at.elapsed() < LOOK_EVERY)
        {
            return;
        }
        self.edges_looked = Some(Instant::now());
        let wall = self.parts.clock.now();
        let look = |view: &dyn View| {
            let at = wall.max(query::log_time(view));
            let environments = query::environments(view).into_iter();
            let due = environments.map(|environment| {
                let id = environment.id;
                let due = query::forgotten_edges(view, &id, at, EDGES_FORGOTTEN_MAX);
                (id, due)
            });
            due.collect::<Vec<_>>()
        };
        let Some((due, now)) = self.read(look) else {
            return;
        };
        for (environment_id, edges) in due.into_iter().filter(|(_, edges)| !edges.is_empty()) {
            let forget = ForgetEdges {
                environment_id,
                edges,
            };
            self.parts.propose(now, Command::ForgetEdges(forget)).await;
        }
    }
}
