//! A body that one connection fills and others read, on whichever threads they are.
//!
//! ```text
//!   [kept, growing] --end--> [whole]            everybody reads one piece of memory, without a lock
//!        |    \--broken--> [broken]             readers break off where it ends
//!        | grew too large, or lost its place in the cache
//!        v
//!   [passing] --end--> [ended]                  only a window is held: the filler waits for the
//!        \--broken--> [broken]                  slowest reader, and stops when there is none
//! ```

mod reader;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use parking_lot::Mutex;

pub use reader::Reader;

/// What is held of a body that is only passed on: what the slowest reader has not taken yet.
const WINDOW_BYTES: u64 = 256 * 1024;

/// The one that fills a shared body went away before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer that several requests share broke off")]
pub struct BrokeOff;

/// A body that may be read while it grows.
#[derive(Debug)]
pub struct Body {
    whole: OnceLock<Whole>,
    announced: Option<u64>,
    growing: Mutex<Growing>,
}

/// A body that is all here.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Bytes,
    /// What came after them.
    pub trailers: Option<HeaderMap>,
}

#[derive(Debug, Default)]
struct Growing {
    chunks: VecDeque<Bytes>,
    /// The offset of the first chunk.
    start: u64,
    /// The offset behind the last.
    end: u64,
    passing: bool,
    state: State,
    trailers: Option<HeaderMap>,
    /// In the order of their coming, in which they are woken.
    readers: BTreeMap<u64, Position>,
    next_reader: u64,
    filler: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Growing,
    Ended,
    Broken,
}

#[derive(Debug, Default)]
struct Position {
    offset: u64,
    waker: Option<Waker>,
}

/// The one that fills a body. Dropped before the end, it breaks the body off.
#[derive(Debug)]
pub struct Filler(Arc<Body>);

impl Body {
    /// A body that is all here.
    #[must_use]
    pub fn of(bytes: Bytes) -> Arc<Self> {
        let body = Self::new(Some(bytes.len() as u64));
        let whole = Whole {
            bytes,
            trailers: None,
        };
        // It was made here, so nobody was faster.
        let _ = body.whole.set(whole);
        Arc::new(body)
    }

    /// A body that is still to come, perhaps of an announced length.
    #[must_use]
    pub fn growing(announced: Option<u64>) -> (Arc<Self>, Filler) {
        let body = Arc::new(Self::new(announced));
        (Arc::clone(&body), Filler(body))
    }

    fn new(announced: Option<u64>) -> Self {
        Self {
            whole: OnceLock::new(),
            announced,
            growing: Mutex::default(),
        }
    }

    /// The body, if it is all here.
    #[must_use]
    pub fn whole(&self) -> Option<&Whole> {
        self.whole.get()
    }

    /// How long it is, as far as that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.whole
            .get()
            .map(|whole| whole.bytes.len() as u64)
            .or(self.announced)
    }

    /// Reads it from one offset up to before another. Nothing where what is wanted is gone, or it
    /// broke off.
    #[must_use]
    pub fn read(self: &Arc<Self>, from: u64, until: u64) -> Option<Reader> {
        let mut growing = self.growing.lock();
        if growing.start > from || growing.state == State::Broken {
            return None;
        }
        let number = growing.next_reader;
        growing.next_reader += 1;
        let position = Position {
            offset: from,
            waker: None,
        };
        growing.readers.insert(number, position);
        drop(growing);
        Some(Reader::new(Arc::clone(self), number, from, until))
    }

    fn close(&self, state: State, trailers: Option<HeaderMap>) {
        let mut growing = self.growing.lock();
        if growing.state != State::Growing {
            return;
        }
        growing.state = state;
        growing.trailers = trailers;
        if state == State::Ended && !growing.passing {
            let whole = growing.gather();
            if self.whole.set(whole).is_ok() {
                growing.chunks.clear();
            }
        }
        growing.wake_readers();
    }
}

impl Growing {
    /// One piece of memory of the body's size: chunks may hold on to buffers much larger than
    /// what they show.
    fn gather(&self) -> Whole {
        let mut bytes = BytesMut::with_capacity(usize::try_from(self.end).unwrap_or_default());
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk);
        }
        Whole {
            bytes: bytes.freeze(),
            trailers: self.trailers.clone(),
        }
    }

    fn wake_readers(&mut self) {
        for position in self.readers.values_mut() {
            if let Some(waker) = position.waker.take() {
                waker.wake();
            }
        }
    }

    fn slowest(&self) -> Option<u64> {
        self.readers.values().map(|position| position.offset).min()
    }

    /// Drops what every reader has taken, where only a window is held.
    fn drop_taken(&mut self) {
        if !self.passing {
            return;
        }
        let taken = self.slowest().unwrap_or(self.end);
        while let Some(first) = self.chunks.front() {
            let behind = self.start + first.len() as u64;
            if behind > taken {
                break;
            }
            self.start = behind;
            self.chunks.pop_front();
        }
        if let Some(waker) = self.filler.take() {
            waker.wake();
        }
    }

    /// What is at an offset that has been filled, up to before another.
    fn at(&self, offset: u64, until: u64) -> Option<Bytes> {
        let mut start = self.start;
        for chunk in &self.chunks {
            let behind = start + chunk.len() as u64;
            if offset < behind {
                let from = usize::try_from(offset - start).ok()?;
                let to = usize::try_from(behind.min(until) - start).ok()?;
                return Some(chunk.slice(from..to));
            }
            start = behind;
        }
        None
    }
}

impl Filler {
    /// More has come.
    pub fn push(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let mut growing = self.0.growing.lock();
        growing.end += bytes.len() as u64;
        growing.chunks.push_back(bytes);
        growing.wake_readers();
    }

    /// Everything has come.
    pub fn end(self, trailers: Option<HeaderMap>) {
        self.0.close(State::Ended, trailers);
    }

    /// It is not kept any more, only passed on to those who read it now.
    pub fn pass(&self) {
        let mut growing = self.0.growing.lock();
        growing.passing = true;
        growing.drop_taken();
    }

    /// Ready when more may be pushed; false when nobody is left who would take it.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut growing = self.0.growing.lock();
        if !growing.passing {
            return Poll::Ready(true);
        }
        let Some(slowest) = growing.slowest() else {
            return Poll::Ready(false);
        };
        if growing.end.saturating_sub(slowest) < WINDOW_BYTES {
            return Poll::Ready(true);
        }
        growing.filler = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.0.close(State::Broken, None);
    }
}

#[cfg(test)]
mod tests;
