//! A client's stream, watched: what is read and written is noted on its connection, which judges by that
//! whether the client is too slow, and the frames of HTTP/2 are read along.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;
use super::flood::Frames;

/// A stream that notes on its connection what it is waiting for.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    connection: Rc<Connection>,
    /// Counts frames, where it carries any.
    frames: Option<Box<Frames>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, connection: Rc<Connection>) -> Self {
        Self {
            stream,
            connection,
            frames: None,
        }
    }

    /// Watches the frames of HTTP/2, too.
    pub(super) fn with_frames(mut self) -> Self {
        self.frames = Some(Box::new(Frames::new()));
        self
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Pending => self.connection.note_blocked(),
            Poll::Ready(written) => {
                let bytes = written.as_ref().copied().unwrap_or_default();
                self.connection.note_written(bytes);
            }
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.connection.note_read();
        }
        if let Some(frames) = &mut this.frames {
            frames.allow(this.connection.frames_made());
            if frames.read(&buffer.filled()[before..]) {
                this.connection.floods();
            }
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// TLS takes more than it has written, and writes the rest here.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        if outcome.is_pending() {
            self.connection.note_blocked();
        } else {
            self.connection.note_flushed();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
