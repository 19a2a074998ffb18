//! The body of a request, read off the connection by whoever wants it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::Wire;
use crate::http1::Piece;
use crate::upstream::Broken;

/// The body of a request. As long as it lives, nobody else reads what belongs to it.
pub(super) struct RequestBody<S: AsyncRead + AsyncWrite + Unpin> {
    /// Until the body has ended.
    wire: Option<Rc<RefCell<Wire<S>>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RequestBody<S> {
    /// That of the request at hand, which has one.
    pub(super) fn new(wire: &Rc<RefCell<Wire<S>>>) -> Self {
        wire.borrow_mut().hold_body();
        Self {
            wire: Some(Rc::clone(wire)),
        }
    }

    fn end(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.borrow_mut().let_body_go();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for RequestBody<S> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Body for RequestBody<S> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let Some(wire) = &this.wire else {
            return Poll::Ready(None);
        };
        let piece = ready!(wire.borrow_mut().poll_body(cx));
        let has_ended = !wire.borrow().has_body();
        if has_ended || piece.is_err() {
            this.end();
        }
        Poll::Ready(match piece {
            Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::End) => None,
            Err(cut) => Some(Err(Broken::by(cut))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.wire.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = match &self.wire {
            None => Some(0),
            Some(wire) => wire.borrow().body_left(),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
