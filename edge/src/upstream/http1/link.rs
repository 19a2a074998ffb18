//! A connection to an origin, and the exchange on it.
//!
//! While the response is awaited or read, the rest of the request is sent: an origin may answer
//! before it has read everything, and a proxy that sent first and read then would wait forever for
//! an origin that does both at once.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::outgoing::{Outgoing, SendError};
use super::response::{Head, Malformed, read_head};
use crate::http1::{BUFFER_BYTES_MAX, Decoder, Input, Piece};
use crate::upstream::ClientFault;
use crate::upstream::due::Due;
use crate::upstream::lead::Lead;

/// How many interim responses may precede a response: a server that processes for long says so
/// now and then, none says so a hundred times.
const INTERIM_MAX: u32 = 100;

/// What a connection is made of: of whichever kind, reading and writing through a pointer costs
/// nothing beside the system calls.
pub(in crate::upstream) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection.
pub(in crate::upstream) struct Link {
    stream: Box<dyn Stream>,
    input: Input,
    outgoing: Outgoing,
    /// What reads the response's body.
    decoder: Decoder,
    /// Whether the connection can have another exchange after this one.
    keeps: bool,
    /// Why the request could not be sent to its end.
    failed: Option<io::Error>,
    /// How many interim responses came before this one.
    interim: u32,
    /// When whoever waits has waited for too long. It stays with the connection, so that requests
    /// share one timer.
    pub(in crate::upstream) due: Due,
    /// Where it leads.
    pub(in crate::upstream) lead: Lead,
}

/// Why an exchange ended before its time.
#[derive(Debug, thiserror::Error)]
pub(in crate::upstream) enum LinkError {
    /// The connection ended.
    #[error("the connection ended")]
    Closed(#[source] io::Error),
    /// What came is no response.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The request's body broke off.
    #[error(transparent)]
    Client(ClientFault),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("input", &self.input)
            .field("outgoing", &self.outgoing)
            .field("decoder", &self.decoder)
            .field("keeps", &self.keeps)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A connection on which nothing was exchanged yet.
    pub(in crate::upstream) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            input: Input::new(),
            outgoing: Outgoing::default(),
            decoder: Decoder::ended(),
            keeps: true,
            failed: None,
            interim: 0,
            due: Due::default(),
            lead: Lead::default(),
        }
    }

    /// Whether the origin has left the connection as it was. What comes while nothing was asked for
    /// is its end, or answers a question that nobody put.
    pub(in crate::upstream) fn is_open(&mut self) -> bool {
        // Whoever waits for the response later registers then.
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_more(&mut cx).is_pending()
    }

    /// The buffer of the last request's head.
    pub(in crate::upstream) fn take_buffer(&mut self) -> Vec<u8> {
        self.outgoing.take_buffer()
    }

    /// Begins an exchange.
    pub(in crate::upstream) fn begin(&mut self, outgoing: Outgoing) {
        self.outgoing = outgoing;
        self.interim = 0;
    }

    /// Ends an exchange that has failed, and gives back what of it may be tried elsewhere.
    pub(in crate::upstream) fn give_up(&mut self) -> Outgoing {
        self.keeps = false;
        std::mem::take(&mut self.outgoing)
    }

    /// Sends what is there of the request and waits for the response's head, whose fields are read
    /// into `headers`.
    pub(in crate::upstream) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<Head, LinkError>> {
        self.send_on(cx)?;
        if self.failed.is_some() && !self.outgoing.is_begun() {
            // Whatever there is to be read answers nothing of ours.
            return Poll::Ready(Err(self.closed(io::ErrorKind::BrokenPipe.into())));
        }
        loop {
            if let Some(head) = self.read_head(headers)? {
                if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
                {
                    return Poll::Ready(Ok(self.take_up(head)));
                }
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    return Poll::Ready(Err(Malformed::Interim.into()));
                }
                headers.clear();
                continue;
            }
            match ready!(self.poll_more(cx)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Err(self.closed(io::ErrorKind::UnexpectedEof.into()))),
                Err(error) => return Poll::Ready(Err(self.closed(error))),
            }
        }
    }

    /// Waits for the next piece of the response's body.
    pub(in crate::upstream) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Piece, LinkError>> {
        self.send_on(cx)?;
        loop {
            let piece = self.decoder.read(&mut self.input.ready);
            if let Some(piece) = piece.map_err(Malformed::from)? {
                return Poll::Ready(Ok(piece));
            }
            match ready!(self.poll_more(cx)) {
                Ok(1..) => {}
                Ok(0) if self.decoder.ends_with_connection() => self.decoder = Decoder::ended(),
                Ok(0) => return Poll::Ready(Err(self.closed(io::ErrorKind::UnexpectedEof.into()))),
                Err(error) => return Poll::Ready(Err(self.closed(error))),
            }
        }
    }

    /// Sends the rest of the request, after its response has ended.
    pub(in crate::upstream) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sent = self.outgoing.poll_send(Pin::new(&mut *self.stream), cx);
        if ready!(sent).is_err() {
            self.keeps = false;
        }
        Poll::Ready(())
    }

    /// What reads the response's body.
    pub(in crate::upstream) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Whether the request is sent to its end.
    pub(in crate::upstream) fn is_sent(&self) -> bool {
        self.outgoing.is_sent()
    }

    /// Whether the connection can have another exchange, once this one's request is sent.
    pub(in crate::upstream) fn can_be_kept(&self) -> bool {
        self.keeps && self.failed.is_none() && self.decoder.has_ended() && self.input.is_empty()
    }

    /// Gives back what it does not need while it is idle.
    pub(in crate::upstream) fn rest(&mut self) {
        self.input.rest();
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_more(Pin::new(&mut *self.stream), cx)
    }

    /// Sends on, as far as that goes. An origin that takes no more may have answered before.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        if self.failed.is_some() || self.outgoing.is_sent() {
            return Ok(());
        }
        match self.outgoing.poll_send(Pin::new(&mut *self.stream), cx) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(SendError::Client(fault))) => Err(LinkError::Client(fault)),
            Poll::Ready(Err(SendError::Connection(error))) => {
                self.failed = Some(error);
                Ok(())
            }
        }
    }

    fn read_head(&mut self, headers: &mut HeaderMap) -> Result<Option<Head>, Malformed> {
        if self.input.ready.is_empty() {
            return Ok(None);
        }
        let asks_for_head = self.outgoing.asks_for_head();
        let head = read_head(&mut self.input.ready, headers, asks_for_head)?;
        if head.is_none() && self.input.ready.len() >= BUFFER_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        Ok(head)
    }

    /// Remembers of a head what reading on takes.
    fn take_up(&mut self, mut head: Head) -> Head {
        self.keeps = head.keeps
            && head.status != StatusCode::SWITCHING_PROTOCOLS
            && !head.decoder.ends_with_connection();
        self.decoder = std::mem::replace(&mut head.decoder, Decoder::ended());
        head
    }

    /// The connection's end, by the first sign of it.
    fn closed(&mut self, error: io::Error) -> LinkError {
        self.keeps = false;
        LinkError::Closed(self.failed.take().unwrap_or(error))
    }
}

#[cfg(test)]
mod tests;
