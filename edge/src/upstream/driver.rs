//! Drives a connection of HTTP/2, and knows how many requests at once its peer allows on it
//! (RFC 9113, section 5.1.2). What goes beyond would wait within hyper, behind requests that may
//! take forever, while another connection has room.
//!
//! A connection is open when the peer's settings are here, which are the first that a peer sends:
//! until then nobody knows what it allows, nor whether it speaks HTTP/2 at all.
//!
//! ```text
//!   hyper's task of the connection ──▶ looks after each of its turns ──▶ Allowance ◀── requests
//!    (settings come in it)
//! ```

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::Poll;

use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::TokioTimer;
use tokio::sync::Notify;

use super::RequestBody;

/// The longest head of a response.
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// How much of one response an origin may send before the client has taken any.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same over all responses of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Stands for not knowing.
const UNKNOWN: usize = 0;

/// How many requests at once a peer allows on a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Rc<Known>);

#[derive(Default)]
struct Known {
    streams: Cell<usize>,
    /// Asks the connection.
    read: OnceCell<Box<dyn Fn() -> Option<usize>>>,
    /// The connection has ended.
    ended: Cell<bool>,
    changed: Notify,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("streams", &self.streams)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Runs on this thread what hyper wants to have run, and looks what has come of the first of it:
/// that is the connection itself.
#[derive(Clone)]
struct Local {
    known: Weak<Known>,
    begun: Rc<Cell<bool>>,
}

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        if self.begun.replace(true) {
            tokio::task::spawn_local(async move { drop(future.await) });
            return;
        }
        let known = Weak::clone(&self.known);
        tokio::task::spawn_local(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                if let Some(known) = known.upgrade() {
                    known.look();
                }
                polled.map(drop)
            })
            .await;
        });
    }
}

/// Opens a connection: until the peer's settings are here.
///
/// # Errors
/// When the peer speaks something else, or ends the connection.
pub(super) async fn open<S>(stream: S) -> io::Result<(SendRequest<RequestBody>, Allowance)>
where
    S: Read + Write + Unpin + 'static,
{
    let allowance = Allowance::default();
    let local = Local {
        known: Rc::downgrade(&allowance.0),
        begun: Rc::default(),
    };
    let mut builder = Builder::new(local);
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(UNKNOWN)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
    let connection = Rc::new(RefCell::new(Some(connection)));
    let asked = Rc::clone(&connection);
    allowance.0.read.get_or_init(|| {
        Box::new(move || {
            let connection = asked.try_borrow().ok()?;
            Some(connection.as_ref()?.current_max_send_streams())
        })
    });
    tokio::task::spawn_local(drive(connection, Rc::downgrade(&allowance.0)));
    allowance.known().await?;
    Ok((sender, allowance))
}

/// Drives a connection to its end. How it ended is told to whoever uses it, or does not matter to
/// anyone.
async fn drive<S>(
    connection: Rc<RefCell<Option<Connection<S, RequestBody, Local>>>>,
    known: Weak<Known>,
) where
    S: Read + Write + Unpin + 'static,
{
    poll_fn(|cx| match connection.borrow_mut().as_mut() {
        Some(connection) => Pin::new(connection).poll(cx).map(drop),
        None => Poll::Ready(()),
    })
    .await;
    connection.take();
    if let Some(known) = known.upgrade() {
        known.ended.set(true);
        known.changed.notify_one();
    }
}

impl Allowance {
    /// How many requests at once.
    pub(super) fn streams(&self) -> usize {
        self.0.streams.get()
    }

    /// Waits until that is known.
    async fn known(&self) -> io::Result<()> {
        while self.0.streams.get() == UNKNOWN {
            if self.0.ended.get() {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "the target does not begin as HTTP/2 does",
                ));
            }
            self.0.changed.notified().await;
        }
        Ok(())
    }
}

impl Known {
    fn look(&self) {
        let streams = self.read.get().and_then(|read| read());
        if let Some(streams) = streams.filter(|streams| *streams != self.streams.get()) {
            self.streams.set(streams);
            self.changed.notify_one();
        }
    }
}
