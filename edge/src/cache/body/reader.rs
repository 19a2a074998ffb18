//! One reading of a body, while it grows or after.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Body, BrokeOff, State, Whole};

/// One reading of a body.
#[derive(Debug)]
pub struct Reader {
    body: Arc<Body>,
    number: u64,
    offset: u64,
    until: u64,
    ended: bool,
}

impl Reader {
    /// The reading with this number, which the body knows already.
    pub(super) fn new(body: Arc<Body>, number: u64, offset: u64, until: u64) -> Self {
        Self {
            body,
            number,
            offset,
            until,
            ended: false,
        }
    }

    /// The next piece.
    pub fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let body = Arc::clone(&self.body);
        if let Some(whole) = body.whole.get() {
            return Poll::Ready(self.rest(whole).map(Ok));
        }
        let mut growing = body.growing.lock();
        // It may have become whole just now, and then its chunks are gone.
        if let Some(whole) = body.whole.get() {
            return Poll::Ready(self.rest(whole).map(Ok));
        }
        if self.offset >= self.until {
            self.ended = true;
            return Poll::Ready(None);
        }
        if let Some(bytes) = growing.at(self.offset, self.until) {
            self.offset += bytes.len() as u64;
            if let Some(position) = growing.readers.get_mut(&self.number) {
                position.offset = self.offset;
            }
            growing.drop_taken();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match growing.state {
            State::Growing => {
                if let Some(position) = growing.readers.get_mut(&self.number) {
                    position.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            State::Broken => {
                self.ended = true;
                Poll::Ready(Some(Err(BrokeOff)))
            }
            State::Ended => {
                self.ended = true;
                let trailers = growing.trailers.clone();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    /// What is left, in one piece, then what came after it.
    fn rest(&mut self, whole: &Whole) -> Option<Frame<Bytes>> {
        let end = self.until.min(whole.bytes.len() as u64);
        if self.offset < end {
            let from = usize::try_from(self.offset).unwrap_or_default();
            let to = usize::try_from(end).unwrap_or_default();
            self.offset = end;
            return Some(Frame::data(whole.bytes.slice(from..to)));
        }
        self.ended = true;
        if self.until < u64::MAX {
            return None;
        }
        whole.trailers.clone().map(Frame::trailers)
    }

    /// Whether there is nothing more, as far as that is known without asking.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended || self.offset >= self.until
    }

    /// How much is left.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        let end = self
            .body
            .length()
            .map(|length| length.min(self.until))
            .or_else(|| (self.until < u64::MAX).then_some(self.until));
        end.map_or_else(SizeHint::default, |end| {
            SizeHint::with_exact(end.saturating_sub(self.offset))
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut growing = self.body.growing.lock();
        growing.readers.remove(&self.number);
        growing.drop_taken();
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        self.get_mut().poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        Self::size_hint(self)
    }
}
