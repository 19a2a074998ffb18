//! What a node remembers of one edge.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::time::Timestamp;
use edge_protocol::{HealthReport, Hello, ManifestRef, Report, ReportState, TrustReport};
use tokio::time::Instant;

use super::course::Course;
use super::wire::{Ack, Distrust, EdgeRow, Rejection};
use crate::rest::EdgeSteps;

/// Acknowledgements that are remembered of an edge, the latest ones: enough to say when it took
/// any of the snapshots that were published lately.
pub(super) const ACKS_MAX: usize = 32;

/// Manifests on their way to one edge: it is offered the next while it applies one, and says how that
/// went.
const COURSES_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Record {
    /// Counts this node's connections, so that an older one of the same edge is told apart.
    pub(super) session: u64,
    pub(super) connected: bool,
    pub(super) seen: Instant,
    region: String,
    labels: BTreeMap<String, String>,
    software: String,
    applied: Option<ManifestRef>,
    rejected: Option<Rejection>,
    /// What it does not believe of whom it was told to trust on this connection.
    distrusts: Option<Distrust>,
    acks: VecDeque<Ack>,
    /// Manifests that were sent and of which the edge may still say something, the oldest first.
    courses: VecDeque<Course>,
    round_trip: Option<Duration>,
    /// What it said of targets on this connection; an edge repeats it on the next.
    pub(super) health: HealthReport,
}

impl Record {
    /// The record of a connection that begins; what was known of the edge before goes on.
    pub(super) fn new(hello: &Hello, session: u64, now: Instant, before: Option<Self>) -> Self {
        let (rejected, acks) = before
            .map(|before| (before.rejected, before.acks))
            .unwrap_or_default();
        Self {
            session,
            connected: true,
            seen: now,
            region: hello.region.clone(),
            labels: hello.labels.clone(),
            software: hello.software.clone(),
            applied: hello.have,
            rejected,
            distrusts: None,
            acks,
            courses: VecDeque::new(),
            round_trip: None,
            health: HealthReport::default(),
        }
    }

    /// A manifest was sent.
    pub(super) fn sent(&mut self, manifest: ManifestRef, learned: Option<Instant>, now: Instant) {
        if self.courses.len() == COURSES_MAX {
            self.courses.pop_front();
        }
        self.courses.push_back(Course::new(manifest, learned, now));
    }

    /// A ping was answered after so long.
    pub(super) fn answered_ping(&mut self, after: Duration) {
        self.round_trip = Some(after);
    }

    /// It said what it makes of whom it was told to trust.
    pub(super) fn trust(&mut self, report: TrustReport, at: Timestamp) {
        self.distrusts = report.problem.map(|problem| Distrust { problem, at });
    }

    pub(super) fn report(&mut self, report: &Report, at: Timestamp, now: Instant) {
        let round_trip = self.round_trip;
        let mut courses = self.courses.iter_mut().rev();
        let course = courses.find(|course| course.manifest == report.manifest);
        let steps = course.map(|course| {
            course.step(&report.state, now);
            course.steps(round_trip, now)
        });
        match &report.state {
            ReportState::Received | ReportState::Verified => {}
            ReportState::Applied => self.apply(report, at, steps),
            ReportState::Rejected { reason } => {
                self.rejected = Some(Rejection {
                    manifest: report.manifest,
                    reason: reason.clone(),
                    at,
                    steps,
                });
            }
        }
    }

    /// An edge that changes nodes repeats its last word. When it first said so this node does not
    /// know then, so the repetition is no acknowledgement.
    fn apply(&mut self, report: &Report, at: Timestamp, steps: Option<EdgeSteps>) {
        let manifest = report.manifest;
        if self.applied != Some(manifest) {
            if self.acks.len() >= ACKS_MAX {
                self.acks.pop_front();
            }
            let ack = Ack {
                epoch: manifest.epoch,
                version: manifest.version,
                at,
                apply_ms: report.apply_ms,
                steps,
            };
            self.acks.push_back(ack);
        }
        self.applied = Some(manifest);
        let order = (manifest.epoch, manifest.version);
        self.rejected
            .take_if(|rejected| (rejected.manifest.epoch, rejected.manifest.version) <= order);
    }

    pub(super) fn row(&self, edge_id: &str, now: Instant) -> EdgeRow {
        EdgeRow {
            edge_id: edge_id.to_owned(),
            region: self.region.clone(),
            labels: self.labels.clone(),
            software: self.software.clone(),
            connected: self.connected,
            quiet_ms: u64::try_from(now.duration_since(self.seen).as_millis()).unwrap_or(u64::MAX),
            applied: self.applied,
            rejected: self.rejected.clone(),
            distrusts: self.distrusts.clone(),
            acks: self.acks.iter().copied().collect(),
            health: self.health.clone(),
        }
    }
}
