//! The node's side: lets an edge in, keeps it at the newest manifest, and answers what it wants.
//! One for each connection.
//!
//! ```text
//!   Greeting ── Hello ──▶ Admitting ── handle_admitted ──▶ Serving ──▶ Closed
//!      │                     │ handle_refused                 │ violation, silence, drain
//!      └─ anything else, GREETING_MAX ────────────────────────┴──▶ Refused{..}, Closed
//! ```
//!
//! What waits to be sent is pulled, frame by frame, when the connection can take one: a slow edge
//! costs its node the newest manifest and [`WANTS_IN_FLIGHT_MAX`] hashes, never a queue of chunks.
//!
//! Who the peer is, which environments there are and where chunks come from is left to the driver.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::tree::Hash;
use injection::{Mutant, mutant};

use crate::limits::{
    CHUNKS_FRAME_BYTES, GREETING_MAX, PING_INTERVAL, SILENCE_MAX, WANT_HASHES_MAX,
    WANTS_IN_FLIGHT_MAX,
};
use crate::manifest::Standing;
use crate::patch::{Patch, Wanted};
use crate::telemetry::Batch;
use crate::{
    HealthReport, Hello, ManifestRef, Moment, Offer, PROTOCOL, PROTOCOL_MIN, Refusal, Report,
    ReportState, TELEMETRY_SINCE, TRACES_SINCE, ToEdge, ToNode, TrustReport, Welcome,
};

/// The node's state machine for one edge.
#[derive(Debug)]
pub struct Feeder {
    state: State,
    /// What is spoken, once the edge said what it speaks.
    protocol: u16,
    newest: Option<Offer>,
    /// Whether the newest manifest has yet to be sent.
    offer: bool,
    /// Whether it has yet to be said whom to trust.
    tell_trust: bool,
    /// What the edge said that it serves by.
    edge_has: Option<ManifestRef>,
    wants: VecDeque<Want>,
    ping_at: Moment,
    heard: Moment,
    ping: bool,
    greeting: Option<ToEdge>,
    farewell: Option<Refusal>,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Admitting,
    Serving,
    Closed,
}

/// A chunk that the edge lacks, and what it has in its place.
#[derive(Clone, Copy, Debug)]
struct Want {
    hash: Hash,
    base: Option<Hash>,
}

/// What the driver is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Decide whether this edge is served; answer by [`Feeder::handle_admitted`] or
    /// [`Feeder::handle_refused`].
    Admit(Hello),
    /// Note how far the edge is.
    Note(Report),
    /// Take in what the edge counted.
    Count(Batch),
    /// Note which targets take no requests from the edge.
    Health(HealthReport),
    /// Note what the edge makes of whom it was told to trust.
    Trust(TrustReport),
    /// Close the connection once everything was sent.
    Close(Refusal),
}

/// Where chunks come from.
pub trait ChunkReader {
    /// The first of `hashes`, in their order: at least one, and then as many as come to
    /// `bytes_max`. `None` stands for a chunk that is not kept.
    fn read(&self, hashes: &[Hash], bytes_max: usize) -> Vec<Option<Bytes>>;
}

impl Feeder {
    /// A connection was accepted.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            state: State::Greeting,
            protocol: PROTOCOL_MIN,
            newest: None,
            offer: false,
            tell_trust: false,
            edge_has: None,
            wants: VecDeque::new(),
            ping_at: now.plus(PING_INTERVAL),
            heard: now,
            ping: false,
            greeting: None,
            farewell: None,
            actions: VecDeque::new(),
        }
    }

    /// Whether the edge was let in and is served.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.state == State::Serving
    }

    /// Whether the edge takes [`ToEdge::Trace`].
    #[must_use]
    pub fn takes_traces(&self) -> bool {
        self.protocol >= TRACES_SINCE
    }

    /// The edge sent something.
    pub fn handle_frame(&mut self, now: Moment, frame: ToNode) {
        self.heard = now;
        match (self.state, frame) {
            (State::Closed, _) => {}
            (State::Greeting, ToNode::Hello(hello)) => self.handle_hello(hello),
            (State::Serving, ToNode::Want(hashes)) => {
                let plain = |hash| Want { hash, base: None };
                self.handle_want(hashes.into_iter().map(plain).collect());
            }
            (State::Serving, ToNode::WantPatches(wanted)) => {
                let over = |wanted: Wanted| Want {
                    hash: wanted.hash,
                    base: Some(wanted.base),
                };
                self.handle_want(wanted.into_iter().map(over).collect());
            }
            (State::Serving, ToNode::Report(report)) => self.handle_report(report),
            (State::Serving, ToNode::Pong) => {}
            (State::Serving, ToNode::Telemetry(batch)) => self.handle_telemetry(batch),
            (State::Serving, ToNode::Health(report)) => {
                self.actions.push_back(Action::Health(report));
            }
            (State::Serving, ToNode::Trust(report)) => {
                self.actions.push_back(Action::Trust(report));
            }
            (State::Greeting, _) => self.violation("something else came before the hello"),
            (_, ToNode::Hello(_)) => self.violation("a second hello"),
            (State::Admitting, _) => self.violation("something came before the welcome was sent"),
        }
    }

    /// The edge is served, by the manifest that is the newest now.
    pub fn handle_admitted(&mut self, now: Moment, welcome: Welcome, newest: Offer) {
        if self.state != State::Admitting {
            return;
        }
        self.state = State::Serving;
        self.greeting = Some(ToEdge::Welcome(Welcome {
            protocol: self.protocol,
            ..welcome
        }));
        self.ping_at = now.plus(PING_INTERVAL);
        if mutant::active(Mutant::OfferDropped) && self.edge_has.is_some() {
            self.tell_trust = true;
            self.newest = Some(newest);
            return;
        }
        self.handle_offer(newest);
    }

    /// The edge is not, or no longer, served.
    pub fn handle_refused(&mut self, refusal: Refusal) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.wants.clear();
        self.offer = false;
        self.tell_trust = false;
        self.farewell = Some(refusal.clone());
        self.actions.push_back(Action::Close(refusal));
    }

    /// The environment's manifest is now this one, and those are to be trusted. Only the newest is ever
    /// sent; one that comes late, because it was read before another, changes nothing.
    pub fn handle_offer(&mut self, newest: Offer) {
        if self.state != State::Serving {
            return;
        }
        let before = self.newest.as_ref();
        let told = before.map(|before| before.trust.set.serial);
        let trusts = told.is_none_or(|told| newest.trust.set.serial > told);
        let current = before.map(|before| before.manifest.manifest);
        match newest.manifest.manifest.standing(current.as_ref()) {
            Standing::Older => return,
            Standing::Same if !trusts => return,
            Standing::Same | Standing::Newer | Standing::Conflicting => {}
        }
        self.tell_trust |= trusts;
        self.newest = Some(newest);
        // By another key's signature an edge may take what it has refused.
        self.consider_offer();
    }

    /// Time passed: pings, and gives up on who is silent.
    pub fn handle_timeout(&mut self, now: Moment) {
        match self.state {
            State::Greeting | State::Admitting if now.since(self.heard) >= GREETING_MAX => {
                self.violation("no hello came in time");
            }
            State::Serving if now.since(self.heard) >= SILENCE_MAX => {
                self.violation("no answer to pings")
            }
            State::Serving if self.ping_at <= now => {
                self.ping = true;
                self.ping_at = now.plus(PING_INTERVAL);
            }
            _ => {}
        }
    }

    /// When [`Self::handle_timeout`] should be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Greeting | State::Admitting => Some(self.heard.plus(GREETING_MAX)),
            State::Serving => Some(self.ping_at.min(self.heard.plus(SILENCE_MAX))),
            State::Closed => None,
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next frame for the edge, to be asked for when the connection can take one. The newest
    /// manifest goes before chunks, so that an edge turns to it as early as possible.
    pub fn poll_transmit(&mut self, chunks: &impl ChunkReader) -> Option<ToEdge> {
        if let Some(welcome) = self.greeting.take() {
            return Some(welcome);
        }
        if let Some(refusal) = self.farewell.take() {
            return Some(ToEdge::Refused(refusal));
        }
        if std::mem::take(&mut self.ping) {
            return Some(ToEdge::Ping);
        }
        if let Some(newest) = &self.newest {
            if std::mem::take(&mut self.tell_trust) {
                return Some(ToEdge::Trust(newest.trust.clone()));
            }
            if std::mem::take(&mut self.offer) {
                return Some(ToEdge::Manifest(newest.manifest.clone()));
            }
        }
        self.poll_patches(chunks)
            .or_else(|| self.poll_chunks(chunks))
    }

    /// One frame of patches, if those come first. What is not worth one is left to come whole.
    fn poll_patches(&mut self, chunks: &impl ChunkReader) -> Option<ToEdge> {
        let mut patches = Vec::new();
        let mut bytes = 0;
        while let Some(want) = self.wants.front_mut()
            && let Some(base) = want.base
            && bytes < CHUNKS_FRAME_BYTES
        {
            let wanted = Wanted {
                hash: want.hash,
                base,
            };
            let Some(patch) = patch(chunks, wanted) else {
                want.base = None;
                break;
            };
            bytes += patch.middle.len();
            patches.push(patch);
            self.wants.pop_front();
        }
        (!patches.is_empty()).then_some(ToEdge::Patches(patches))
    }

    /// One frame of chunks, or of those that are gone.
    fn poll_chunks(&mut self, chunks: &impl ChunkReader) -> Option<ToEdge> {
        let whole = self.wants.iter().take_while(|want| want.base.is_none());
        let batch: Vec<Hash> = whole.take(WANT_HASHES_MAX).map(|want| want.hash).collect();
        if batch.is_empty() {
            return None;
        }
        let mut found = chunks
            .read(&batch, CHUNKS_FRAME_BYTES)
            .into_iter()
            .peekable();
        let frame: Vec<Bytes> =
            std::iter::from_fn(|| found.next_if(Option::is_some).flatten()).collect();
        if !frame.is_empty() {
            self.wants.drain(..frame.len());
            return Some(ToEdge::Chunks(frame));
        }
        let gone = found.take_while(Option::is_none).count();
        // The edge turns to the newest manifest. If it was that one, the edge finds a better node.
        self.offer = self.newest.is_some();
        let gone = self.wants.drain(..gone).map(|want| want.hash);
        Some(ToEdge::Gone(gone.collect()))
    }

    fn handle_hello(&mut self, hello: Hello) {
        if hello.protocol < PROTOCOL_MIN {
            return self.handle_refused(Refusal::Protocol {
                node: PROTOCOL,
                edge: hello.protocol,
            });
        }
        self.state = State::Admitting;
        self.protocol = hello.protocol.min(PROTOCOL);
        self.edge_has = hello.have;
        self.actions.push_back(Action::Admit(hello));
    }

    fn handle_want(&mut self, wants: Vec<Want>) {
        if self.wants.len() + wants.len() > WANTS_IN_FLIGHT_MAX {
            return self.violation("more chunks are wanted than may be in flight");
        }
        self.wants.extend(wants);
    }

    fn handle_report(&mut self, report: Report) {
        if report.state == ReportState::Applied {
            self.edge_has = Some(report.manifest);
        }
        self.actions.push_back(Action::Note(report));
    }

    fn handle_telemetry(&mut self, batch: Batch) {
        if self.protocol < TELEMETRY_SINCE {
            return self.violation("telemetry was sent that was not asked for");
        }
        self.actions.push_back(Action::Count(batch));
    }

    /// A node that is behind its edge says nothing until it has caught up: the edge would only
    /// ignore it.
    fn consider_offer(&mut self) {
        let Some(newest) = &self.newest else { return };
        let newest = newest.manifest.manifest;
        self.offer = newest.standing(self.edge_has.as_ref()) != Standing::Older;
    }

    fn violation(&mut self, what: &str) {
        self.handle_refused(Refusal::Violation(what.to_owned()));
    }
}

/// A chunk as a patch over what the edge has, if both are here and that is worth it.
fn patch(chunks: &impl ChunkReader, wanted: Wanted) -> Option<Patch> {
    let read = |hash| chunks.read(&[hash], 1).pop().flatten();
    let chunk = read(wanted.hash)?;
    Patch::of(wanted, &read(wanted.base)?, &chunk)
}
