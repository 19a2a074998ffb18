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
//! Over HTTP/2, an answer's last piece may be megabytes that hyper has taken and the client has not: the request
//! is not in flight any more, and all the same each write counts as the client's sign of life, and no
//! next head is asked for before the last byte is written.
//!
//! Over TLS the handshake comes first, with a limit of its own, and the head is awaited from its end.
//! An HTTP/2 connection sends frames that begin no request, so after its first request only the
//! idle limit holds, beside HTTP/2's own pings. A connection of HTTP/3 is no stream of bytes that
//! could be watched: what holds for its heads is `http3`'s matter, the rest is as in HTTP/2.

mod register;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

pub(super) use self::register::Connections;
use super::client::{Client, Scheme};
use super::flood::Resets;
use super::tls::Secured;
use super::tunnel::Tunnel;
use crate::pace::Pace;
use crate::settings::TimeoutSettings;
use crate::turn;

/// What an HTTP/2 connection writes at once beside answers is shorter: a PING, an acknowledgement, the
/// windows' updates.
const ASIDE_BYTES_MAX: usize = 64;

/// What HTTP/2 puts into one frame (RFC 9113, section 4.2).
const FRAME_BYTES: usize = 16 * 1024;

/// What an HTTP/2 connection holds of pieces that wait for its client to open a window. A client that reads
/// never comes near it, and one that leaves a few dozen answers lying still gets the others.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// How long a stopping edge waits for clients that are in the middle of agreeing on TLS, and for the first
/// request of those that have: a few round trips.
const GRACE: Duration = Duration::from_secs(1);

/// For how long a connection is ready for the next request after one: most that come at all come sooner.
const REST_AFTER: Duration = Duration::from_secs(1);

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who the socket says that it is.
    pub(super) peer: SocketAddr,
    scheme: Scheme,
    client: OnceCell<Client>,
    secured: OnceCell<Secured>,
    /// What the connection becomes when what is said over HTTP has ended.
    tunnel: RefCell<Option<Tunnel>>,
    handshaking: Cell<bool>,
    /// Whether several requests share it, each on a stream of its own.
    multiplexed: Cell<bool>,
    /// Whether a request has ever come.
    begun: Cell<bool>,
    /// Whether the last one has a body.
    has_body: Cell<bool>,
    /// Whether it holds what serving requests takes, and may give that back.
    is_busy: Cell<bool>,
    may_rest: Cell<bool>,
    /// Requests that are not answered to their last byte.
    in_flight: Cell<u32>,
    /// Since when a request's head is awaited, if one has begun or must come first.
    head_since: Cell<Option<Instant>>,
    /// Since when there is no request in flight, and nothing of an answer to be written.
    idle_since: Cell<Instant>,
    /// Since when the client takes no more bytes.
    write_since: Cell<Option<Instant>>,
    /// How fast it takes them.
    pace: Cell<Pace>,
    /// Answers on streams of which a piece waits for the client to take it.
    untaken: Cell<u32>,
    /// When the client last took one.
    taken_at: Cell<Instant>,
    /// What was made of answers since the last frame was read, in frames.
    frames_made: Cell<u32>,
    /// What is held of such pieces, in bytes, and who waits for that to be less.
    held: Cell<usize>,
    crowd: RefCell<Vec<Waker>>,
    resets: Resets,
    floods: Cell<bool>,
    order: Cell<Option<Order>>,
    /// Until when a client that has just come is waited for all the same, once it is told to finish.
    grace_until: Cell<Option<Instant>>,
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
pub(super) struct Flight {
    of: Rc<Connection>,
    /// Since when, until its answer is made; on a stream, which a client can take back alone.
    unanswered: Option<Instant>,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, scheme: Scheme) -> Self {
        let now = Instant::now();
        Self {
            peer,
            scheme,
            client: OnceCell::new(),
            secured: OnceCell::new(),
            tunnel: RefCell::default(),
            handshaking: Cell::new(scheme == Scheme::Https),
            multiplexed: Cell::new(false),
            begun: Cell::new(false),
            has_body: Cell::new(false),
            is_busy: Cell::new(false),
            may_rest: Cell::new(false),
            in_flight: Cell::new(0),
            head_since: Cell::new(Some(now)),
            idle_since: Cell::new(now),
            write_since: Cell::new(None),
            pace: Cell::default(),
            untaken: Cell::new(0),
            taken_at: Cell::new(now),
            frames_made: Cell::new(0),
            held: Cell::new(0),
            crowd: RefCell::default(),
            resets: Resets::new(),
            floods: Cell::new(false),
            order: Cell::new(None),
            grace_until: Cell::new(None),
            driver: RefCell::new(None),
        }
    }

    /// Whom requests come from.
    pub(super) fn client(&self) -> &Client {
        self.client
            .get_or_init(|| Client::new(self.peer, self.scheme))
    }

    /// How its requests come.
    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// A proxy in front, which is believed, says whom it speaks for.
    pub(super) fn speaks_for(&self, client: SocketAddr) {
        // It is said before the first request, and once.
        let _ = self.client.set(Client::new(client, self.scheme));
    }

    /// What was agreed on with TLS, where there is any.
    pub(super) fn secured(&self) -> Option<&Secured> {
        self.secured.get()
    }

    /// TLS is agreed on; from now on a request is awaited.
    pub(super) fn secure(&self, secured: Secured) {
        // A connection has one handshake.
        let _ = self.secured.set(secured);
        self.handshaking.set(false);
        self.head_since.set(Some(turn::now()));
    }

    /// Has the connection become a tunnel as soon as the answer under way is sent.
    pub(super) fn switch_to(&self, tunnel: Tunnel) {
        self.tunnel.replace(Some(tunnel));
    }

    /// The tunnel that it is to become.
    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// A request's head has arrived.
    pub(super) fn begin(self: &Rc<Self>, multiplexed: bool) -> Flight {
        self.multiplexed.set(multiplexed);
        self.begun.set(true);
        self.in_flight.set(self.in_flight.get() + 1);
        self.may_rest.set(false);
        self.head_since.set(None);
        Flight {
            of: Rc::clone(self),
            unanswered: multiplexed.then(turn::now),
        }
    }

    /// Whether the request that has just begun has a body.
    pub(super) fn expect_body(&self, has_body: bool) {
        self.has_body.set(has_body);
    }

    /// Whether the client may be sending still what nobody reads.
    pub(super) fn has_body(&self) -> bool {
        self.has_body.get()
    }

    /// Whether it holds nothing any more that serving requests takes.
    pub(super) fn rests(&self, rests: bool) {
        self.is_busy.set(!rests);
        self.may_rest.set(false);
    }

    /// Whether requests have come so seldom that what serving them takes is better given back.
    pub(super) fn may_rest(&self) -> bool {
        self.may_rest.get()
    }

    /// Lets a connection rest on which nothing was asked for in a while.
    fn tire(&self, now: Instant) {
        let idle = now.saturating_duration_since(self.idle_since.get());
        let is_idle = self.in_flight.get() == 0 && idle >= REST_AFTER;
        if self.is_busy.get() && is_idle && !self.may_rest.replace(true) {
            self.wake_driver();
        }
    }

    /// Waits for orders while `serve` runs; `finish` starts its orderly end. Over TLS a first request
    /// is still waited for: its connection was taken, and cost its client two round trips.
    pub(super) async fn drive<C, T>(
        &self,
        mut serve: Pin<&mut C>,
        finish: impl Fn(Pin<&mut C>),
    ) -> Option<T>
    where
        C: Future<Output = T>,
    {
        let mut grace = None;
        turn::by_turns(poll_fn(|cx| {
            self.remember(cx);
            if self.order.get() == Some(Order::Abort) {
                return Poll::Ready(None);
            }
            // What has come already is taken before the end begins.
            let served = serve.as_mut().poll(cx);
            match self.order.get() {
                _ if served.is_ready() => {}
                None => {}
                // What was read may be what it is ended for.
                Some(Order::Abort) => return Poll::Ready(None),
                Some(Order::Finish)
                    if self.awaits_first() && self.poll_grace(&mut grace, cx).is_pending() => {}
                Some(Order::Finish) => {
                    self.order.set(None);
                    finish(serve.as_mut());
                    return serve.as_mut().poll(cx).map(Some);
                }
            }
            served.map(Some)
        }))
        .await
    }

    /// Waits for something before the first request; nothing where it has not come about when the
    /// connection is told to end.
    pub(super) async fn until_told<T>(&self, awaited: impl Future<Output = T>) -> Option<T> {
        self.until(awaited, |_| Poll::Ready(())).await
    }

    /// The same, and a little longer where it is told to finish.
    pub(super) async fn until_late<T>(&self, awaited: impl Future<Output = T>) -> Option<T> {
        let mut grace = None;
        self.until(awaited, |cx| self.poll_grace(&mut grace, cx))
            .await
    }

    /// Waits for something; where the connection is told to finish, for as long as `patience` lasts.
    async fn until<T>(
        &self,
        awaited: impl Future<Output = T>,
        mut patience: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Option<T> {
        let mut awaited = std::pin::pin!(awaited);
        poll_fn(|cx| {
            self.remember(cx);
            if self.order.get() == Some(Order::Abort) {
                return Poll::Ready(None);
            }
            match awaited.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if self.order.get().is_some() => patience(cx).map(|()| None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether it has come through TLS and asked for nothing yet.
    fn awaits_first(&self) -> bool {
        self.secured.get().is_some() && !self.begun.get()
    }

    /// Ready when a client has had [`GRACE`] since the connection was told to finish.
    fn poll_grace(&self, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.grace_until.get();
        let until = until.unwrap_or_else(|| Instant::now() + GRACE);
        self.grace_until.set(Some(until));
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        timer.as_mut().poll(cx)
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
        self.wake_driver();
    }

    fn wake_driver(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// A request was taken back that had begun then, and was not answered.
    pub(super) fn taken_back(&self, begun: Instant) {
        if self.resets.taken_back(begun) {
            self.floods();
        }
    }

    /// The client does nothing that is of use to anybody.
    pub(super) fn floods(&self) {
        self.floods.set(true);
        self.obey(Order::Abort);
    }

    /// Whether it was ended for that.
    pub(super) fn was_flooding(&self) -> bool {
        self.floods.get()
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
        if self.is_too_slow(timeouts) {
            return Some(Order::Abort);
        }
        // Streams have windows of their own: a client can leave them shut while the socket takes all.
        if self.untaken.get() > 0 && passed(self.taken_at.get(), timeouts.idle()) {
            return Some(Order::Abort);
        }
        // While an answer is being written, the next head is not waited for.
        if self.in_flight.get() > 0 || self.write_since.get().is_some() {
            return None;
        }
        let limit = if self.handshaking.get() {
            timeouts.tls_handshake()
        } else {
            timeouts.request_header()
        };
        match self.head_since.get() {
            Some(since) => passed(since, limit).then_some(Order::Abort),
            // What is then not finished in as much time again never will be.
            None if passed(self.idle_since.get(), 2 * timeouts.idle()) => Some(Order::Abort),
            None => passed(self.idle_since.get(), timeouts.idle()).then_some(Order::Finish),
        }
    }

    /// The client has sent something.
    pub(super) fn note_read(&self) {
        if self.in_flight.get() == 0 && self.head_since.get().is_none() && !self.multiplexed.get() {
            self.head_since.set(Some(turn::now()));
        }
    }

    /// What was made of answers since this was last asked, in frames.
    pub(super) fn frames_made(&self) -> u32 {
        self.frames_made.take()
    }

    fn is_too_slow(&self, timeouts: &TimeoutSettings) -> bool {
        let mut pace = self.pace.get();
        let is_too_slow = pace.is_too_slow(timeouts.client_rate());
        self.pace.set(pace);
        is_too_slow
    }

    /// The client takes nothing for now.
    pub(super) fn note_blocked(&self) {
        if self.write_since.get().is_none() {
            let now = turn::now();
            self.write_since.set(Some(now));
            let mut pace = self.pace.get();
            pace.waits(now);
            self.pace.set(pace);
        }
    }

    /// The client has taken something.
    pub(super) fn note_written(&self, bytes: usize) {
        self.write_since.set(None);
        let mut pace = self.pace.get();
        pace.moved(bytes, turn::now);
        self.pace.set(pace);
        let is_aside = self.multiplexed.get() && bytes <= ASIDE_BYTES_MAX;
        if self.in_flight.get() == 0 && self.begun.get() && !is_aside {
            self.note_rest_written();
        }
        self.admit();
    }

    fn has_room(&self) -> bool {
        self.held.get() < HELD_BYTES_MAX && self.write_since.get().is_none()
    }

    /// Has answers go on that wait for room, if there is some.
    fn admit(&self) {
        if self.has_room() && !self.crowd.borrow().is_empty() {
            self.crowd.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Everything that it took over is written, where something was not.
    pub(super) fn note_flushed(&self) {
        if self.write_since.get().is_some() {
            self.note_written(0);
        }
    }

    /// More of an answer is written that was taken over from its maker before.
    fn note_rest_written(&self) {
        let now = turn::now();
        self.idle_since.set(now);
        if self.head_since.get().is_some() {
            self.head_since.set(Some(now));
        }
    }
}

impl Flight {
    /// Whether the request has a stream of its own.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.of.multiplexed.get()
    }

    /// A piece of its answer is made, and waits for the client.
    pub(super) fn piece_made(&self, bytes: usize) {
        let frames = u32::try_from(bytes.div_ceil(FRAME_BYTES)).unwrap_or(u32::MAX);
        let made = self.of.frames_made.get().saturating_add(frames);
        self.of.frames_made.set(made);
        self.of.untaken.set(self.of.untaken.get() + 1);
        if self.of.untaken.get() == 1 {
            self.of.taken_at.set(turn::now());
        }
    }

    /// The client has taken the piece, or will not.
    pub(super) fn piece_gone(&self) {
        self.of.untaken.set(self.of.untaken.get().saturating_sub(1));
        self.of.taken_at.set(turn::now());
    }

    /// Waits until the connection has a use for more of an answer: nothing waits for the socket, and no
    /// more is held of all answers than may be. Each answer goes on from there with one piece.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.of.has_room() {
            return Poll::Ready(());
        }
        let mut crowd = self.of.crowd.borrow_mut();
        if !crowd.iter().any(|known| known.will_wake(cx.waker())) {
            crowd.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// So much is held of its answer.
    pub(super) fn hold(&self, bytes: usize) {
        self.of.held.set(self.of.held.get() + bytes);
    }

    /// So much is not held any more.
    pub(super) fn let_go(&self, bytes: usize) {
        let left = self.of.held.get().saturating_sub(bytes);
        self.of.held.set(left);
        self.of.admit();
    }

    /// Its answer is made.
    pub(super) fn answered(&mut self) {
        if self.unanswered.take().is_some() {
            self.of.resets.answered();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let left = self.of.in_flight.get().saturating_sub(1);
        self.of.in_flight.set(left);
        if left == 0 {
            self.of.idle_since.set(turn::now());
        }
        if let Some(begun) = self.unanswered {
            self.of.taken_back(begun);
        }
    }
}

#[cfg(test)]
mod tests;
