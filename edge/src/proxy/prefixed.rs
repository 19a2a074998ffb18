//! A stream of which the first bytes are looked at before it is known what they begin. Whoever
//! reads it afterwards gets them first, as if nobody had looked.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// How much is read at once while looking: what a request's head mostly takes.
const LOOK_BYTES: usize = 2 * 1024;

/// What is kept of what was read, to be read again: the longest TLS greeting that is taken. Real
/// ones have up to two thousand bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A stream, and what was read ahead of it.
#[derive(Debug)]
pub(super) struct Prefixed<S> {
    ahead: Vec<u8>,
    /// How much of `ahead` the reader has got.
    given: usize,
    /// Whether what is given is kept.
    keeps: bool,
    stream: S,
}

impl<S> Prefixed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            ahead: Vec::new(),
            given: 0,
            keeps: false,
            stream,
        }
    }

    /// A stream whose first bytes are these.
    pub(super) fn after(ahead: Bytes, stream: S) -> Self {
        Self {
            ahead: ahead.into(),
            ..Self::new(stream)
        }
    }

    /// What was read ahead.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead[self.given..]
    }

    /// Drops what was understood of it.
    pub(super) fn skip(&mut self, count: usize) {
        self.given += count;
        self.tidy();
    }

    /// Keeps what is read from now on, for [`Self::rewind`].
    pub(super) fn keep(&mut self) {
        self.keeps = true;
    }

    /// Gives everything that was kept once more.
    pub(super) fn rewind(&mut self) {
        self.given = 0;
        self.keeps = false;
    }

    /// Drops what was kept.
    pub(super) fn forget(&mut self) {
        self.keeps = false;
        self.tidy();
    }

    fn tidy(&mut self) {
        if !self.keeps && self.given == self.ahead.len() {
            self.ahead = Vec::new();
            self.given = 0;
        }
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = buffer.remaining().min(self.ahead.len() - self.given);
        buffer.put_slice(&self.ahead[self.given..self.given + count]);
        self.given += count;
        self.tidy();
    }
}

impl<S: AsyncRead + Unpin> Prefixed<S> {
    /// Reads on without giving anything away, and says how much came: 0 at the stream's end.
    ///
    /// # Errors
    /// When the stream is broken.
    pub(super) async fn look(&mut self) -> io::Result<usize> {
        self.ahead.reserve(LOOK_BYTES);
        self.stream.read_buf(&mut self.ahead).await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given < this.ahead.len() {
            this.give(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if this.keeps {
            this.ahead.extend_from_slice(&buffer.filled()[before..]);
            this.given = this.ahead.len();
            if this.given > KEPT_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn rest(mut stream: Prefixed<&[u8]>) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn what_was_looked_at_is_read_first() {
        let mut stream = Prefixed::new(&b"PROXY rest"[..]);
        assert_eq!(stream.look().await.unwrap(), 10);
        stream.skip(6);
        assert_eq!(stream.ahead(), b"rest");
        assert_eq!(rest(stream).await, "rest");
    }

    #[tokio::test]
    async fn what_was_kept_can_be_read_twice_or_dropped() {
        for (rewinds, expect) in [(true, "hello, you"), (false, ", you")] {
            let mut stream = Prefixed::new(&b"hello, you"[..]);
            stream.look().await.unwrap();
            stream.keep();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            assert_eq!(&hello, b"hello");
            if rewinds {
                stream.rewind();
            } else {
                stream.forget();
            }
            assert_eq!(rest(stream).await, expect);
        }
    }

    #[tokio::test]
    async fn a_reader_that_never_stops_is_not_kept_for() {
        let endless = vec![0; KEPT_BYTES_MAX + 1];
        let mut stream = Prefixed::new(&endless[..]);
        stream.keep();
        let error = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
