//! The edge's side: follows the newest manifest, fetches what it lacks, hands complete ones over
//! to be applied, and reports. It lives as long as the edge does, across connections, so that a
//! fetch goes on where the last connection left it.
//!
//! ```text
//!              offer, newer            nothing is missing             Ok: current = manifest
//!   Idle ───────────────────▶ Fetching ──────────────────▶ Applying ───────────────────────▶ Idle
//!    ▲                        │  ▲  │ newer offer: go on              │ refused: remember the root ▶ Idle
//!    │   Gone                 │  │  └─ with its root                  │ disk or memory: ▶ Waiting
//!    └────────────────────────┘  └──────────────────────────────────────── after RETRY_INTERVAL
//! ```
//!
//! Invariants: what is current never goes back in (epoch, version), and never changes its root
//! within one; nothing is followed that is not signed for this cluster and environment by somebody who is
//! trusted; nothing is handed over to be applied before every chunk under its root is there
//! and has the hash that names it; a root that was refused is not fetched again.
//!
//! What a chunk means, where chunks are kept and how a manifest is applied is left to the driver.

mod action;
mod asked;
mod fetch;
mod pursuit;
mod rejected;

use std::collections::VecDeque;
use std::time::Duration;

use domain::id::EnvironmentId;
use domain::tree::Hash;

pub use action::{Action, ApplyFailure, CloseReason, Event};
pub use fetch::{Chunks, Held, Holdings};

use self::asked::Asked;
use self::fetch::Fetch;
use self::rejected::RejectedRoots;
use crate::limits::{GREETING_MAX, OUTBOX_FRAMES_MAX, RETRY_INTERVAL, SILENCE_MAX, STALL_MAX};
use crate::message::reason as cut;
use crate::signing::Trust;
use crate::{
    HealthReport, Hello, ManifestRef, Moment, PATCHES_SINCE, Report, ReportState, SignedManifest,
    TELEMETRY_SINCE, TRUST_REPORTS_SINCE, ToEdge, ToNode, TrustReport, Welcome,
};

/// The edge's state machine.
#[derive(Debug)]
pub struct Follower {
    hello: Hello,
    environment_id: Option<EnvironmentId>,
    /// Whose signatures are believed; nothing before a node or the operator has said so.
    trust: Option<Trust>,
    /// What the node that serves this edge was told of that.
    trust_report: TrustReport,
    current: Option<ManifestRef>,
    /// The newest acceptable manifest that was offered while another one was being applied.
    next: Option<SignedManifest>,
    link: Link,
    work: Work,
    rejected: RejectedRoots,
    /// What a node that the edge has just reached should hear first.
    last_report: Option<Report>,
    /// Which targets take no requests; a node that the edge has just reached should hear that, too.
    health: HealthReport,
    outbox: VecDeque<ToNode>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum Link {
    Down,
    Greeting {
        since: Moment,
    },
    Up {
        /// What is spoken.
        protocol: u16,
        heard: Moment,
        asked: Asked,
        gone: Option<Hash>,
    },
    /// The driver was asked to close; nothing that still arrives counts.
    Closing,
}

#[derive(Debug)]
enum Work {
    Idle,
    Fetching(Fetch),
    Applying {
        manifest: SignedManifest,
        chunks_fetched: u64,
        bytes_fetched: u64,
    },
    Waiting {
        fetch: Fetch,
        until: Moment,
    },
}

/// Events that nobody took; older ones give way.
const EVENTS_MAX: usize = 64;

impl Follower {
    /// An edge that serves by `hello.have`, of `environment_id` if it followed one before, and believes whom
    /// it did then.
    #[must_use]
    pub fn new(hello: Hello, environment_id: Option<EnvironmentId>, trust: Option<Trust>) -> Self {
        Self {
            current: hello.have,
            hello,
            environment_id,
            trust,
            trust_report: TrustReport::default(),
            next: None,
            link: Link::Down,
            work: Work::Idle,
            rejected: RejectedRoots::default(),
            last_report: None,
            health: HealthReport::default(),
            outbox: VecDeque::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A root is not to be followed, for a reason that nodes are told when they offer it.
    pub fn distrust(&mut self, root: Hash, why: String) {
        self.rejected.insert(root, cut(why));
    }

    /// The manifest in use.
    #[must_use]
    pub fn current(&self) -> Option<&ManifestRef> {
        self.current.as_ref()
    }

    /// Whether a node serves this edge now.
    #[must_use]
    pub fn is_following(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Whether the node that serves this edge takes what the edge counts. It is not this machine's
    /// matter what that is: the driver sends it when there is nothing else to send.
    #[must_use]
    pub fn may_send_telemetry(&self) -> bool {
        matches!(self.link, Link::Up { protocol, .. } if protocol >= TELEMETRY_SINCE)
    }

    /// A connection is up.
    pub fn handle_connected(&mut self, now: Moment) {
        self.link = Link::Greeting { since: now };
        self.outbox.clear();
        self.outbox.push_back(ToNode::Hello(Hello {
            have: self.current,
            ..self.hello.clone()
        }));
    }

    /// The connection is gone, for whatever reason.
    pub fn handle_disconnected(&mut self) {
        self.link = Link::Down;
        self.outbox.clear();
        self.actions
            .retain(|action| !matches!(action, Action::Close(_)));
        if let Some(fetch) = self.fetch_mut() {
            fetch.ask_again();
        }
    }

    /// The node sent something. What it sends after the driver was asked to close counts no more.
    pub fn handle_frame(&mut self, now: Moment, frame: ToEdge) {
        match &mut self.link {
            Link::Down | Link::Closing => return,
            Link::Greeting { .. } => return self.handle_greeting(now, frame),
            Link::Up { heard, .. } => *heard = now,
        }
        match frame {
            ToEdge::Welcome(_) => self.violation("a second welcome"),
            ToEdge::Manifest(manifest) => self.handle_offer(manifest),
            ToEdge::Chunks(chunks) => self.handle_chunks(now, chunks),
            ToEdge::Patches(patches) => self.handle_patches(now, patches),
            ToEdge::Gone(hashes) => self.handle_gone(&hashes),
            ToEdge::Refused(refusal) => self.close(CloseReason::Refused(refusal)),
            ToEdge::Ping => self.send(ToNode::Pong),
            ToEdge::Trust(trust) => self.handle_trust(&trust),
            // The driver's matter: nothing is decided by it.
            ToEdge::Trace(_) => {}
        }
    }

    /// The targets that take no requests are these now. Only the newest is ever sent.
    pub fn handle_health(&mut self, report: HealthReport) {
        if self.health == report {
            return;
        }
        self.health = report;
        self.outbox
            .retain(|frame| !matches!(frame, ToNode::Health(_)));
        self.send(ToNode::Health(self.health.clone()));
    }

    /// What the node sent is no frame.
    pub fn handle_violation(&mut self, what: String) {
        if matches!(self.link, Link::Greeting { .. } | Link::Up { .. }) {
            self.violation(what);
        }
    }

    /// What was handed over by [`Action::Apply`] is done.
    pub fn handle_applied(
        &mut self,
        now: Moment,
        took: Duration,
        result: Result<(), ApplyFailure>,
    ) {
        let Work::Applying {
            manifest,
            chunks_fetched,
            bytes_fetched,
        } = &self.work
        else {
            return;
        };
        let signed = manifest.clone();
        let manifest = signed.manifest;
        let apply_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let report = |state| Report {
            manifest,
            state,
            apply_ms,
            chunks_fetched: *chunks_fetched,
            bytes_fetched: *bytes_fetched,
        };
        match result {
            Ok(()) => {
                let report = report(ReportState::Applied);
                self.work = Work::Idle;
                self.current = Some(manifest);
                self.event(Event::Applied(report.clone()));
                self.conclude(report);
            }
            Err(ApplyFailure::Content(reason)) => {
                let report = report(ReportState::Rejected {
                    reason: cut(reason),
                });
                self.work = Work::Idle;
                self.reject(report);
            }
            Err(ApplyFailure::Local { reason, chunks }) => {
                let report = report(ReportState::Rejected {
                    reason: cut(reason),
                });
                let fetch = Fetch::resume(signed, self.current.as_ref(), chunks);
                self.work = Work::Waiting {
                    fetch,
                    until: now.plus(RETRY_INTERVAL),
                };
                self.note_rejection(report);
            }
        }
        if let Some(next) = self.next.take() {
            self.handle_offer(next);
        }
    }

    /// Time passed: gives up what took too long, and tries again what waited.
    pub fn handle_timeout(&mut self, now: Moment) {
        if let Some((_, reason)) = self
            .link_deadline()
            .filter(|(deadline, _)| *deadline <= now)
        {
            self.close(CloseReason::Silent(reason));
        }
        if let Work::Waiting { until, .. } = &self.work
            && *until <= now
            && let Work::Waiting { fetch, .. } = std::mem::replace(&mut self.work, Work::Idle)
        {
            self.work = Work::Fetching(fetch);
        }
    }

    /// When [`Self::handle_timeout`] should be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let retry = match &self.work {
            Work::Waiting { until, .. } => Some(*until),
            _ => None,
        };
        let link = self.link_deadline().map(|(deadline, _)| deadline);
        retry.into_iter().chain(link).min()
    }

    /// Moves a fetch on by what is held. To be called after anything was handled; it is cheap
    /// when there is nothing to do.
    pub fn advance(&mut self, now: Moment, holdings: &impl Holdings) {
        let Work::Fetching(fetch) = &mut self.work else {
            return;
        };
        match fetch.walk(holdings) {
            Ok(true) => return self.hand_over(),
            Ok(false) => {}
            Err(reason) => return self.abandon(reason),
        }
        let Link::Up {
            asked, protocol, ..
        } = &mut self.link
        else {
            return;
        };
        if *protocol < PATCHES_SINCE {
            fetch.forget_bases();
        }
        while let Some(wants) = fetch.poll_want(now, asked) {
            if !wants.whole.is_empty() {
                self.outbox.push_back(ToNode::Want(wants.whole));
            }
            if !wants.over_others.is_empty() {
                self.outbox
                    .push_back(ToNode::WantPatches(wants.over_others));
            }
        }
    }

    /// The next frame for the node.
    pub fn poll_transmit(&mut self) -> Option<ToNode> {
        self.outbox.pop_front()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn handle_greeting(&mut self, now: Moment, frame: ToEdge) {
        match frame {
            ToEdge::Welcome(welcome) => self.handle_welcome(now, welcome),
            ToEdge::Refused(refusal) => self.close(CloseReason::Refused(refusal)),
            _ => self.violation("something else came before the welcome"),
        }
    }

    fn handle_welcome(&mut self, now: Moment, welcome: Welcome) {
        let followed = self
            .environment_id
            .get_or_insert_with(|| welcome.environment_id.clone())
            .clone();
        if followed != welcome.environment_id {
            return self.close(CloseReason::ForeignEnvironment {
                followed,
                offered: welcome.environment_id,
            });
        }
        self.link = Link::Up {
            protocol: welcome.protocol,
            heard: now,
            asked: Asked::default(),
            gone: None,
        };
        // A node takes it that all whom it names are trusted until it hears otherwise.
        self.trust_report = TrustReport::default();
        self.event(Event::Welcomed(welcome));
        if let Some(report) = self.last_report.clone() {
            self.send(ToNode::Report(report));
        }
        // A node takes it that all are well until it hears otherwise.
        if self.health != HealthReport::default() {
            self.send(ToNode::Health(self.health.clone()));
        }
    }

    fn fetch_mut(&mut self) -> Option<&mut Fetch> {
        match &mut self.work {
            Work::Fetching(fetch) | Work::Waiting { fetch, .. } => Some(fetch),
            Work::Idle | Work::Applying { .. } => None,
        }
    }

    fn link_deadline(&self) -> Option<(Moment, &'static str)> {
        match &self.link {
            Link::Down | Link::Closing => None,
            Link::Greeting { since } => Some((since.plus(GREETING_MAX), "a welcome")),
            Link::Up { heard, asked, .. } => {
                let silent = (heard.plus(SILENCE_MAX), "a ping");
                let stalled = asked
                    .waiting_since()
                    .map(|since| (since.plus(STALL_MAX), "chunks"));
                stalled
                    .into_iter()
                    .chain([silent])
                    .min_by_key(|(deadline, _)| *deadline)
            }
        }
    }

    /// Tells the node what the edge makes of whom it says to trust. Only the newest is ever sent.
    fn report_trust(&mut self, problem: Option<String>) {
        let report = TrustReport {
            problem: problem.map(cut),
        };
        if self.trust_report == report {
            return;
        }
        self.trust_report = report.clone();
        if matches!(self.link, Link::Up { protocol, .. } if protocol >= TRUST_REPORTS_SINCE) {
            self.outbox
                .retain(|frame| !matches!(frame, ToNode::Trust(_)));
            self.send(ToNode::Trust(report));
        }
    }

    fn send(&mut self, frame: ToNode) {
        if !matches!(self.link, Link::Up { .. }) {
            return;
        }
        if self.outbox.len() >= OUTBOX_FRAMES_MAX {
            return self.close(CloseReason::Stuck);
        }
        self.outbox.push_back(frame);
    }

    fn violation(&mut self, what: impl Into<String>) {
        self.close(CloseReason::Violation(what.into()));
    }

    /// What stands in the outbox, a rejection perhaps, is still sent first.
    fn close(&mut self, reason: CloseReason) {
        self.link = Link::Closing;
        self.actions.push_back(Action::Close(reason));
    }

    fn event(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
