//! Requests over HTTP/2: many on one connection, over several connections.
//!
//! | a request is lost | sent once more, at once |
//! |---|---|
//! | unsent: the connection had ended, or was told to | yes; on connections that were kept, as often as that happens |
//! | unprocessed: the origin refused it, or goes away and did not look at it | yes, where it has no body |
//! | sent, and the connection ended that was kept | where it may be repeated |
//! | otherwise | no |

use std::cell::Cell;
use std::error::Error as _;
use std::io;
use std::time::Duration;

use h2::Reason;
use http::{Request, Response};
use hyper::client::conn::http2;
use platform::Network;
use tokio::time::{Instant, timeout_at};

use super::super::RequestBody;
use super::super::body::{Lease, Place, Trial};
use super::super::dial::{Opened, Sender, open};
use super::super::http2::{Refused, Stream, Way, as_http1, as_http2};
use super::{
    ExchangeError, Failed, Going, Lost, Outcome, Upstreams, Waits, bodiless, is_repeatable,
    unconnected, wrong_protocol,
};
use crate::route::Target;

/// How an origin says that it did nothing about a request (RFC 9113, section 8.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not take this one now.
    Stream,
    /// It goes away, as servers do that are replaced.
    Leaves,
    /// It goes away because something is wrong.
    Breaks,
}

impl Refusal {
    /// What an error says. Of an origin that goes away, h2 tells the streams alone that came after
    /// the last that it looked at.
    pub(super) fn of(error: &hyper::Error) -> Option<Self> {
        let cause = error.source()?.downcast_ref::<h2::Error>()?;
        if !cause.is_remote() {
            return None;
        }
        match cause.reason()? {
            Reason::REFUSED_STREAM if cause.is_reset() => Some(Self::Stream),
            Reason::NO_ERROR if cause.is_go_away() => Some(Self::Leaves),
            _ => cause.is_go_away().then_some(Self::Breaks),
        }
    }

    /// What that means for the exchange.
    pub(super) fn error(self, error: hyper::Error) -> ExchangeError {
        match self {
            Self::Stream | Self::Leaves => ExchangeError::Refused(error),
            Self::Breaks => ExchangeError::Closed(error.into()),
        }
    }
}

impl<N: Network> Upstreams<N> {
    pub(super) async fn send_http2(
        &self,
        going: Going<'_>,
        mut request: Request<RequestBody>,
    ) -> Outcome {
        let repeatable = is_repeatable(&going, &request);
        let spare = going.upload.is_none().then(|| bodiless(&request));
        let mut repeated = false;
        loop {
            let (mut sender, stream) = match self.acquire(&going).await {
                Ok(acquired) => acquired,
                Err(error) => return Err(Failed::new(error, Some(Box::new(request)))),
            };
            as_http2(&mut request, going.target.scheme());
            let sent = Instant::now();
            let exchange = sender.try_send_request(request);
            let lost = match self.response(exchange, &going).await {
                Ok(response) => {
                    stream.answered();
                    let (parts, incoming) = response.into_parts();
                    let place = Place::Http2 {
                        incoming,
                        _stream: stream,
                    };
                    let trial = Trial::new(going.occupancy);
                    let body = self.body(Lease { place, trial });
                    return Ok(Response::from_parts(parts, body));
                }
                Err(lost) => lost,
            };
            if is_fatal(&lost, stream.was_heard_since(sent)) {
                going.bucket.http2.retire(&stream);
            }
            // Of connections that have been of use, several may have ended at once, and none of
            // them takes another request.
            let was_kept = stream.has_answered();
            let is_free = was_kept && matches!(lost, Lost::Unsent(..));
            let may_repeat = is_free || !repeated && is_repeated(&lost, was_kept);
            let (error, again) = remains(lost, spare.as_ref(), repeatable);
            request = match again {
                Some(again) if may_repeat => again,
                again => return Err(Failed::new(error, again.map(Box::new))),
            };
            self.tally.upstream_repeated();
            repeated |= !is_free;
        }
    }

    /// A place on a connection of HTTP/2.
    async fn acquire(
        &self,
        going: &Going<'_>,
    ) -> Result<(http2::SendRequest<RequestBody>, Stream), ExchangeError> {
        let target = going.target;
        let connections = &going.bucket.http2;
        if let Some(ready) = connections.ready() {
            self.tally.upstream_reused();
            return Ok(ready);
        }
        let _waits = Waits::begin(target)?;
        let is_new = Cell::new(false);
        let connect = || {
            is_new.set(true);
            self.tally.upstream_opened();
            open_http2(
                self.network.clone(),
                target.clone(),
                self.timeouts.connect(),
                self.silence(),
            )
        };
        let acquired = timeout_at(going.until, connections.acquire(connect)).await;
        if !is_new.get() {
            self.tally.upstream_reused();
        }
        acquired.unwrap_or(Err(Refused::TimedOut)).map_err(told)
    }
}

/// What it means that there is no connection, for each that waited for it.
pub(super) fn told(refused: Refused) -> ExchangeError {
    match refused {
        Refused::TimedOut => ExchangeError::ConnectTimeout,
        Refused::System(error) => unconnected(io::Error::from_raw_os_error(error)),
        Refused::Unreachable(kind, text) => unconnected(io::Error::new(kind, text)),
        Refused::Full => ExchangeError::Overloaded,
    }
}

/// Makes a connection of HTTP/2, whoever waits for it.
async fn open_http2<N: Network>(
    network: N,
    target: Target,
    limit: Duration,
    silence: Duration,
) -> Result<Way, Refused> {
    let until = Instant::now() + limit;
    let opened = timeout_at(until, open(&network, &target, until, silence)).await;
    let Opened { sender, lead } = opened
        .map_err(|_| Refused::TimedOut)?
        .map_err(|error| Refused::of(&error))?;
    match sender {
        Sender::Http2(sender, allowance) => Ok(Way {
            sender,
            allowance,
            lead,
        }),
        Sender::Http1(_) => Err(Refused::Unreachable(
            io::ErrorKind::Unsupported,
            wrong_protocol().to_string(),
        )),
    }
}

/// Whether the connection is of no use to others either. One on which none of its requests got an
/// answer in time is not known to be, but it is not for others to find out.
fn is_fatal(lost: &Lost, was_heard: bool) -> bool {
    match lost {
        Lost::Unsent(..) => true,
        Lost::Unprocessed(ExchangeError::Refused(error)) => {
            Refusal::of(error) == Some(Refusal::Leaves)
        }
        Lost::Unprocessed(_) => true,
        Lost::Sent(ExchangeError::Timeout) => !was_heard,
        Lost::Sent(error) => matches!(error, ExchangeError::Closed(_)),
    }
}

/// Whether the request is sent once more at once, where it may be.
fn is_repeated(lost: &Lost, was_kept: bool) -> bool {
    match lost {
        Lost::Unsent(..) | Lost::Unprocessed(_) => true,
        Lost::Sent(error) => was_kept && matches!(error, ExchangeError::Closed(_)),
    }
}

/// Why it was lost, and the request, where it may be sent once more: what was perhaps acted on only
/// if it is `repeatable`.
fn remains(
    lost: Lost,
    spare: Option<&Request<RequestBody>>,
    repeatable: bool,
) -> (ExchangeError, Option<Request<RequestBody>>) {
    match lost {
        Lost::Unsent(mut unsent, error) => {
            as_http1(&mut unsent);
            (ExchangeError::Closed(error.into()), Some(*unsent))
        }
        Lost::Unprocessed(error) => (error, spare.map(bodiless)),
        Lost::Sent(error) => (error, spare.filter(|_| repeatable).map(bodiless)),
    }
}
