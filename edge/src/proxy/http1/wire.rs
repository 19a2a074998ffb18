//! A client's connection, which the task that serves it shares with the body of the request at hand: where
//! bytes come from, and which of them are whose.
//!
//! ```text
//!            .------------ of the head ------------.
//!   client --+---- of the body: to who reads that  +--> Wire.input
//!            '------ of the next head, perhaps ----'
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::request::{Head, Malformed, Reader};
use super::sending::Sending;
use crate::http1::{Decoder, Input, Piece, Unchunked};

/// What a client that announced a body is told when the body is wanted (RFC 9110, section 10.1.1).
const GO_AHEAD: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How much is read at first of a client that was silent: what a request's head mostly takes.
const LOOK_BYTES: usize = 2 * 1024;

/// How much of a body that nobody wants any more is read to get at the next request. Beyond, a new connection
/// costs less.
const UNWANTED_BYTES_MAX: usize = 64 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Wire<S> {
    /// Until the connection has ended.
    stream: Option<S>,
    input: Input,
    reader: Reader,
    /// What is left of the body of the request at hand.
    body: Decoder,
    /// Whether somebody holds that body.
    is_held: bool,
    /// What is left to be told to a client that waits for it.
    go_ahead: &'static [u8],
    /// Whether a body has broken off, behind which nothing can be told apart.
    is_broken: bool,
    /// Who waits for the body to be read to its end, or let go.
    waits: Option<Waker>,
}

/// What a client's bytes begin with.
#[derive(Debug)]
pub(super) enum Begun {
    /// A request.
    Request(Head),
    /// Nothing, and nothing of a request is here.
    Nothing,
    /// Nothing: the client has ended.
    End,
}

/// Why a request's body has no next piece.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// The connection broke, or ended too soon.
    #[error("the connection ended within the request's body")]
    Connection(#[from] io::Error),
    /// What came is no body.
    #[error(transparent)]
    Unchunked(#[from] Unchunked),
}

/// Why there is no next request.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum NoRequest {
    /// The connection broke, or ended too soon.
    #[error("the connection ended within a request")]
    Connection(#[from] io::Error),
    /// What came is no request.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: Some(stream),
            input: Input::new(),
            reader: Reader::default(),
            body: Decoder::ended(),
            is_held: false,
            go_ahead: &[],
            is_broken: false,
            waits: None,
        }
    }

    /// The stream, and what was read of it and is nobody's.
    pub(super) fn take_stream(&mut self) -> Option<(S, Bytes)> {
        let rest = std::mem::replace(&mut self.input, Input::new()).into_rest();
        self.is_broken = true;
        Some((self.stream.take()?, rest))
    }

    /// Waits for a client that is silent, and says whether it has said anything before its end. Until then
    /// nothing is held for it.
    pub(super) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = [0; LOOK_BYTES];
        let mut buffer = ReadBuf::new(&mut room);
        ready!(open(&mut self.stream)?.poll_read(cx, &mut buffer))?;
        self.input.put(buffer.filled());
        Poll::Ready(Ok(!buffer.filled().is_empty()))
    }

    /// Gives back what it does not need while the client is silent.
    pub(super) fn rest(&mut self) {
        self.input = Input::new();
    }

    /// Reads the next request's head, and its fields into `headers`, which is empty. Whoever cannot wait is
    /// told that nothing is here where that is so.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
        can_wait: bool,
    ) -> Poll<Result<Begun, NoRequest>> {
        loop {
            if !self.input.ready.is_empty()
                && let Some(mut head) = self.reader.read(&mut self.input.ready, headers)?
            {
                self.body = std::mem::replace(&mut head.body, Decoder::ended());
                self.go_ahead = match head.awaits_go_ahead {
                    true if !self.body.has_ended() => GO_AHEAD,
                    _ => &[],
                };
                return Poll::Ready(Ok(Begun::Request(head)));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) if self.input.is_empty() => {
                    return Poll::Ready(Ok(Begun::End));
                }
                Poll::Ready(Ok(0)) => {
                    let early = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(early.into()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending if !can_wait && self.input.is_empty() => {
                    return Poll::Ready(Ok(Begun::Nothing));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether the client has gone while it waits for an answer. What else it sends stays where it is.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.body.has_ended() || !self.input.is_empty() || self.is_broken {
            return Poll::Pending;
        }
        match ready!(self.poll_more(cx)) {
            Ok(1..) => Poll::Pending,
            Ok(0) | Err(_) => Poll::Ready(()),
        }
    }

    /// Whether the request at hand has a body.
    pub(super) fn has_body(&self) -> bool {
        !self.body.has_ended()
    }

    /// Takes the body of the request at hand.
    pub(super) fn hold_body(&mut self) {
        self.is_held = true;
    }

    /// Lets the body go. What of it was not read is nobody's.
    pub(super) fn let_body_go(&mut self) {
        self.is_held = false;
        self.wake_who_waits();
    }

    /// What is left of the body, where that is known.
    pub(super) fn body_left(&self) -> Option<u64> {
        self.body.bytes_left()
    }

    /// Waits for the next piece of the body.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Cut>> {
        let polled = self.poll_piece(cx);
        if let Poll::Ready(Err(_)) = &polled {
            self.is_broken = true;
        }
        if polled.is_ready() && (self.is_broken || self.body.has_ended()) {
            self.wake_who_waits();
        }
        polled
    }

    /// The answer begins: nobody is told to go ahead any more.
    pub(super) fn answer_begins(&mut self) {
        // What was begun to be said is said to its end, or the answer would not be understood.
        if self.go_ahead.len() == GO_AHEAD.len() {
            self.go_ahead = &[];
        }
    }

    /// Waits until everything was written that was begun to be said to a client that waited for it.
    pub(super) fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.go_ahead.is_empty() {
            let count = ready!(open(&mut self.stream)?.poll_write(cx, self.go_ahead))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.go_ahead = &self.go_ahead[count..];
            if self.go_ahead.is_empty() {
                ready!(open(&mut self.stream)?.poll_flush(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// After an answer: waits until whoever reads the request's body is done with it, and says whether
    /// what comes next is a request. Of what nobody wants, what is here already is read.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut left = UNWANTED_BYTES_MAX;
        loop {
            if self.is_broken {
                return Poll::Ready(false);
            }
            if self.body.has_ended() {
                return Poll::Ready(true);
            }
            if self.is_held {
                self.waits = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.go_ahead = &[];
            match self.poll_piece(cx) {
                Poll::Ready(Ok(Piece::Data(data))) if data.len() < left => left -= data.len(),
                Poll::Ready(Ok(Piece::Trailers(_) | Piece::End)) => {}
                Poll::Ready(Ok(Piece::Data(_)) | Err(_)) | Poll::Pending => {
                    return Poll::Ready(false);
                }
            }
        }
    }

    /// Writes what there is of an answer.
    pub(super) fn poll_write(
        &mut self,
        sending: &mut Sending,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        sending.poll_drain(open(&mut self.stream)?, cx)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Cut>> {
        loop {
            if let Some(piece) = self.body.read(&mut self.input.ready)? {
                return Poll::Ready(Ok(piece));
            }
            ready!(self.poll_told(cx))?;
            if ready!(self.poll_more(cx))? == 0 {
                let early = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Poll::Ready(Err(early.into()));
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_more(open(&mut self.stream)?, cx)
    }

    fn wake_who_waits(&mut self) {
        if let Some(waits) = self.waits.take() {
            waits.wake();
        }
    }
}

/// The stream, unless the connection has ended.
fn open<S: Unpin>(stream: &mut Option<S>) -> io::Result<Pin<&mut S>> {
    let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    Ok(Pin::new(stream))
}
