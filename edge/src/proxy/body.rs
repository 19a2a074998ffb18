//! The body of an answer, whoever made it. Boxed nowhere: an answer costs no allocation for its
//! shape.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::Flight;
use crate::access_log::Watch;
use crate::cache::body::Reader;
use crate::upstream::{BodyError, LoneBody, UpstreamBody};

/// What an answer consists of.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// Nothing, or no longer anything.
    #[default]
    Empty,
    /// These bytes.
    Whole(Bytes),
    /// What an origin sends.
    Upstream(UpstreamBody),
    /// What an origin sends to several.
    Shared(Reader),
    /// What an origin sends that did not agree to speak something else.
    Lone(Box<LoneBody>),
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Whole(bytes)
        }
    }
}

/// The body of an answer; its request is under way for as long as it lives.
#[derive(Debug)]
pub(super) struct AnswerBody {
    content: Content,
    /// Waits for the end, if the access log wants to know of it.
    watch: Option<Box<Watch>>,
    flight: Flight,
    /// Whether the last piece that was made has yet to be taken; looked at over HTTP/2 alone, where
    /// the socket does not tell.
    untaken: bool,
}

impl AnswerBody {
    pub(super) fn new(content: Content, flight: Flight, watch: Option<Box<Watch>>) -> Self {
        let mut body = Self {
            content,
            watch,
            flight,
            untaken: false,
        };
        body.note_end();
        body
    }

    fn note_end(&mut self) {
        if self.watch.is_some()
            && self.is_end_stream()
            && let Some(watch) = &mut self.watch
        {
            watch.ended();
        }
    }

    fn note(&mut self, frame: &Poll<Option<Result<Frame<Bytes>, BodyError>>>) {
        let Some(watch) = &mut self.watch else { return };
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                watch.sent(frame.data_ref().map_or(0, Bytes::len));
                self.note_end();
            }
            Poll::Ready(None) => watch.ended(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
    }

    /// hyper comes for a piece when the client has taken the one before.
    fn note_asked(&mut self) {
        if self.untaken {
            self.untaken = false;
            self.flight.piece_gone();
        }
    }

    fn note_given(&mut self) {
        if self.flight.is_http2() {
            self.untaken = true;
            self.flight.piece_made();
        }
    }

    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
            Content::Lone(body) => Pin::new(&mut **body).poll_frame(cx),
            Content::Shared(body) => body
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map_err(BodyError::from))),
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.note_asked();
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.note_asked();
        let polled = this.poll_content(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            this.note_given();
        }
        this.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Upstream(body) => body.is_end_stream(),
            Content::Shared(body) => body.is_ended(),
            Content::Lone(body) => body.is_end_stream(),
            Content::Empty => true,
            Content::Whole(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(body) => body.size_hint(),
            Content::Shared(body) => body.size_hint(),
            Content::Lone(body) => body.size_hint(),
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
