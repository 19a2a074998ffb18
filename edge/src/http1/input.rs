//! What a connection has received and nobody has read yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// How large the buffer is as long as little comes: several heads with small bodies.
const BUFFER_BYTES: usize = 8 * 1024;

/// How large it gets while much comes, and the longest head of a message: large enough for every
/// head we know, small enough that a thousand connections take 64 MiB at worst.
pub(crate) const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Bytes as they came. They are read where they lie: header values and pieces of bodies are parts of
/// the buffer, which is used again once none of them is held any more.
#[derive(Debug)]
pub(crate) struct Input {
    /// What can be read. Empty while `buffer` holds the beginning of something that is not whole.
    pub(crate) ready: Bytes,
    buffer: BytesMut,
    /// How large the next buffer is.
    size: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self {
            ready: Bytes::new(),
            buffer: BytesMut::new(),
            size: BUFFER_BYTES,
        }
    }

    /// Whether everything that came was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.buffer.is_empty()
    }

    /// What was not read.
    pub(crate) fn into_rest(self) -> Bytes {
        self.ready
    }

    /// Adds what was read elsewhere. Nothing may be unread.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() < bytes.len() {
            self.buffer.reserve(self.size.max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
        self.ready = self.buffer.split().freeze();
    }

    /// Waits for more, and says how much came: 0 is the end. What is left in `ready` stays in front.
    pub(crate) fn poll_more<S: AsyncRead + ?Sized>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let room = self.buffer.capacity() - self.buffer.len();
        let count = ready!(poll_read_buf(stream, cx, &mut self.buffer))?;
        if count == room {
            self.size = (self.size * 2).min(BUFFER_BYTES_MAX);
        }
        self.ready = self.buffer.split().freeze();
        Poll::Ready(Ok(count))
    }

    fn make_room(&mut self) {
        if !self.ready.is_empty() {
            // Seldom: a head that came in parts. They must lie side by side to be read.
            let mut joined = BytesMut::with_capacity(self.ready.len() + self.size);
            joined.extend_from_slice(&std::mem::take(&mut self.ready));
            self.buffer = joined;
        } else if self.buffer.capacity() - self.buffer.len() < self.size / 4 {
            self.renew();
        }
    }

    /// Takes the whole buffer again, or another one while somebody holds parts of it.
    fn renew(&mut self) {
        if self.buffer.try_reclaim(self.size) {
            return;
        }
        let mut fresh = BytesMut::with_capacity(self.buffer.len() + self.size);
        fresh.extend_from_slice(&self.buffer);
        self.buffer = fresh;
    }

    /// Gives back what a large body took; nothing may be unread.
    pub(crate) fn rest(&mut self) {
        self.ready = Bytes::new();
        if self.size > BUFFER_BYTES {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn more(input: &mut Input, mut stream: &[u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match input.poll_more(Pin::new(&mut stream), &mut cx) {
            Poll::Ready(Ok(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_comes_later_stands_behind_what_was_left() {
        let mut input = Input::new();
        assert_eq!(more(&mut input, b"abc"), 3);
        assert_eq!(input.ready.split_to(1), "a");
        assert_eq!(more(&mut input, b"def"), 3);
        assert_eq!(input.ready, "bcdef");
        assert_eq!(more(&mut input, b""), 0);
        assert_eq!(input.ready, "bcdef");
    }

    #[test]
    fn what_was_read_elsewhere_is_in_front() {
        let mut input = Input::new();
        input.put(b"abc");
        assert_eq!(more(&mut input, b"def"), 3);
        assert_eq!(input.into_rest(), "abcdef");
    }

    #[test]
    fn a_buffer_that_nobody_holds_is_used_again() {
        let mut input = Input::new();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..10_000 {
            more(&mut input, &[b'x'; 300]);
            places.insert(input.ready.as_ptr() as usize);
            input.ready.clear();
        }
        assert!(places.len() <= BUFFER_BYTES / 300, "{}", places.len());
    }

    #[test]
    fn the_buffer_grows_with_what_comes_and_shrinks_at_rest() {
        let mut input = Input::new();
        let much = vec![b'x'; 2 * BUFFER_BYTES_MAX];
        let mut largest = 0;
        for _ in 0..10 {
            input.ready.clear();
            largest = largest.max(more(&mut input, &much));
        }
        assert_eq!(largest, BUFFER_BYTES_MAX);
        input.rest();
        assert!(input.is_empty());
        assert!(more(&mut input, &much) <= BUFFER_BYTES);
    }
}
