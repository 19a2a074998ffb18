//! The body of an answer, whoever made it. Boxed nowhere: an answer costs no allocation for its
//! shape.
//!
//! Over HTTP/2, hyper comes for the next piece of an answer when it could hand on the one before, whether
//! or not that was sent, and a client may have many answers that it does not take. So pieces have a
//! bound there, and so has what a connection holds of them: see [`Flight::poll_room`].

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::Flight;
use crate::access_log::Watch;
use crate::cache::body::Reader;
use crate::upstream::{BodyError, LoneBody, Upload, UpstreamBody};

/// The largest piece that HTTP/2 is given at once, which is as much as is read from an origin at once: an
/// answer of megabytes would otherwise be hyper's with its first byte, and nobody would know how much of
/// it the client takes.
const HTTP2_PIECE_BYTES_MAX: usize = 64 * 1024;

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
    /// What an origin sends while it is still being sent the request's body.
    Beside(Box<Beside>),
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

/// An answer that began before its request's body had ended.
#[derive(Debug)]
pub(super) struct Beside {
    body: UpstreamBody,
    upload: Rc<Upload>,
}

impl Content {
    /// The same, where `upload` may still go on.
    pub(super) fn beside(self, upload: Option<Rc<Upload>>) -> Self {
        match (self, upload) {
            (Self::Upstream(body), Some(upload)) if !upload.is_done() => {
                upload.talks(true);
                Self::Beside(Box::new(Beside { body, upload }))
            }
            (content, _) => content,
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.upload.talks(false);
    }
}

/// The body of an answer; its request is under way for as long as it lives.
#[derive(Debug)]
pub(super) struct AnswerBody {
    content: Content,
    /// Waits for the end, if the access log wants to know of it.
    watch: Option<Box<Watch>>,
    flight: Flight,
    /// What was made and has yet to be taken; looked at where streams have windows of their own, of
    /// which the socket does not tell.
    untaken: Untaken,
}

/// A piece that was made, for as long as it is not taken.
#[derive(Debug, Default)]
struct Untaken {
    /// Whether a part of it was given away and has yet to be taken.
    given: bool,
    /// What of it was not given away yet.
    rest: Bytes,
    /// How much memory it holds that nobody else does.
    held: usize,
}

impl AnswerBody {
    pub(super) fn new(content: Content, flight: Flight, watch: Option<Box<Watch>>) -> Self {
        let mut body = Self {
            content,
            watch,
            flight,
            untaken: Untaken::default(),
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

    /// Whoever sends it comes for a piece when it could hand on the one before.
    fn note_asked(&mut self) {
        if self.untaken.given {
            self.untaken.given = false;
            self.flight.piece_gone();
        }
        if self.untaken.rest.is_empty() {
            self.let_go();
        }
    }

    /// What was made is not held any more.
    fn let_go(&mut self) {
        let held = std::mem::take(&mut self.untaken.held);
        if held > 0 {
            self.flight.let_go(held);
        }
    }

    /// The next piece for a stream: no larger than it may be, and none while the connection holds too
    /// much.
    fn poll_small(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.note_asked();
        if self.untaken.rest.is_empty() {
            ready!(self.flight.poll_room(cx));
            match ready!(self.poll_content(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.hold(data),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        let rest = &mut self.untaken.rest;
        let piece = rest.split_to(rest.len().min(HTTP2_PIECE_BYTES_MAX));
        self.untaken.given = true;
        self.flight.piece_made(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// All of it is made, and some of it may wait for the client.
    pub(super) fn awaits_client(&mut self) {
        if !self.untaken.given {
            self.untaken.given = true;
            self.flight.piece_made(0);
        }
    }

    fn hold(&mut self, data: Bytes) {
        // What is kept is there once for everybody who reads it.
        if !matches!(self.content, Content::Empty | Content::Shared(_)) {
            self.untaken.held = data.len();
            self.flight.hold(data.len());
        }
        self.untaken.rest = data;
    }

    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
            Content::Beside(beside) => Pin::new(&mut beside.body).poll_frame(cx),
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
        self.let_go();
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
        let polled = if this.flight.is_multiplexed() {
            this.poll_small(cx)
        } else {
            this.poll_content(cx)
        };
        this.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        if !self.untaken.rest.is_empty() {
            return false;
        }
        match &self.content {
            Content::Upstream(body) => body.is_end_stream(),
            Content::Beside(beside) => beside.body.is_end_stream(),
            Content::Shared(body) => body.is_ended(),
            Content::Lone(body) => body.is_end_stream(),
            Content::Empty => true,
            Content::Whole(_) => false,
        }
    }

    /// Asked for before the first piece is made.
    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(body) => body.size_hint(),
            Content::Beside(beside) => beside.body.size_hint(),
            Content::Shared(body) => body.size_hint(),
            Content::Lone(body) => body.size_hint(),
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::client::Scheme;
    use super::super::connection::Connection;
    use super::*;

    /// How large the pieces are in which so many bytes come.
    async fn pieces(length: usize, http2: bool) -> Vec<usize> {
        let connection = Connection::new(([127, 0, 0, 1], 1).into(), Scheme::Http);
        let flight = Rc::new(connection).begin(http2);
        let bytes: Bytes = (0..length).map(|place| place.to_le_bytes()[0]).collect();
        let mut body = AnswerBody::new(bytes.clone().into(), flight, None);
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        while !body.is_end_stream() {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            sizes.push(piece.len());
            all.extend_from_slice(&piece);
        }
        assert!(body.frame().await.is_none());
        assert_eq!(all, bytes);
        sizes
    }

    #[tokio::test]
    async fn pieces_are_small_over_http2() {
        const MAX: usize = HTTP2_PIECE_BYTES_MAX;
        for (length, expect) in [
            (0, &[][..]),
            (1, &[1]),
            (MAX, &[MAX]),
            (2 * MAX + 1, &[MAX, MAX, 1]),
        ] {
            assert_eq!(pieces(length, true).await, expect);
        }
        assert_eq!(pieces(3 * MAX, false).await, [3 * MAX]);
    }
}
