//! One edge's connection: moves bytes between QUIC and its [`Feeder`], and the feeder's words
//! into the fleet. Each connection has a task of its own, so none waits for another.

use std::time::Duration;

use bytes::{Buf, Bytes};
use domain::id::EnvironmentId;
use edge_protocol::feeder::{Action, Feeder};
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::limits::GREETING_MAX;
use edge_protocol::{
    Hello, ManifestRef, Moment, Refusal, Report, ReportState, ToEdge, ToNode, Traced,
};
use platform::tls::EdgeCertificate;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::admission::{Admitted, admit, welcome};
use super::certificates;
use super::feed::{EdgeChanges, Manifests, Newest};
use crate::fleet::Seat;

/// What is taken from the stream at once.
const READ_BYTES: usize = 16 * 1024;

/// How long the last frame may take to be sent, and to arrive, before the connection is closed
/// regardless.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// How long a certificate goes unexamined on a connection that stays open. It is looked at earlier where
/// it ends earlier.
const CERTIFICATE_LOOK_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The close code of a connection whose last frame said why.
const CLOSE_REFUSED: VarInt = VarInt::from_u32(1);

pub(super) struct Session {
    shared: Shared,
    connection: Connection,
    shown: Option<EdgeCertificate>,
    /// What it was let in to, and what tells when it may have been turned away.
    belongs: Option<(EnvironmentId, EdgeChanges)>,
    /// When its certificate is looked at again.
    look: Instant,
    feeder: Feeder,
    start: Instant,
    decoder: Decoder,
    /// What of the current frame is yet to be written.
    unsent: Bytes,
    seat: Option<Seat>,
    manifests: Option<Manifests>,
    /// The last manifest that was sent, and when this node had it, until the edge uses it. What an edge
    /// repeats of a manifest that another node sent is not measured.
    awaited: Option<(ManifestRef, Instant)>,
    /// When the last ping that is not answered yet was sent.
    pinged: Option<Instant>,
    /// Why the edge is no longer served, and since when.
    refusal: Option<(Refusal, Instant)>,
}

/// Serves a connection until either side ends it.
pub(super) async fn serve(
    shared: Shared,
    connection: Connection,
    shown: Option<EdgeCertificate>,
    draining: CancellationToken,
) {
    let Some((send, receive)) = accept_stream(&connection, &draining).await else {
        connection.close(CLOSE_REFUSED, b"no stream was opened");
        return;
    };
    let start = Instant::now();
    let mut session = Session {
        shared,
        connection,
        shown,
        belongs: None,
        look: start,
        feeder: Feeder::new(Moment::default()),
        start,
        decoder: Decoder::default(),
        unsent: Bytes::new(),
        seat: None,
        manifests: None,
        awaited: None,
        pinged: None,
        refusal: None,
    };
    session.run(send, receive, draining).await;
}

async fn accept_stream(
    connection: &Connection,
    draining: &CancellationToken,
) -> Option<(SendStream, RecvStream)> {
    tokio::select! {
        accepted = timeout(GREETING_MAX, connection.accept_bi()) => accepted.ok()?.ok(),
        () = draining.cancelled() => None,
    }
}

impl Session {
    async fn run(
        &mut self,
        mut send: SendStream,
        mut receive: RecvStream,
        draining: CancellationToken,
    ) {
        let mut drained = false;
        loop {
            self.act();
            if !self.fill() {
                return self.say_farewell(send).await;
            }
            let deadline = self.deadline();
            tokio::select! {
                written = send.write(&self.unsent), if !self.unsent.is_empty() => match written {
                    Ok(count) => self.unsent.advance(count),
                    Err(error) => return self.lost(&error),
                },
                read = receive.read_chunk(READ_BYTES, true) => match read {
                    Ok(Some(chunk)) => self.received(&chunk.bytes),
                    Ok(None) => return self.lost(&"the edge closed its stream"),
                    Err(error) => return self.lost(&error),
                },
                newest = next(&mut self.manifests) => if let Some(newest) = newest {
                    self.feeder.handle_offer((*newest.offer).clone());
                },
                () = sleep_until(deadline) => match &self.refusal {
                    Some((refusal, _)) => return self.lost(refusal),
                    None => self.feeder.handle_timeout(self.now()),
                },
                () = changed(&mut self.belongs) => self.check_welcome(),
                () = sleep_until(self.look), if self.belongs.is_some() => self.check_certificate(),
                () = draining.cancelled(), if !drained => {
                    drained = true;
                    self.feeder.handle_refused(Refusal::Draining);
                }
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// When something is due: the feeder's next step, or the end of its last one.
    fn deadline(&self) -> Instant {
        let farewell = self
            .refusal
            .as_ref()
            .map(|(_, since)| *since + FAREWELL_MAX);
        let feeder = self
            .feeder
            .poll_timeout()
            .map(|moment| self.start + moment.since_start());
        farewell
            .or(feeder)
            .unwrap_or_else(|| Instant::now() + FAREWELL_MAX)
    }

    fn received(&mut self, bytes: &[u8]) {
        if let Some(seat) = &self.seat {
            seat.heard();
        }
        self.decoder.push(bytes);
        loop {
            match self.decoder.next_message::<ToNode>() {
                Ok(Some(frame)) => {
                    if let ToNode::Pong = frame {
                        self.note_pong();
                    }
                    self.feeder.handle_frame(self.now(), frame);
                    self.act();
                }
                Ok(None) => return,
                Err(error) => {
                    return self
                        .feeder
                        .handle_refused(Refusal::Violation(error.to_string()));
                }
            }
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.feeder.poll_action() {
            match action {
                Action::Admit(hello) => self.admit(&hello),
                Action::Note(report) => {
                    if let ReportState::Rejected { reason } = &report.state {
                        tracing::warn!(edge = self.edge(), manifest = %report.manifest, reason, "an edge rejected a manifest");
                    }
                    self.shared.metrics.reported(&report);
                    self.measure(&report);
                    if let Some(seat) = &self.seat {
                        seat.reported(&report);
                    }
                }
                Action::Count(batch) => {
                    if let Some(seat) = &self.seat {
                        seat.counted(batch);
                    }
                }
                Action::Health(report) => {
                    if let Some(seat) = &self.seat {
                        seat.health(report);
                    }
                }
                Action::Trust(report) => {
                    if let Some(problem) = &report.problem {
                        tracing::warn!(
                            edge = self.edge(),
                            problem,
                            "an edge does not trust all whom it should"
                        );
                    }
                    self.shared.metrics.trust_reported(&report);
                    if let Some(seat) = &self.seat {
                        seat.trust(report);
                    }
                }
                Action::Close(refusal) => self.refusal = Some((refusal, Instant::now())),
            }
        }
    }

    /// Durations are measured here, by one clock, from what this node saw itself.
    fn note_sent(&mut self, frame: &ToEdge) {
        match frame {
            ToEdge::Manifest(signed) => {
                let manifest = signed.manifest;
                let newest = self.manifests.as_ref().and_then(|it| it.borrow().clone());
                let learned = newest
                    .filter(|newest| newest.manifest() == manifest)
                    .and_then(|newest| newest.learned);
                self.awaited = learned.map(|learned| (manifest, learned));
                if let Some(seat) = &self.seat {
                    seat.sent(manifest, learned);
                }
            }
            ToEdge::Ping => self.pinged = Some(Instant::now()),
            _ => {}
        }
    }

    /// What is told before a manifest: in which trace it was published, if this node knows and the edge takes that.
    fn traced(&self, frame: &ToEdge) -> Option<ToEdge> {
        let ToEdge::Manifest(signed) = frame else {
            return None;
        };
        let manifest = signed.manifest;
        let newest = self.manifests.as_ref()?.borrow();
        let newest = newest.as_ref().filter(|it| it.manifest() == manifest)?;
        let place = newest.trace.filter(|_| self.feeder.takes_traces())?;
        Some(ToEdge::Trace(Traced {
            manifest,
            traceparent: place.to_string(),
        }))
    }

    fn measure(&mut self, report: &Report) {
        let applied = |awaited: &mut (ManifestRef, Instant)| {
            report.state == ReportState::Applied && report.manifest == awaited.0
        };
        if let Some((_, learned)) = self.awaited.take_if(applied) {
            self.shared.metrics.propagated(learned.elapsed());
        }
    }

    fn note_pong(&mut self) {
        if let (Some(pinged), Some(seat)) = (self.pinged.take(), &self.seat) {
            seat.answered_ping(pinged.elapsed());
        }
    }

    fn admit(&mut self, hello: &Hello) {
        let Shared {
            control,
            feeds,
            signer,
            fleet,
            ..
        } = &self.shared;
        match admit(&**control, (feeds, signer), self.shown.as_ref(), hello) {
            Ok(Admitted {
                welcome,
                offer,
                manifests,
                edges,
                put,
            }) => {
                tracing::debug!(
                    edge = hello.edge_id,
                    environment = hello.environment,
                    "an edge connected"
                );
                // Where the cluster has put an edge, it is, whatever it says.
                let mut hello = hello.clone();
                if let Some((region, labels)) = put {
                    (hello.region, hello.labels) = (region, labels);
                }
                let environment = welcome.environment_id.clone();
                self.seat = Some(fleet.seat(&environment, &hello));
                self.manifests = Some(manifests);
                self.belongs = Some((environment.clone(), edges));
                self.check_certificate();
                // It ends with the connection.
                tokio::spawn(certificates::serve(
                    self.shared.clone(),
                    self.connection.clone(),
                    environment,
                ));
                self.feeder
                    .handle_admitted(self.now(), welcome, (*offer).clone());
            }
            Err(refusal) => self.feeder.handle_refused(refusal),
        }
    }

    /// Whether the edge is still welcome.
    fn check_welcome(&mut self) {
        let (Some((environment, _)), Some(shown)) = (&self.belongs, &self.shown) else {
            return;
        };
        if let Err(refusal) = welcome(&*self.shared.control, environment, shown) {
            self.feeder.handle_refused(refusal);
        }
    }

    /// Whether the certificate of the handshake still holds. An edge that has another one by now comes back
    /// with that.
    fn check_certificate(&mut self) {
        let until_s = self.shown.as_ref().map_or(0, |shown| shown.not_after_s);
        let now_s = self.shared.clock.now().0 / 1000;
        match until_s.checked_sub(now_s) {
            Some(left_s) => {
                let left = Duration::from_secs(left_s.saturating_add(1));
                self.look = Instant::now() + left.min(CERTIFICATE_LOOK_MAX);
            }
            None => {
                self.look = Instant::now() + CERTIFICATE_LOOK_MAX;
                self.feeder.handle_refused(Refusal::Draining);
            }
        }
    }

    /// The edge's name, for people.
    fn edge(&self) -> Option<&str> {
        self.shown.as_ref().map(|shown| shown.id.as_str())
    }

    /// Takes the next frame, if the last one is written. False once there is none to come.
    fn fill(&mut self) -> bool {
        if !self.unsent.is_empty() {
            return true;
        }
        let Some(frame) = self.feeder.poll_transmit(&self.shared.shelf) else {
            return self.refusal.is_none();
        };
        self.shared.metrics.sent(&frame);
        self.note_sent(&frame);
        let traced = self.traced(&frame).and_then(|traced| encode(&traced).ok());
        match encode(&frame) {
            Ok(bytes) => {
                self.unsent = match traced {
                    None => Bytes::from(bytes),
                    Some(before) => [before, bytes].concat().into(),
                };
            }
            Err(error) => self
                .feeder
                .handle_refused(Refusal::Violation(error.to_string())),
        }
        true
    }

    /// Everything was written; gives the last frame, which says why, time to arrive.
    async fn say_farewell(&self, mut send: SendStream) {
        let Some((refusal, _)) = &self.refusal else {
            return;
        };
        if *refusal == Refusal::Draining {
            tracing::debug!(edge = self.edge(), "an edge was sent on");
        } else {
            tracing::warn!(edge = self.edge(), from = %self.connection.remote_address(), %refusal, "an edge was refused");
        }
        let _ = send.finish();
        let _ = timeout(FAREWELL_MAX, send.stopped()).await;
        self.connection
            .close(CLOSE_REFUSED, refusal.to_string().as_bytes());
    }

    fn lost(&self, reason: &dyn std::fmt::Display) {
        tracing::debug!(edge = self.edge(), %reason, "an edge is gone");
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

/// Returns when who belongs to the environment has changed; never, before the edge does.
async fn changed(belongs: &mut Option<(EnvironmentId, EdgeChanges)>) {
    if let Some((_, edges)) = belongs
        && edges.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// The next manifest; never, where nothing is followed or nothing will come any more.
async fn next(manifests: &mut Option<Manifests>) -> Option<Newest> {
    if let Some(followed) = manifests
        && followed.changed().await.is_ok()
    {
        return followed.borrow_and_update().clone();
    }
    std::future::pending().await
}
