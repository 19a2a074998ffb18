//! A request's body as the client's connection gives it, whichever HTTP that speaks. hyper has a type
//! for HTTP/2; what comes otherwise is behind a pointer, so that nothing here knows how it is carried.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Cause;

/// The client's connection or stream broke, or what it sent was no body.
#[derive(Debug, Default, thiserror::Error)]
#[error("the request's body broke off")]
pub struct Broken {
    #[source]
    cause: Option<Cause>,
}

impl Broken {
    /// Broken by this. Where h2 has a reason for it, a stream to an origin is reset for the same.
    #[must_use]
    pub fn by(cause: impl Into<Cause>) -> Self {
        Self {
            cause: Some(cause.into()),
        }
    }

    pub(super) fn into_cause(self) -> Option<Cause> {
        self.cause
    }
}

/// A request's body.
pub enum ClientBody {
    /// None.
    Empty,
    /// By HTTP/2.
    Hyper(Incoming),
    /// By something else.
    Other(Pin<Box<dyn Body<Data = Bytes, Error = Broken>>>),
}

impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Hyper(incoming) => incoming.fmt(f),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

impl From<Incoming> for ClientBody {
    fn from(incoming: Incoming) -> Self {
        Self::Hyper(incoming)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Hyper(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Broken::by))),
            Self::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Hyper(incoming) => incoming.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Hyper(incoming) => incoming.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}
