//! One connection to a node: moves bytes between QUIC and the follower, and does what it asks.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Buf, Bytes};
use edge_protocol::follower::{Action, CloseReason};
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::{ToEdge, ToNode};
use injection::{Point, point};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Certificates, Core, Ended, next_health};

/// What is taken from the stream at once.
const READ_BYTES: usize = 64 * 1024;

/// How long the last frame may take to be sent, and to arrive: it may say why a node is left.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

const CLOSE_NORMAL: VarInt = VarInt::from_u32(0);
const CLOSE_REFUSED: VarInt = VarInt::from_u32(1);

struct Session<'a> {
    core: &'a mut Core,
    connection: &'a Connection,
    decoder: Decoder,
    /// What of the current frame is yet to be written.
    unsent: Bytes,
    /// Why the node is left, and since when.
    closing: Option<(CloseReason, Instant)>,
}

/// Follows a node until either side ends it.
pub(super) async fn run(
    core: &mut Core,
    connection: &Connection,
    stop: &CancellationToken,
) -> Ended {
    let (send, receive) = match connection.open_bi().await {
        Ok(streams) => streams,
        Err(error) => {
            return Ended {
                reason: error.to_string(),
                served: Duration::ZERO,
            };
        }
    };
    core.follower.handle_connected(core.now());
    let certificates = core.certificates.clone();
    let mut certificates = std::pin::pin!(follow(certificates, connection.clone()));
    let mut session = Session {
        core,
        connection,
        decoder: Decoder::default(),
        unsent: Bytes::new(),
        closing: None,
    };
    let reason = tokio::select! {
        reason = session.run(send, receive, stop) => reason,
        never = &mut certificates => match never {},
    };
    core.follower.handle_disconnected();
    let served = core
        .welcomed
        .take()
        .map_or(Duration::ZERO, |since| since.elapsed());
    Ended { reason, served }
}

/// Comes to certificates beside everything else, and has no say in when the connection ends.
async fn follow(certificates: Option<Certificates>, connection: Connection) -> Infallible {
    if let Some(certificates) = certificates {
        let ended = certificates.follow(connection).await;
        tracing::debug!(%ended, "certificates are not followed any more on this connection");
    }
    std::future::pending().await
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut send: SendStream,
        mut receive: RecvStream,
        stop: &CancellationToken,
    ) -> String {
        loop {
            self.act();
            if let Some(reason) = self.fill() {
                return self.leave(send, &reason).await;
            }
            let deadline = self.deadline();
            tokio::select! {
                written = send.write(&self.unsent), if !self.unsent.is_empty() => match written {
                    Ok(count) => self.unsent.advance(count),
                    Err(error) => return self.lost(&error),
                },
                read = receive.read_chunk(READ_BYTES, true) => match read {
                    Ok(Some(chunk)) => {
                        let _ = point::pass(Point::BeforeEdgeReceive).await;
                        self.received(&chunk.bytes);
                        let _ = point::pass(Point::AfterEdgeReceive).await;
                    }
                    Ok(None) => return self.lost(&"the node closed its stream"),
                    Err(error) => return self.lost(&error),
                },
                done = self.core.applying.done() => self.core.applied(done),
                report = next_health(&mut self.core.health) => {
                    self.core.follower.handle_health(report);
                }
                () = sleep_until(deadline) => match &self.closing {
                    Some((reason, _)) => return self.lost(reason),
                    None => self.core.follower.handle_timeout(self.core.now()),
                },
                () = stop.cancelled() => {
                    self.connection.close(CLOSE_NORMAL, b"the edge is shutting down");
                    return "the edge is shutting down".to_owned();
                }
            }
        }
    }

    /// When something is due: the follower's next step, or the end of its last one.
    fn deadline(&self) -> Instant {
        let farewell = self
            .closing
            .as_ref()
            .map(|(_, since)| *since + FAREWELL_MAX);
        let follower = self
            .core
            .follower
            .poll_timeout()
            .map(|moment| self.core.start + moment.since_start());
        let telemetry = self
            .core
            .follower
            .may_send_telemetry()
            .then_some(self.core.telemetry_due);
        farewell
            .or_else(|| follower.into_iter().chain(telemetry).min())
            .unwrap_or_else(|| Instant::now() + FAREWELL_MAX)
    }

    fn received(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
        loop {
            let now = self.core.now();
            match self.decoder.next_message::<ToEdge>() {
                Ok(Some(frame)) => {
                    if let ToEdge::Trace(traced) = &frame {
                        self.core.spans.told(traced);
                    }
                    self.core.follower.handle_frame(now, frame);
                    self.core.follower.advance(now, &self.core.applying);
                }
                Ok(None) => return,
                Err(error) => return self.core.follower.handle_violation(error.to_string()),
            }
        }
    }

    /// Does what the follower asks.
    fn act(&mut self) {
        let now = self.core.now();
        self.core.follower.advance(now, &self.core.applying);
        self.core.tell();
        while let Some(action) = self.core.follower.poll_action() {
            match action {
                Action::Apply { manifest, chunks } => {
                    let span = self.core.spans.applying(manifest.manifest);
                    self.core.applying.begin(manifest, chunks, span);
                }
                Action::Trust(set) => self.core.applying.keep_trusted(set),
                Action::Close(reason) => self.closing = Some((reason, Instant::now())),
            }
        }
    }

    /// Takes the next frame, if the last one is written. Gives the reason to leave once there is
    /// one and nothing is left to be said.
    fn fill(&mut self) -> Option<CloseReason> {
        if !self.unsent.is_empty() {
            return None;
        }
        let frame = self.core.follower.poll_transmit();
        let Some(frame) = frame.or_else(|| self.core.telemetry()) else {
            return self.closing.as_ref().map(|(reason, _)| reason.clone());
        };
        if let ToNode::Report(report) = &frame {
            self.core.spans.reported(report);
        }
        match encode(&frame) {
            Ok(bytes) => self.unsent = Bytes::from(bytes),
            // No frame of ours is that large.
            Err(error) => self.core.follower.handle_violation(error.to_string()),
        }
        None
    }

    async fn leave(&self, mut send: SendStream, reason: &CloseReason) -> String {
        if !matches!(reason, CloseReason::Refused(_)) {
            let _ = send.finish();
            let _ = timeout(FAREWELL_MAX, send.stopped()).await;
        }
        self.lost(reason)
    }

    fn lost(&self, reason: &dyn std::fmt::Display) -> String {
        let reason = reason.to_string();
        self.connection.close(CLOSE_REFUSED, reason.as_bytes());
        reason
    }
}
