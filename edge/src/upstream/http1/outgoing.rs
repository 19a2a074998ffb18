//! A request on its way out: its head, then its body as it comes, framed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::HeaderName;
use http::{HeaderMap, Method, Request};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::request::{Framing, write_head};
use crate::http1::{CHUNK_END, announced, write_chunk_size, write_trailers};
use crate::upstream::{ClientFault, RequestBody};

/// What ends the last chunk, and the body if that has no trailers.
const BODY_END: &[u8] = b"\r\n0\r\n\r\n";

/// A request, and how much of it is written. What is written next is `lead`, `piece` and `tail`, in
/// this order and at once where the stream allows that.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Outgoing {
    /// The head, later the sizes of chunks. Kept when it is written, for requests without a body:
    /// it is all that repeating them takes.
    lead: Vec<u8>,
    lead_written: usize,
    piece: Bytes,
    tail: &'static [u8],
    /// The rest of the body, if one is to come. Boxed, because most requests have none.
    rest: Option<Box<Rest>>,
    /// Whether any byte was written.
    is_begun: bool,
    /// Whether any of the body was taken from where it comes from.
    has_pulled: bool,
    asks_for_head: bool,
}

#[derive(Debug)]
struct Rest {
    body: RequestBody,
    is_chunked: bool,
    announced: Vec<HeaderName>,
}

/// Why a request could not be sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// The connection takes no more.
    Connection(io::Error),
    /// There is no more of the body.
    Client(ClientFault),
}

impl Outgoing {
    /// A request, with these lines in its head beside its fields. `buffer` is one that an earlier request had,
    /// to be used again.
    pub(in crate::upstream) fn new<B>(
        mut buffer: Vec<u8>,
        request: &Request<B>,
        lines: &[u8],
        body: RequestBody,
    ) -> Self {
        let framing = Framing::of(&body);
        buffer.clear();
        write_head(
            &mut buffer,
            request.method(),
            request.uri(),
            (request.headers(), lines),
            framing,
        );
        let is_chunked = framing == Framing::Chunked;
        let rest = || {
            Box::new(Rest {
                body,
                is_chunked,
                announced: if is_chunked {
                    announced(request.headers())
                } else {
                    Vec::new()
                },
            })
        };
        Self {
            lead: buffer,
            rest: (framing != Framing::Nothing).then(rest),
            asks_for_head: request.method() == Method::HEAD,
            ..Self::default()
        }
    }

    /// Whether all of it is written.
    pub(super) fn is_sent(&self) -> bool {
        self.rest.is_none() && self.is_drained()
    }

    /// Whether any byte of it was written.
    pub(in crate::upstream) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Whether the response has no body whatever it says.
    pub(super) fn asks_for_head(&self) -> bool {
        self.asks_for_head
    }

    /// Begins anew. Only for a request of which no byte was written, or that has no body.
    pub(in crate::upstream) fn rewind(&mut self) {
        self.lead_written = 0;
        self.is_begun = false;
    }

    /// The body, if it is whole: what was taken of it cannot be put back.
    pub(in crate::upstream) fn into_body(self) -> Option<RequestBody> {
        let whole = !self.has_pulled;
        whole.then(|| self.rest.map_or(RequestBody::Empty, |rest| rest.body))
    }

    /// The buffer, to be used again.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lead)
    }

    /// Writes what there is; ready when that is all.
    pub(super) fn poll_send<S: AsyncWrite + ?Sized>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            // Before the head is written, so that head and body go out together where both are here.
            self.pull(cx).map_err(SendError::Client)?;
            if self.is_drained() {
                ready!(stream.poll_flush(cx)).map_err(SendError::Connection)?;
                return if self.rest.is_none() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            match ready!(self.poll_write(stream.as_mut(), cx)) {
                Ok(0) => {
                    let nothing = io::ErrorKind::WriteZero.into();
                    return Poll::Ready(Err(SendError::Connection(nothing)));
                }
                Ok(count) => self.advance(count),
                Err(error) => return Poll::Ready(Err(SendError::Connection(error))),
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.lead_written == self.lead.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    fn poll_write<S: AsyncWrite + ?Sized>(
        &self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let lead = &self.lead[self.lead_written..];
        if self.piece.is_empty() && self.tail.is_empty() {
            return stream.poll_write(cx, lead);
        }
        let slices = [lead, &self.piece, self.tail].map(IoSlice::new);
        stream.poll_write_vectored(cx, &slices)
    }

    fn advance(&mut self, mut count: usize) {
        self.is_begun = true;
        let lead = count.min(self.lead.len() - self.lead_written);
        self.lead_written += lead;
        count -= lead;
        let piece = count.min(self.piece.len());
        self.piece.advance(piece);
        self.tail = &self.tail[count - piece..];
    }

    /// Takes the next piece of the body, if it is here and the last one has gone.
    fn pull(&mut self, cx: &mut Context<'_>) -> Result<(), ClientFault> {
        while self.piece.is_empty() && self.tail.is_empty() {
            let Some(rest) = &mut self.rest else {
                return Ok(());
            };
            match Pin::new(&mut rest.body).poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(frame) => {
                    self.has_pulled = true;
                    match frame.transpose()?.map(Frame::into_data) {
                        None => self.end(None),
                        Some(Ok(data)) => self.frame(data),
                        Some(Err(frame)) => self.end(frame.into_trailers().ok().as_ref()),
                    }
                }
            }
        }
        Ok(())
    }

    fn frame(&mut self, data: Bytes) {
        let Some(rest) = self.rest.as_ref().filter(|_| !data.is_empty()) else {
            return;
        };
        let (is_chunked, is_last) = (rest.is_chunked, rest.body.is_end_stream());
        self.forget_written();
        if is_chunked {
            write_chunk_size(&mut self.lead, data.len());
            self.tail = if is_last { BODY_END } else { CHUNK_END };
        }
        self.piece = data;
        if is_last {
            self.rest = None;
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        let Some(rest) = self.rest.take().filter(|rest| rest.is_chunked) else {
            return;
        };
        self.forget_written();
        self.lead.extend_from_slice(b"0\r\n");
        if let Some(trailers) = trailers {
            write_trailers(&mut self.lead, trailers, &rest.announced);
        }
        self.lead.extend_from_slice(b"\r\n");
    }

    fn forget_written(&mut self) {
        if self.lead_written == self.lead.len() {
            self.lead.clear();
            self.lead_written = 0;
        }
    }
}
