//! HTTP/2 connections of one serving thread to one address: several, each with so many requests at
//! once.
//!
//! ```text
//!   acquire ──▶ a connection with room, the one with the fewest requests
//!           ──▶ else one that is being made, unless as many wait for it as it is likely to take
//!           ──▶ else a new one, while there are fewer than CONNECTIONS_MAX
//!           ──▶ else no room
//! ```
//!
//! A connection is made by a task of its own: whoever asked first may go away, and the others wait
//! for it all the same. How many requests it takes is known when it is open: those that it does not
//! take look again, and now know how many to expect of the next.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;

use http::header::{CONNECTION, HOST, HeaderValue, TE};
use http::{Request, Uri, Version};
use hyper::client::conn::http2::SendRequest;
use tokio::sync::watch;
use tokio::time::Instant;

use super::RequestBody;
use super::driver::Allowance;
use super::lead::Lead;

/// Requests at once on a connection, where its peer allows more: what most servers let pass.
const STREAMS_MAX: usize = 100;

/// Connections to one address from one thread. One alone would have its one core and its one loss
/// of a packet hold up everybody; more than a few are more than a target has cores.
const CONNECTIONS_MAX: usize = 16;

/// HTTP/2 connections to one address.
#[derive(Debug)]
pub(super) struct Connections {
    slots: RefCell<Vec<Rc<Slot>>>,
    /// How many requests at once the last connection took.
    expected: Cell<usize>,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) allowance: Allowance,
    pub(super) lead: Lead,
}

#[derive(Debug)]
struct Slot {
    state: watch::Sender<State>,
    /// There once it is open.
    way: OnceCell<Way>,
    streams: Cell<usize>,
    used: Cell<Instant>,
    /// When the last response began on it.
    heard: Cell<Option<Instant>>,
}

#[derive(Clone, Debug)]
enum State {
    Connecting,
    Open,
    Failed(Refused),
}

/// Why there is no connection. All that waited for it are told the same.
#[derive(Clone, Debug)]
pub(super) enum Refused {
    /// It took too long.
    TimedOut,
    /// The operating system says why, by this number.
    System(i32),
    /// Nobody answers there, or somebody else.
    Unreachable(io::ErrorKind, String),
    /// All connections have as many requests as they take.
    Full,
}

impl Refused {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::System(number),
            None => Self::Unreachable(error.kind(), error.to_string()),
        }
    }
}

/// A request's place on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Stream(Rc<Slot>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.used.set(Instant::now());
    }
}

impl Stream {
    /// A response has begun.
    pub(super) fn answered(&self) {
        self.0.heard.set(Some(Instant::now()));
    }

    /// Whether any response has begun on its connection.
    pub(super) fn has_answered(&self) -> bool {
        self.0.heard.get().is_some()
    }

    /// Whether one has begun since then.
    pub(super) fn was_heard_since(&self, then: Instant) -> bool {
        self.0.heard.get() > Some(then)
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            slots: RefCell::default(),
            expected: Cell::new(STREAMS_MAX),
        }
    }
}

impl Connections {
    /// A place on a connection that is open.
    pub(super) fn ready(&self) -> Option<(SendRequest<RequestBody>, Stream)> {
        let mut slots = self.slots.borrow_mut();
        slots.retain(|slot| slot.is_good());
        let open = slots
            .iter()
            .filter_map(|slot| Some((slot, slot.way.get()?)));
        let free = open.filter(|(slot, way)| slot.streams.get() < way.streams_max());
        let (slot, way) = free.min_by_key(|(slot, _)| slot.streams.get())?;
        Some((way.sender.clone(), slot.stream()))
    }

    /// A place on a connection, once that is open. `connect` makes a new one.
    pub(super) async fn acquire<F>(
        &self,
        connect: impl Fn() -> F,
    ) -> Result<(SendRequest<RequestBody>, Stream), Refused>
    where
        F: Future<Output = Result<Way, Refused>> + 'static,
    {
        loop {
            let stream = match self.with_room() {
                Some(stream) => stream,
                None => self.add(&connect)?,
            };
            let way = stream.0.opened().await?;
            self.expected.set(way.streams_max().max(1));
            // Its own place counts among them.
            if stream.0.streams.get() <= way.streams_max() {
                let sender = way.sender.clone();
                return Ok((sender, stream));
            }
        }
    }

    /// Drops connections that are closed, lead elsewhere, or were without requests since before
    /// `oldest`. Says whether any is left.
    pub(super) fn sweep(&self, oldest: Instant) -> bool {
        let mut slots = self.slots.borrow_mut();
        slots.retain(|slot| slot.is_good() && (slot.streams.get() > 0 || slot.used.get() > oldest));
        !slots.is_empty()
    }

    /// Gives a connection no more requests. Those that are under way on it go on.
    pub(super) fn retire(&self, stream: &Stream) {
        let mut slots = self.slots.borrow_mut();
        slots.retain(|slot| !Rc::ptr_eq(slot, &stream.0));
    }

    fn with_room(&self) -> Option<Stream> {
        let mut slots = self.slots.borrow_mut();
        slots.retain(|slot| slot.is_good());
        let expected = self.expected.get();
        let free = slots.iter().filter(|slot| slot.has_room(expected));
        // Those that are open go first.
        let slot = free.min_by_key(|slot| (slot.way.get().is_none(), slot.streams.get()))?;
        Some(slot.stream())
    }

    fn add<F>(&self, connect: impl Fn() -> F) -> Result<Stream, Refused>
    where
        F: Future<Output = Result<Way, Refused>> + 'static,
    {
        let mut slots = self.slots.borrow_mut();
        if slots.len() >= CONNECTIONS_MAX {
            return Err(Refused::Full);
        }
        let slot = Rc::new(Slot {
            state: watch::Sender::new(State::Connecting),
            way: OnceCell::new(),
            streams: Cell::new(0),
            used: Cell::new(Instant::now()),
            heard: Cell::new(None),
        });
        slots.push(Rc::clone(&slot));
        let (connecting, making) = (connect(), Rc::clone(&slot));
        tokio::task::spawn_local(async move {
            let state = match connecting.await {
                Ok(way) => {
                    making.way.get_or_init(|| way);
                    State::Open
                }
                Err(refused) => State::Failed(refused),
            };
            making.state.send_replace(state);
        });
        Ok(slot.stream())
    }
}

impl Slot {
    /// Whether it takes requests, or may come to. What is under way on one that does not goes on.
    fn is_good(&self) -> bool {
        match self.way.get() {
            Some(way) => !way.sender.is_closed() && way.lead.holds(),
            None => !matches!(*self.state.borrow(), State::Failed(_)),
        }
    }

    /// Whether it takes one more request; where it is not open yet, it is `expected` to take so many.
    fn has_room(&self, expected: usize) -> bool {
        let max = self.way.get().map_or(expected, Way::streams_max);
        self.streams.get() < max
    }

    /// Waits until it is open.
    async fn opened(&self) -> Result<&Way, Refused> {
        if self.way.get().is_none() {
            let mut state = self.state.subscribe();
            let settled = state.wait_for(|state| !matches!(state, State::Connecting));
            if let Ok(State::Failed(refused)) = settled.await.as_deref() {
                return Err(refused.clone());
            }
        }
        self.way.get().ok_or_else(|| {
            Refused::Unreachable(
                io::ErrorKind::ConnectionAborted,
                "the connection was given up".to_owned(),
            )
        })
    }

    fn stream(self: &Rc<Self>) -> Stream {
        self.streams.set(self.streams.get() + 1);
        Stream(Rc::clone(self))
    }
}

impl Way {
    /// How many requests at once it takes.
    fn streams_max(&self) -> usize {
        self.allowance.streams().min(STREAMS_MAX)
    }
}

/// Writes a request as HTTP/2 has it: the host stands in the target, not in a field, and no field is
/// bound to the connection (RFC 9113, sections 8.2.2 and 8.3.1).
pub(super) fn as_http2(request: &mut Request<RequestBody>, scheme: &str) {
    // What is bound to a connection does not exist here; `TE` stays, but is not named as such.
    request.headers_mut().remove(CONNECTION);
    let host = request.headers_mut().remove(HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    let uri = format!("{scheme}://{}{path}", host.unwrap_or_default());
    if let Ok(uri) = uri.parse() {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
}

/// Undoes [`as_http2`].
pub(super) fn as_http1(request: &mut Request<RequestBody>) {
    let uri = std::mem::take(request.uri_mut());
    if let Some(host) = uri.authority()
        && let Ok(host) = HeaderValue::from_str(host.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    if request.headers().contains_key(TE) {
        let bound = HeaderValue::from_static("te");
        request.headers_mut().insert(CONNECTION, bound);
    }
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    #[test]
    fn a_request_is_the_same_after_it_was_written_as_http2_and_back() {
        for (host, target) in [
            ("api.example.net", "/a?b=c"),
            ("api.example.net:8080", "/"),
            ("[2001:db8::1]:80", "/?"),
        ] {
            let mut request = Request::new(RequestBody::Empty);
            *request.uri_mut() = target.parse().unwrap();
            let fields = request.headers_mut();
            fields.insert(HOST, HeaderValue::from_static(host));
            fields.insert(TE, HeaderValue::from_static("trailers"));
            fields.insert(CONNECTION, HeaderValue::from_static("te"));
            as_http2(&mut request, "https");
            assert_eq!(request.uri().to_string(), format!("https://{host}{target}"));
            assert_eq!(request.headers().len(), 1, "{:?}", request.headers());
            as_http1(&mut request);
            assert_eq!(request.uri(), target);
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(request.headers()[CONNECTION], "te");
            assert_eq!(request.headers().len(), 3);
        }
    }

    async fn never() -> Result<Way, Refused> {
        std::future::pending().await
    }

    async fn refused() -> Result<Way, Refused> {
        Err(Refused::TimedOut)
    }

    #[tokio::test]
    async fn requests_share_connections_up_to_both_bounds() {
        LocalSet::new().run_until(bounds()).await;
    }

    async fn bounds() {
        let connections = Connections::default();
        let mut held = Vec::new();
        for number in 0..STREAMS_MAX * CONNECTIONS_MAX {
            let stream = connections.with_room();
            assert_eq!(stream.is_none(), number % STREAMS_MAX == 0, "{number}");
            held.push(stream.unwrap_or_else(|| connections.add(never).unwrap()));
        }
        assert!(connections.with_room().is_none());
        assert!(matches!(connections.add(never), Err(Refused::Full)));
        held.pop();
        assert!(connections.with_room().is_some());
    }

    #[tokio::test]
    async fn all_that_wait_are_told_and_the_next_tries_anew() {
        LocalSet::new().run_until(told()).await;
    }

    async fn told() {
        let connections = Connections::default();
        let (one, two) = tokio::join!(connections.acquire(refused), connections.acquire(never));
        assert!(matches!(one, Err(Refused::TimedOut)));
        assert!(matches!(two, Err(Refused::TimedOut)));
        assert!(connections.with_room().is_none());
        assert!(!connections.sweep(Instant::now()));
    }
}
