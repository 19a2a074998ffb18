//! One request to one target, and its response's head.
//!
//! A kept connection may be closed by the origin while it is idle, and the close may arrive just
//! when the request is sent. Such a loss is not the origin's failure, so the request is sent once
//! more, on a new connection, where that cannot do anything twice: when it was certainly not sent,
//! or when it has no body and its method is idempotent (RFC 9110, section 9.2.2, forbids a proxy
//! more); what is sent again are the bytes of its head. For other requests the thread first lets the
//! runtime look at its sockets, so that a close that has already arrived is seen before the
//! connection is used. Over HTTP/2 an origin can also say that it did nothing about a request.
//!
//! When an exchange fails, the request is given back wherever it may be sent elsewhere, by the same
//! rule. Whether it is, is the proxy's matter.

mod alone;
mod http1;
mod multiplexed;

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::model::Protocol;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use platform::Network;
use rustix::io::Errno;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use self::alone::Hold;
use self::multiplexed::Refusal;
use super::body::{Lease, UpstreamBody};
use super::pool::{Bucket, Gauge, Pool};
use super::{Cause, ClientFault, RequestBody, Upload};
use crate::health::{Occupancy, TargetHealth};
use crate::metrics::Tally;
use crate::route::Target;
use crate::settings::TimeoutSettings;

/// The shortest silence that says anything: a lost packet or two are none.
const SILENCE_MIN: Duration = Duration::from_secs(1);

/// The longest that a connection may be silent, where requests have more time than usual.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nobody answers at the target's address, or its name does not resolve.
    #[error("the target cannot be connected to")]
    Unreachable(#[source] io::Error),
    /// Connecting took too long.
    #[error("connecting to the target took too long")]
    ConnectTimeout,
    /// The origin did not begin its response in time.
    #[error("the target did not answer in time")]
    Timeout,
    /// The connection ended before a response did begin.
    #[error("the target closed the connection without an answer")]
    Closed(#[source] Cause),
    /// The origin did nothing about the request: it is going away, or has as many as it takes.
    #[error("the target refused the request before it did anything about it")]
    Refused(#[source] hyper::Error),
    /// What the origin sent is no response.
    #[error("the target's answer is not HTTP")]
    Malformed(#[source] Cause),
    /// The client's part broke off.
    #[error("the request broke off")]
    Client(#[source] ClientFault),
    /// The target has as many requests, or as many waiting for a connection, as it takes.
    #[error("the target has as many requests as it takes")]
    Overloaded,
}

impl ExchangeError {
    /// Whether the target was too slow for the time that it had.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::Timeout)
    }

    /// Whether the target had no part in it: it is the client's doing, or the edge's own want of
    /// sockets, or the target has told in order that somebody else should be asked.
    #[must_use]
    pub fn is_innocent(&self) -> bool {
        match self {
            Self::Client(_) | Self::Overloaded | Self::Refused(_) => true,
            Self::Unreachable(error) => is_shortage(error),
            Self::ConnectTimeout | Self::Timeout | Self::Closed(_) | Self::Malformed(_) => false,
        }
    }
}

/// Whether there is no connection because this machine has no file, port or buffer left for it.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS)
    )
}

/// An exchange without a response.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: ExchangeError,
    /// The request, where sending it once more cannot do anything twice.
    pub request: Option<Box<Request<RequestBody>>>,
}

impl Failed {
    fn new(error: ExchangeError, request: Option<Box<Request<RequestBody>>>) -> Self {
        Self { error, request }
    }
}

/// What goes with a request, however often it is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attached<'a> {
    /// Lines of its head that are not among its fields. Only for targets of HTTP/1.1.
    pub lines: Option<&'a [u8]>,
    /// How far its body is, where it has one.
    pub upload: Option<&'a Upload>,
}

/// An exchange under way.
struct Going<'a> {
    target: &'a Target,
    bucket: Rc<Bucket>,
    occupancy: Occupancy<Gauge>,
    lines: &'a [u8],
    upload: Option<&'a Upload>,
    /// When the response's head must be here, where no body has moved meanwhile.
    until: Instant,
}

type Outcome = Result<Response<UpstreamBody>, Failed>;

/// A thread's way to the origins.
#[derive(Debug)]
pub struct Upstreams<N> {
    network: N,
    pool: Pool,
    /// Which of a target's counters of requests is this thread's.
    lane: usize,
    timeouts: TimeoutSettings,
    tally: Arc<Tally>,
}

/// How one attempt ended without a response.
enum Lost {
    /// The request was never sent; here it is back.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
    /// It was sent, and certainly nothing was done about it.
    Unprocessed(ExchangeError),
    /// It was sent, perhaps in part.
    Sent(ExchangeError),
}

impl<N: Network> Upstreams<N> {
    /// A way to the origins with an empty pool.
    pub fn new(network: N, timeouts: TimeoutSettings, tally: Arc<Tally>, lane: usize) -> Self {
        Self {
            network,
            pool: Pool::new(timeouts.idle()),
            lane,
            timeouts,
            tally,
        }
    }

    /// Sends a request, whose target is in origin form, and waits for the response's head, until
    /// `until` and for as long as the request's body moves. With `spares`, a request that was sent
    /// in vain is given back if that may be.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn send(
        &self,
        target: &Target,
        request: Box<Request<RequestBody>>,
        attached: Attached<'_>,
        spares: bool,
        until: Instant,
    ) -> Outcome {
        let bucket = self.pool.bucket(&target.pool_key);
        let gauge = bucket.gauge(&target.health);
        let Some(occupancy) = TargetHealth::occupy(gauge, self.lane) else {
            return Err(Failed::new(ExchangeError::Overloaded, Some(request)));
        };
        let going = Going {
            target,
            bucket,
            occupancy,
            lines: attached.lines.unwrap_or_default(),
            upload: attached.upload,
            until,
        };
        match target.protocol {
            Protocol::Http1 => self.send_http1(going, request, spares).await,
            Protocol::H2 | Protocol::H2c => Box::pin(self.send_http2(going, *request)).await,
        }
    }

    /// For how long a connection that requests share may be without a sign of life: half of the time
    /// that its requests have, so that each has as much again on another connection.
    fn silence(&self) -> Duration {
        let half = self.timeouts.response_header() / 2;
        half.clamp(SILENCE_MIN, SILENCE_MAX)
    }

    /// Makes a connection by the deadline for that, and by `until`.
    async fn in_time<T, F>(
        &self,
        until: Instant,
        connecting: impl FnOnce(Instant) -> F,
    ) -> Result<T, ExchangeError>
    where
        F: Future<Output = io::Result<T>>,
    {
        self.tally.upstream_opened();
        let until = until.min(Instant::now() + self.timeouts.connect());
        timeout_at(until, connecting(until))
            .await
            .map_err(|_| ExchangeError::ConnectTimeout)?
            .map_err(unconnected)
    }

    /// Drops what was idle for too long; to be called now and then.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    fn body(&self, lease: Lease) -> UpstreamBody {
        UpstreamBody::new(self.timeouts.idle(), lease, &self.tally)
    }

    async fn response(
        &self,
        exchange: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
        going: &Going<'_>,
    ) -> Result<Response<Incoming>, Lost> {
        let (limit, upload) = (self.timeouts.response_header(), going.upload);
        let mut exchange = std::pin::pin!(exchange);
        let mut deadline = std::pin::pin!(sleep_until(going.until));
        loop {
            tokio::select! {
                biased;
                outcome = &mut exchange => return outcome.map_err(|mut error| {
                    let message = error.take_message();
                    lost(error.into_error(), message, upload)
                }),
                () = &mut deadline => {}
            }
            match upload.map(|upload| upload.answer_due(limit)) {
                Some(due) if due > Instant::now() => deadline.as_mut().reset(due),
                _ => return Err(Lost::Sent(ExchangeError::Timeout)),
            }
        }
    }
}

/// A wait for a connection, however it ends.
struct Waits<'a>(&'a TargetHealth);

impl<'a> Waits<'a> {
    /// Begins to wait, unless as many wait as may.
    fn begin(target: &'a Target) -> Result<Self, ExchangeError> {
        if target.health.connecting() {
            Ok(Self(&target.health))
        } else {
            Err(ExchangeError::Overloaded)
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.connected();
    }
}

/// What it means that there is no connection.
fn unconnected(error: io::Error) -> ExchangeError {
    if error.kind() == io::ErrorKind::TimedOut {
        return ExchangeError::ConnectTimeout;
    }
    ExchangeError::Unreachable(error)
}

/// A connection is of the protocol that the target has; this is never seen.
fn wrong_protocol() -> ExchangeError {
    ExchangeError::Unreachable(io::ErrorKind::Unsupported.into())
}

/// Whether sending a request twice is as good as sending it once.
fn is_repeatable(going: &Going<'_>, request: &Request<RequestBody>) -> bool {
    going.upload.is_none() && request.method().is_idempotent()
}

fn lost(
    error: hyper::Error,
    message: Option<Request<RequestBody>>,
    upload: Option<&Upload>,
) -> Lost {
    if let Some(request) = message {
        return Lost::Unsent(Box::new(request), error);
    }
    if let Some(fault) = upload.and_then(Upload::fault) {
        return Lost::Sent(ExchangeError::Client(fault));
    }
    if let Some(refusal) = Refusal::of(&error) {
        return Lost::Unprocessed(refusal.error(error));
    }
    Lost::Sent(if is_close(&error) {
        ExchangeError::Closed(error.into())
    } else {
        ExchangeError::Malformed(error.into())
    })
}

/// Whether the connection ended, as against a peer that speaks something else.
fn is_close(error: &hyper::Error) -> bool {
    let broken = |error: &io::Error| {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable,
            NotConnected, TimedOut, UnexpectedEof,
        };
        matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionReset
                | HostUnreachable
                | NetworkUnreachable
                | NotConnected
                | TimedOut
                | UnexpectedEof
        )
    };
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || source.is_some_and(broken)
}

/// The same request once more; it has no body.
fn bodiless(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut spare = Request::new(RequestBody::Empty);
    spare.method_mut().clone_from(request.method());
    spare.uri_mut().clone_from(request.uri());
    *spare.version_mut() = request.version();
    spare.headers_mut().clone_from(request.headers());
    spare
}

#[cfg(test)]
mod tests {
    use super::super::http2::Refused;
    use super::*;

    #[test]
    fn what_this_machine_has_not_enough_of_is_no_fault_of_a_target() {
        for (errno, innocent) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::NOBUFS, true),
            (Errno::CONNREFUSED, false),
            (Errno::HOSTUNREACH, false),
            (Errno::TIMEDOUT, false),
        ] {
            let error = || io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(unconnected(error()).is_innocent(), innocent, "{errno:?}");
            // All that wait for a shared connection are told the same.
            let shared = multiplexed::told(Refused::of(&error()));
            assert_eq!(shared.is_innocent(), innocent, "{errno:?}");
        }
    }
}
