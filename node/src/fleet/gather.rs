//! The edges of the whole cluster: this node's own, and what the others answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::id::EnvironmentId;
use domain::time::Timestamp;
use futures_util::future::{join_all, select_all};
use platform::Clock;

use super::Fleet;
use super::merge::{Known, merge};
use super::telemetry::Counted;
use super::wire::{Answer, Mark, Query, Question, decode_counted};
use crate::control_plane::{BoxFuture, ControlPlane, MemberId, PeerFleet};
use crate::rest::{
    DistrustedKeys, EdgeAck, EdgeView, FleetReader, FleetView, RejectedManifest, TelemetryQuery,
    TelemetryView,
};

/// By when a node has given all its pages, or counts as silent. Less than a client waits.
const GATHER_DEADLINE: Duration = Duration::from_millis(2500);

/// Pages that one node gives at most: all edges that it can remember, with room.
const PAGES_MAX: usize = 64;

/// How long to wait for news of a node that does not answer before it is asked again.
const SILENCE_PAUSE: Duration = Duration::from_secs(1);

/// Gathers what all nodes know of edges.
pub struct ClusterFleet {
    /// This node's own.
    pub fleet: Fleet,
    /// Who is a member.
    pub control: Arc<dyn ControlPlane>,
    /// Asks them.
    pub peers: Arc<dyn PeerFleet>,
    /// For times that people read.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for ClusterFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterFleet")
            .field("fleet", &self.fleet)
            .finish_non_exhaustive()
    }
}

impl FleetReader for ClusterFleet {
    fn gather<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, FleetView> {
        Box::pin(async move {
            let this = self.control.this().id;
            let others = self
                .control
                .members()
                .into_iter()
                .map(|member| member.id)
                .filter(|id| *id != this);
            let asked =
                join_all(others.map(|id| async move { (id, self.ask(id, environment).await) }))
                    .await;
            let mut answers = self.own(environment);
            let mut silent = Vec::new();
            for (id, answer) in asked {
                match answer {
                    Some(pages) => answers.extend(pages),
                    None => silent.push(id),
                }
            }
            silent.sort_unstable();
            let marks = marks(&answers);
            let now = self.clock.now();
            FleetView {
                edges: merge(answers)
                    .into_iter()
                    .map(|known| view(known, now))
                    .collect(),
                silent,
                marks,
            }
        })
    }

    fn telemetry<'a>(&'a self, query: &'a TelemetryQuery) -> BoxFuture<'a, TelemetryView> {
        Box::pin(async move {
            let this = self.control.this().id;
            let others = self.control.members().into_iter().map(|member| member.id);
            let others = others.filter(|id| *id != this);
            let asked =
                join_all(others.map(|id| async move { (id, self.ask_counted(id, query).await) }));
            let mut answers = vec![self.fleet.counted(query)];
            let mut silent = Vec::new();
            for (id, answer) in asked.await {
                match answer {
                    Some(counted) => answers.push(counted),
                    None => silent.push(id),
                }
            }
            silent.sort_unstable();
            together(answers, silent, query)
        })
    }

    fn news<'a>(&'a self, seen: &'a FleetView) -> BoxFuture<'a, ()> {
        let this = self.control.this().id;
        let of_node = |(id, mark): (&MemberId, &u64)| -> BoxFuture<'a, ()> {
            let (id, mark) = (*id, Mark(*mark));
            if id == this {
                Box::pin(self.fleet.news(mark))
            } else {
                Box::pin(self.news_of(id, mark))
            }
        };
        let mut sources: Vec<BoxFuture<'a, ()>> = seen.marks.iter().map(of_node).collect();
        // Whoever did not answer may do so now.
        if !seen.silent.is_empty() || sources.is_empty() {
            sources.push(Box::pin(tokio::time::sleep(SILENCE_PAUSE)));
        }
        Box::pin(async move {
            select_all(sources).await;
        })
    }
}

/// Adds up what nodes answered.
fn together(answers: Vec<Counted>, silent: Vec<MemberId>, query: &TelemetryQuery) -> TelemetryView {
    let mut view = TelemetryView {
        silent,
        ..TelemetryView::default()
    };
    for counted in answers {
        view.truncated |= counted.truncated;
        for (key, counts) in counted.rows {
            view.rows.entry(key).or_default().merge(&counts);
        }
        view.samples.extend(counted.samples);
    }
    view.samples.sort_by_key(|sample| sample.age_ms);
    view.samples.truncate(usize::from(query.samples));
    view
}

/// What each node had come to know when it began to answer.
fn marks(pages: &[Answer]) -> BTreeMap<MemberId, u64> {
    let mut marks = BTreeMap::new();
    for page in pages {
        marks.entry(page.node_id).or_insert(page.mark.0);
    }
    marks
}

impl ClusterFleet {
    fn own(&self, environment: &EnvironmentId) -> Vec<Answer> {
        let mut query = Query {
            environment_id: environment.clone(),
            after: None,
        };
        let mut pages = Vec::new();
        loop {
            let page = self.fleet.page(&query);
            query.after = page.rows.last().map(|row| row.edge_id.clone());
            let more = page.more;
            pages.push(page);
            if !more {
                return pages;
            }
        }
    }

    /// All pages of a node, or `None` if it did not give them all in time.
    async fn ask(&self, member: MemberId, environment: &EnvironmentId) -> Option<Vec<Answer>> {
        let asking = async {
            let mut query = Query {
                environment_id: environment.clone(),
                after: None,
            };
            let mut pages = Vec::new();
            while pages.len() < PAGES_MAX {
                let question = Question::Page(query.clone());
                let answer = self.peers.ask(member, question.encode()?).await;
                let page =
                    Answer::decode(&answer.inspect_err(|error| tracing::debug!(%error)).ok()?)?;
                query.after = page.rows.last().map(|row| row.edge_id.clone());
                let more = page.more;
                pages.push(page);
                if !more {
                    return Some(pages);
                }
            }
            None
        };
        tokio::time::timeout(GATHER_DEADLINE, asking)
            .await
            .ok()
            .flatten()
    }
}

impl ClusterFleet {
    /// What a node's edges counted, or `None` if it did not say so in time.
    async fn ask_counted(&self, member: MemberId, query: &TelemetryQuery) -> Option<Counted> {
        let question = Question::Telemetry(query.clone()).encode()?;
        let asking = self.peers.ask(member, question);
        let answer = tokio::time::timeout(GATHER_DEADLINE, asking).await.ok()?;
        let answer = answer.inspect_err(|error| tracing::debug!(%error)).ok()?;
        decode_counted(&answer)
    }

    /// Waits until a node knows more than at a mark, or does not answer any more.
    async fn news_of(&self, member: MemberId, since: Mark) {
        let mark = async || {
            let answer = self.peers.ask(member, Question::News(since).encode()?);
            Mark::decode(&answer.await.ok()?)
        };
        loop {
            match mark().await {
                Some(mark) if mark == since => {}
                Some(_) => return,
                None => return tokio::time::sleep(SILENCE_PAUSE).await,
            }
        }
    }
}

/// Times are counted back from this node's clock, so that what is shown does not depend on the
/// other nodes' clocks.
fn view(Known { node_id, row }: Known, now: Timestamp) -> EdgeView {
    EdgeView {
        id: row.edge_id,
        region: row.region,
        labels: row.labels,
        software: row.software,
        node_id,
        connected: row.connected,
        last_seen: Timestamp(now.0.saturating_sub(row.quiet_ms)),
        applied_at: row.applied.and_then(|applied| {
            let ack = row
                .acks
                .iter()
                .find(|ack| (ack.epoch, ack.version) == (applied.epoch, applied.version));
            ack.map(|ack| ack.at)
        }),
        applied: row.applied,
        distrusts: row.distrusts.map(|distrusts| DistrustedKeys {
            reason: distrusts.problem,
            at: distrusts.at,
        }),
        rejected: row.rejected.map(|rejected| RejectedManifest {
            manifest: rejected.manifest,
            reason: rejected.reason,
            at: rejected.at,
            steps: rejected.steps,
        }),
        acks: row
            .acks
            .iter()
            .map(|ack| EdgeAck {
                epoch: ack.epoch,
                version: ack.version,
                at: ack.at,
                apply_ms: ack.apply_ms,
                steps: ack.steps,
            })
            .collect(),
        health: row.health,
    }
}
