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
use hyper::client::conn::http1::SendRequest;

use super::http2::Stream;
use super::pool::{Bucket, Gauge};
use super::{IdleDeadline, RequestBody};
use crate::cache::body::BrokeOff;
use crate::health::Occupancy;
use crate::metrics::Tally;

/// Why a response's body broke off. The client sees its connection or stream break, as it should.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The origin stopped sending for too long.
    #[error("the origin stopped sending the response's body")]
    Stalled,
    /// The origin's connection broke, or what it sent was no body.
    #[error("the response's body broke off")]
    Broken(#[source] hyper::Error),
    /// Another request fetched it, and that broke off.
    #[error(transparent)]
    Shared(#[from] BrokeOff),
}

/// A response's body.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    idle: IdleDeadline,
    lease: Option<Lease>,
    tally: Arc<Tally>,
}

/// What a response holds until its end.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) place: Place,
    pub(super) occupancy: Occupancy<Gauge>,
}

/// Where a response comes from.
#[derive(Debug)]
pub(super) enum Place {
    /// From a connection of its own, which goes back into the bucket.
    Http1(SendRequest<RequestBody>, Rc<Bucket>),
    /// From a stream.
    Http2(Stream),
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, idle: Duration, lease: Lease, tally: Arc<Tally>) -> Self {
        let mut body = Self {
            incoming,
            idle: IdleDeadline::new(idle),
            lease: Some(lease),
            tally,
        };
        if body.incoming.is_end_stream() {
            body.ended();
        }
        body
    }

    fn ended(&mut self) {
        let Some(Lease { place, occupancy }) = self.lease.take() else {
            return;
        };
        match place {
            Place::Http1(sender, bucket) => bucket.give(sender),
            Place::Http2(stream) => drop(stream),
        }
        drop(occupancy);
    }

    fn broke(&mut self, error: BodyError) -> BodyError {
        self.lease = None;
        self.tally.body_broke();
        error
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(this.idle.poll_expired(cx));
                return Poll::Ready(Some(Err(this.broke(BodyError::Stalled))));
            }
        };
        this.idle.arrived();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if this.incoming.is_end_stream() {
                    this.ended();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(this.broke(BodyError::Broken(error)))),
            None => {
                this.ended();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
