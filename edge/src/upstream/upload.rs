//! A request's body on its way to an origin, and what the waiting side wants to know of it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{Cause, ClientBody, IdleDeadline};
use crate::pace::{Pace, Rate};
use crate::turn;

/// A request's body.
#[derive(Debug)]
pub enum RequestBody {
    /// None.
    Empty,
    /// As it comes from the client. Boxed, because most requests have none.
    Streaming(Box<Streaming>),
}

/// A body that comes from a client.
#[derive(Debug)]
pub struct Streaming {
    incoming: ClientBody,
    idle: IdleDeadline,
    rate: Rate,
    pace: Pace,
    upload: Rc<Upload>,
}

/// How far a body is.
#[derive(Debug)]
pub struct Upload {
    progress: Cell<Instant>,
    waits_for_client: Cell<bool>,
    done: Cell<bool>,
    talks: Cell<bool>,
    fault: Cell<Option<ClientFault>>,
}

/// Why a body broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// The client stopped sending for too long, or sent too little.
    #[error("the client stopped sending the request's body, or was too slow")]
    Stalled,
    /// The client's connection broke, or what it sent was no body.
    #[error("the request's body broke off")]
    Broken,
}

/// A request's body that broke off. hyper resets a stream to an origin for the reason for which the
/// client's was reset, if it was: a call that is given up is seen as that, not as a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct BrokeOff {
    fault: ClientFault,
    #[source]
    cause: Option<Cause>,
}

impl From<BrokeOff> for ClientFault {
    fn from(broke_off: BrokeOff) -> Self {
        broke_off.fault
    }
}

impl RequestBody {
    /// A body, and how far it is where there is anything to send. The client may be silent for `idle`,
    /// and is asked for `rate` until its request is answered.
    #[must_use]
    pub fn new(incoming: ClientBody, idle: Duration, rate: Rate) -> (Self, Option<Rc<Upload>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let upload = Rc::new(Upload {
            progress: Cell::new(turn::now()),
            waits_for_client: Cell::new(false),
            done: Cell::new(false),
            talks: Cell::new(false),
            fault: Cell::new(None),
        });
        let streaming = Streaming {
            incoming,
            idle: IdleDeadline::new(idle),
            rate,
            pace: Pace::default(),
            upload: Rc::clone(&upload),
        };
        (Self::Streaming(Box::new(streaming)), Some(upload))
    }
}

impl Upload {
    /// When an origin that answers within `limit` of the last byte must have answered. While the
    /// client is what is waited for, that moment lies ahead.
    #[must_use]
    pub fn answer_due(&self, limit: Duration) -> Instant {
        let from = if self.waits_for_client.get() && !self.done.get() {
            Instant::now()
        } else {
            self.progress.get()
        };
        from + limit
    }

    /// Whether all of it has come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.get()
    }

    /// Whether the origin answers while the body is still being sent. As long as it does, the two talk:
    /// when one says something, and how much, is their matter, and the answer has a deadline of its
    /// own.
    pub fn talks(&self, talks: bool) {
        self.talks.set(talks);
    }

    /// Why the body broke off, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<ClientFault> {
        self.fault.get()
    }

    fn moved(&self) {
        self.progress.set(turn::now());
        self.waits_for_client.set(false);
    }

    fn broke(&self, fault: ClientFault, cause: Option<Cause>) -> BrokeOff {
        self.fault.set(Some(fault));
        BrokeOff { fault, cause }
    }
}

impl Streaming {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                self.upload.waits_for_client.set(true);
                self.pace.waits(turn::now());
                ready!(self.poll_stalled(cx));
                let stalled = self.upload.broke(ClientFault::Stalled, None);
                return Poll::Ready(Some(Err(stalled)));
            }
        };
        self.idle.arrived();
        self.upload.moved();
        Poll::Ready(match frame {
            Some(Ok(frame)) if self.is_too_slow(&frame) => {
                Some(Err(self.upload.broke(ClientFault::Stalled, None)))
            }
            Some(Ok(frame)) => {
                self.upload.done.set(self.incoming.is_end_stream());
                Some(Ok(frame))
            }
            Some(Err(broken)) => {
                let cause = broken.into_cause();
                Some(Err(self.upload.broke(ClientFault::Broken, cause)))
            }
            None => {
                self.upload.done.set(true);
                None
            }
        })
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.idle.poll_expired(cx));
            if !self.upload.talks.get() {
                return Poll::Ready(());
            }
            self.idle.arrived();
        }
    }

    /// What is complete is taken, however long it took.
    fn is_too_slow(&mut self, frame: &Frame<Bytes>) -> bool {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.pace.moved(bytes, turn::now);
        self.pace.is_too_slow(self.rate)
            && !self.upload.talks.get()
            && !self.incoming.is_end_stream()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(streaming) => streaming.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => streaming.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.incoming.size_hint(),
        }
    }
}
