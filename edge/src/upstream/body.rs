//! A response's body on its way from an origin. When it ends, the connection goes back to the
//! pool; when it is dropped before, a connection of HTTP/1.1 is closed, and a stream of HTTP/2
//! reset.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http1::{Link, LinkError};
use super::http2::Stream;
use super::pool::{Bucket, Gauge};
use super::{Cause, IdleDeadline};
use crate::cache::body::BrokeOff;
use crate::health::Occupancy;
use crate::http1::Piece;
use crate::metrics::Tally;

/// Why a response's body broke off. The client sees its connection or stream break, as it should.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The origin stopped sending for too long.
    #[error("the origin stopped sending the response's body")]
    Stalled,
    /// The origin's connection broke, or what it sent was no body.
    #[error("the response's body broke off")]
    Broken(#[source] Cause),
    /// Another request fetched it, and that broke off.
    #[error(transparent)]
    Shared(#[from] BrokeOff),
}

/// A response's body. Behind one pointer, because it goes through many hands on its way to a client.
#[derive(Debug)]
pub struct UpstreamBody(Option<Box<Flow>>);

/// A body that has not ended, or not well.
#[derive(Debug)]
struct Flow {
    /// Until it breaks off.
    lease: Option<Lease>,
    idle: IdleDeadline,
    /// Why it broke off, until that was said.
    broken: Option<BodyError>,
    tally: Arc<Tally>,
}

/// What a response holds until its end.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) place: Place,
    pub(super) trial: Trial,
}

/// A target's test by one request. It is told of its success at the end of the response's body, or
/// when nobody wants the rest: one whose bodies break off would otherwise succeed with each head.
#[derive(Debug)]
pub(super) struct Trial {
    occupancy: Occupancy<Gauge>,
    passes: bool,
}

/// Where a response comes from.
#[derive(Debug)]
pub(super) enum Place {
    /// From a connection of its own, which goes back into the bucket.
    Http1(Box<Link>, Rc<Bucket>),
    /// From a stream.
    Http2 {
        incoming: Incoming,
        /// Its place on the connection, which goes after it.
        _stream: Stream,
    },
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl UpstreamBody {
    pub(super) fn new(idle: Duration, lease: Lease, tally: &Arc<Tally>) -> Self {
        if lease.place.has_ended() {
            lease.end();
            return Self(None);
        }
        Self(Some(Box::new(Flow {
            lease: Some(lease),
            idle: IdleDeadline::new(idle),
            broken: None,
            tally: Arc::clone(tally),
        })))
    }

    /// The head is one of success, which is the target's if the body comes to its end as well. Says
    /// whether there is anything to come.
    pub(crate) fn promise(&mut self) -> bool {
        let flow = self.0.as_mut();
        match flow.and_then(|flow| flow.lease.as_mut()) {
            Some(lease) => {
                lease.trial.passes = true;
                true
            }
            None => false,
        }
    }

    /// Gives the connection back at the body's end.
    fn end_if_ended(&mut self) {
        let lease = self.0.as_ref().and_then(|flow| flow.lease.as_ref());
        if lease.is_some_and(|lease| lease.place.has_ended()) {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(lease) = self.0.take().and_then(|flow| flow.lease) {
            lease.end();
        }
    }
}

impl Flow {
    /// Says why at the next call, so that what came before is sent to the client in between: the
    /// server drops with a body that breaks what it has not written yet.
    fn broke(&mut self, error: BodyError, cx: &Context<'_>) -> Polled {
        if let Some(Lease { trial, .. }) = self.lease.take()
            && !error.is_of_client()
        {
            trial.fail();
        }
        self.tally.body_broke();
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Lease {
    /// Gives a connection back whose response has ended.
    fn end(self) {
        if let Place::Http1(link, bucket) = self.place
            && link.decoder().has_ended()
        {
            bucket.give(link);
        }
    }
}

impl Trial {
    pub(super) fn new(occupancy: Occupancy<Gauge>) -> Self {
        Self {
            occupancy,
            passes: false,
        }
    }

    fn fail(mut self) {
        self.passes = false;
        self.occupancy.target().as_ref().failed();
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.passes {
            self.occupancy.target().as_ref().succeeded();
        }
    }
}

impl BodyError {
    /// Whether it is the client that broke off, with the body of the request: this takes the
    /// response along.
    fn is_of_client(&self) -> bool {
        let Self::Broken(cause) = self else {
            return false;
        };
        if let Some(error) = cause.downcast_ref::<LinkError>() {
            return matches!(error, LinkError::Client(_));
        }
        let source = cause.source();
        let reset = source.and_then(|source| source.downcast_ref::<h2::Error>());
        reset.is_some_and(|error| error.is_reset() && !error.is_remote() && !error.is_library())
    }
}

impl Place {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match self {
            Self::Http1(link, _) => link.poll_piece(cx).map(|piece| match piece {
                Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
                Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Ok(Piece::End) => None,
                Err(error) => Some(Err(error.into())),
            }),
            Self::Http2 { incoming, .. } => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Http1(link, _) => link.decoder().has_ended(),
            Self::Http2 { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(link, _) => {
                let left = link.decoder().bytes_left();
                left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Http2 { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let Some(flow) = &mut this.0 else {
            return Poll::Ready(None);
        };
        let Some(lease) = &mut flow.lease else {
            let broken = flow.broken.take();
            this.0 = None;
            return Poll::Ready(broken.map(Err));
        };
        let Poll::Ready(frame) = lease.place.poll_frame(cx) else {
            ready!(flow.idle.poll_expired(cx));
            return flow.broke(BodyError::Stalled, cx);
        };
        flow.idle.arrived();
        match frame {
            Some(Ok(frame)) => {
                this.end_if_ended();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => flow.broke(BodyError::Broken(error), cx),
            None => {
                this.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let lease = self.0.as_ref().and_then(|flow| flow.lease.as_ref());
        match lease {
            Some(lease) => lease.place.size_hint(),
            None if self.0.is_none() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::ClientFault;
    use super::*;

    #[test]
    fn a_client_that_breaks_off_takes_the_response_along() {
        for (error, of_client) in [
            (LinkError::Client(ClientFault::Stalled), true),
            (
                LinkError::Closed(io::ErrorKind::UnexpectedEof.into()),
                false,
            ),
        ] {
            let error = BodyError::Broken(error.into());
            assert_eq!(error.is_of_client(), of_client, "{error:?}");
        }
        assert!(!BodyError::Stalled.is_of_client());
    }
}
