//! An answer on its way out: its head, then its body as it comes, framed. Small pieces are copied behind what
//! precedes them and leave with it, in one call; large ones are written from where they lie.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::answer::{Framing, Length};
use crate::http1::{CHUNK_END, LAST_CHUNK, write_chunk_size, write_trailers};
use crate::upstream::BodyError;

/// Up to so much is copied: writing from several places costs more.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// How much of small pieces is put together while they come without waiting.
const GATHERED_BYTES_MAX: usize = 16 * 1024;

/// How much of the buffer stays with a connection between answers.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// What is to be written: `lead`, then `piece`, then `tail`.
#[derive(Debug, Default)]
pub(super) struct Sending {
    lead: Vec<u8>,
    written: usize,
    piece: Bytes,
    tail: &'static [u8],
    /// Why there is no more of the body, until what came before it is written.
    failed: Option<Unsent>,
}

/// Why an answer was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Unsent {
    /// The client takes no more.
    #[error("the client's connection broke")]
    Connection(#[from] io::Error),
    /// There is no more of the body.
    #[error("the answer's body broke off")]
    Body(#[source] BodyError),
    /// The body was shorter than was said.
    #[error("the answer's body is shorter than its head says")]
    Short,
}

/// What is known of a body before its first piece is here.
pub(super) fn length_of(body: &impl Body) -> Length {
    if body.is_end_stream() {
        return Length::Nothing;
    }
    body.size_hint()
        .exact()
        .map_or(Length::Unknown, Length::Exact)
}

impl Sending {
    /// Begins an answer, whose head is to be written into this.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.lead.clear();
        self.written = 0;
        self.failed = None;
        if self.lead.capacity() > KEPT_BYTES_MAX {
            self.lead = Vec::new();
        }
        &mut self.lead
    }

    /// Writes what there is; ready when that is all.
    pub(super) fn poll_drain<S: AsyncWrite>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_drained() {
            ready!(self.poll_write(stream.as_mut(), cx))?;
        }
        stream.poll_flush(cx)
    }

    /// How it ended, once everything is written.
    pub(super) fn outcome(&mut self) -> Result<(), Unsent> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Takes pieces of the body while they are small and come without waiting.
    pub(super) fn pull<B>(
        &mut self,
        body: &mut B,
        framing: &mut Framing,
        cx: &mut Context<'_>,
    ) -> Pulled
    where
        B: Body<Data = Bytes, Error = BodyError> + Unpin,
    {
        if matches!(framing, Framing::Length(0)) || self.failed.is_some() {
            return Pulled::End;
        }
        while self.piece.is_empty()
            && self.tail.is_empty()
            && self.lead.len() - self.written < GATHERED_BYTES_MAX
        {
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Pulled::Wait,
                Poll::Ready(None) => return self.end(framing, None),
                Poll::Ready(Some(Err(error))) => return self.fail(Unsent::Body(error)),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(data) => self.frame(data, framing),
                Err(frame) => return self.end(framing, frame.trailers_ref()),
            }
            if body.is_end_stream() || matches!(framing, Framing::Length(0)) {
                return self.end(framing, None);
            }
        }
        Pulled::Some
    }

    fn frame(&mut self, mut data: Bytes, framing: &mut Framing) {
        if let Framing::Length(left) = framing {
            // What was not announced is not the body's.
            data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= data.len() as u64;
        }
        if data.is_empty() {
            return;
        }
        self.forget_written();
        let is_chunked = matches!(framing, Framing::Chunked(_));
        if is_chunked {
            write_chunk_size(&mut self.lead, data.len());
        }
        let tail = if is_chunked { CHUNK_END } else { &[] };
        if data.len() <= COPIED_BYTES_MAX {
            self.lead.extend_from_slice(&data);
            self.lead.extend_from_slice(tail);
        } else {
            self.piece = data;
            self.tail = tail;
        }
    }

    fn end(&mut self, framing: &mut Framing, trailers: Option<&HeaderMap>) -> Pulled {
        let framing = std::mem::replace(framing, Framing::Length(0));
        match framing {
            Framing::Length(0) | Framing::Close => Pulled::End,
            Framing::Length(_) => self.fail(Unsent::Short),
            Framing::Chunked(announced) => {
                self.end_chunks(&announced, trailers);
                // There may be a large piece before it.
                if self.tail.is_empty() {
                    Pulled::End
                } else {
                    Pulled::Some
                }
            }
        }
    }

    fn fail(&mut self, why: Unsent) -> Pulled {
        self.failed = Some(why);
        Pulled::End
    }

    fn end_chunks(&mut self, announced: &[http::HeaderName], trailers: Option<&HeaderMap>) {
        const LAST_OF_ALL: &[u8] = b"\r\n0\r\n\r\n";
        if !self.tail.is_empty() {
            self.tail = LAST_OF_ALL;
            return;
        }
        self.forget_written();
        let Some(trailers) = trailers else {
            self.lead.extend_from_slice(LAST_CHUNK);
            return;
        };
        self.lead.extend_from_slice(b"0\r\n");
        write_trailers(&mut self.lead, trailers, announced);
        self.lead.extend_from_slice(b"\r\n");
    }

    fn forget_written(&mut self) {
        if self.written == self.lead.len() {
            self.lead.clear();
            self.written = 0;
        }
    }

    fn is_drained(&self) -> bool {
        self.written == self.lead.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    fn poll_write<S: AsyncWrite>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let lead = &self.lead[self.written..];
        let written = if self.piece.is_empty() && self.tail.is_empty() {
            stream.poll_write(cx, lead)
        } else {
            let slices = [lead, &self.piece, self.tail].map(IoSlice::new);
            stream.poll_write_vectored(cx, &slices)
        };
        let count = ready!(written)?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        let lead = count.min(self.lead.len() - self.written);
        self.written += lead;
        count -= lead;
        let piece = count.min(self.piece.len());
        self.piece.advance(piece);
        self.tail = &self.tail[count - piece..];
    }
}

/// What came of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// Something; there may be more.
    Some,
    /// Nothing more for now.
    Wait,
    /// All that there will be.
    End,
}

#[cfg(test)]
mod tests;
