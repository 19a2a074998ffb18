//! What a serving thread knows of its connections, and how it ends those that are too slow.
//!
//! There is one timer per thread, not one per connection or request: each connection notes when
//! something begins to be waited for, and a sweep over all of them finds what is overdue. So a
//! deadline may be late by one sweep.
//!
//! ```text
//!            accepted                     bytes of a head arrive
//!               |                      .-------------------------.
//!               v                      |                         v
//!   [head awaited, from now] --head--> [in flight] --answered--> [idle] --bytes--> [head awaited]
//!        request_header                   (write stalled: idle)    idle limit          request_header
//!        => abort                         => abort                 => finish           => abort
//! ```
//!
//! An HTTP/2 connection sends frames that begin no request, so after its first request only the
//! idle limit holds, beside HTTP/2's own pings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Client;
use crate::settings::TimeoutSettings;

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    http2: Cell<bool>,
    /// Requests that are not answered to their last byte.
    in_flight: Cell<u32>,
    /// Since when a request's head is awaited, if one has begun or must come first.
    head_since: Cell<Option<Instant>>,
    /// Since when there is no request in flight.
    idle_since: Cell<Instant>,
    /// Since when the client takes no more bytes.
    write_since: Cell<Option<Instant>>,
    order: Cell<Option<Order>>,
    driver: RefCell<Option<Waker>>,
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Answer what is under way, take nothing more.
    Finish,
    /// End at once.
    Abort,
}

/// A request under way; dropped when its answer was sent to the last byte, or cannot be.
#[derive(Debug)]
pub(super) struct Flight(Rc<Connection>);

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        let now = Instant::now();
        Self {
            client,
            http2: Cell::new(false),
            in_flight: Cell::new(0),
            head_since: Cell::new(Some(now)),
            idle_since: Cell::new(now),
            write_since: Cell::new(None),
            order: Cell::new(None),
            driver: RefCell::new(None),
        }
    }

    /// A request's head has arrived.
    pub(super) fn begin(self: &Rc<Self>, http2: bool) -> Flight {
        self.http2.set(http2);
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_since.set(None);
        Flight(Rc::clone(self))
    }

    /// Waits for orders while `serve` runs; `finish` starts its orderly end.
    pub(super) async fn drive<C, T>(
        &self,
        mut serve: Pin<&mut C>,
        finish: impl Fn(Pin<&mut C>),
    ) -> Option<T>
    where
        C: Future<Output = T>,
    {
        poll_fn(|cx| {
            self.remember(cx);
            match self.order.take() {
                Some(Order::Abort) => return Poll::Ready(None),
                Some(Order::Finish) => finish(serve.as_mut()),
                None => {}
            }
            serve.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn remember(&self, cx: &Context<'_>) {
        let mut driver = self.driver.borrow_mut();
        if !driver
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *driver = Some(cx.waker().clone());
        }
    }

    fn obey(&self, order: Order) {
        self.order.set(Some(order));
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// What is to be done with the connection, as things stand.
    fn overdue(&self, now: Instant, timeouts: &TimeoutSettings) -> Option<Order> {
        let passed =
            |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        if self
            .write_since
            .get()
            .is_some_and(|since| passed(since, timeouts.idle()))
        {
            return Some(Order::Abort);
        }
        if self.in_flight.get() > 0 {
            return None;
        }
        match self.head_since.get() {
            Some(since) => passed(since, timeouts.request_header()).then_some(Order::Abort),
            None => passed(self.idle_since.get(), timeouts.idle()).then_some(Order::Finish),
        }
    }

    fn note_read(&self) {
        if self.in_flight.get() == 0 && self.head_since.get().is_none() && !self.http2.get() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    fn note_write(&self, blocked: bool) {
        match (blocked, self.write_since.get()) {
            (true, None) => self.write_since.set(Some(Instant::now())),
            (false, Some(_)) => self.write_since.set(None),
            _ => {}
        }
    }
}

impl Flight {
    /// Whether the request came by HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.0.http2.get()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get().saturating_sub(1);
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.idle_since.set(Instant::now());
        }
    }
}

/// A thread's connections, in the order of their acceptance.
#[derive(Debug, Default)]
pub(super) struct Connections {
    live: RefCell<BTreeMap<u64, Rc<Connection>>>,
    next: Cell<u64>,
    ended: Notify,
}

/// A connection's entry; dropping it strikes the connection off.
#[derive(Debug)]
pub(super) struct Registered {
    of: Rc<Connections>,
    number: u64,
}

impl Connections {
    pub(super) fn register(self: &Rc<Self>, connection: &Rc<Connection>) -> Registered {
        let number = self.next.get();
        self.next.set(number + 1);
        self.live.borrow_mut().insert(number, Rc::clone(connection));
        Registered {
            of: Rc::clone(self),
            number,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live.borrow().len()
    }

    /// Gives every connection the same order.
    pub(super) fn order(&self, order: Order) {
        for connection in self.live.borrow().values() {
            connection.obey(order);
        }
    }

    /// Ends what is overdue, and says how many connections were aborted.
    pub(super) fn sweep(&self, timeouts: &TimeoutSettings) -> usize {
        let now = Instant::now();
        let mut aborted = 0;
        for connection in self.live.borrow().values() {
            if let Some(order) = connection.overdue(now, timeouts) {
                aborted += usize::from(order == Order::Abort);
                connection.obey(order);
            }
        }
        aborted
    }

    /// Waits until there are fewer than `count`.
    pub(super) async fn fewer_than(&self, count: usize) {
        while self.len() >= count {
            self.ended.notified().await;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.of.live.borrow_mut().remove(&self.number);
        self.of.ended.notify_one();
    }
}

/// A stream that notes on its connection what it is waiting for.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    connection: Rc<Connection>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, connection: Rc<Connection>) -> Self {
        Self { stream, connection }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.note_write(outcome.is_pending());
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.connection.note_read();
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
