//! Requests over HTTP/2: many on one connection, over several connections.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http2;
use platform::Network;
use tokio::time::{Instant, timeout_at};

use super::super::RequestBody;
use super::super::body::{Lease, Place};
use super::super::dial::{Opened, Sender, open};
use super::super::http2::{Refused, Stream, Way, as_http1, as_http2};
use super::{
    ExchangeError, Failed, Going, Lost, Outcome, Upstreams, Waits, bodiless, is_repeatable,
    unconnected, wrong_protocol,
};
use crate::route::Target;

impl<N: Network> Upstreams<N> {
    pub(super) async fn send_http2(
        &self,
        going: Going<'_>,
        mut request: Request<RequestBody>,
        spares: bool,
    ) -> Outcome {
        let repeatable = is_repeatable(&going, &request);
        let spare = (spares && repeatable).then(|| bodiless(&request));
        let mut repeated = false;
        loop {
            let acquired = self.acquire(&going).await;
            let (mut sender, stream) = match acquired {
                Ok(acquired) => acquired,
                Err(error) => return Err(Failed::new(error, Some(request))),
            };
            as_http2(&mut request, going.target.scheme());
            let exchange = sender.try_send_request(request);
            match self.response(exchange, going.upload).await {
                Ok(response) => {
                    let (parts, incoming) = response.into_parts();
                    let place = Place::Http2 {
                        incoming,
                        _stream: stream,
                    };
                    let occupancy = going.occupancy;
                    let body = self.body(Lease { place, occupancy });
                    return Ok(Response::from_parts(parts, body));
                }
                Err(Lost::Unsent(mut unsent, error)) => {
                    as_http1(&mut unsent);
                    if repeated {
                        let (error, request) = (ExchangeError::Closed(error.into()), Some(unsent));
                        return Err(Failed { error, request });
                    }
                    request = *unsent;
                }
                Err(Lost::Sent(error)) => return Err(Failed::sent(error, spare.as_ref())),
            }
            // The connection was going away; the next is another one.
            self.tally.upstream_repeated();
            repeated = true;
        }
    }

    /// A place on a connection of HTTP/2.
    async fn acquire(
        &self,
        going: &Going<'_>,
    ) -> Result<(http2::SendRequest<RequestBody>, Stream), ExchangeError> {
        let target = going.target;
        if !target.health.connecting() {
            return Err(ExchangeError::Overloaded);
        }
        let _waits = Waits(&target.health);
        let is_new = Cell::new(false);
        let connect = || {
            is_new.set(true);
            self.tally.upstream_opened();
            open_http2(
                self.network.clone(),
                target.clone(),
                self.timeouts.connect(),
            )
        };
        let acquired = going.bucket.http2.acquire(connect).await;
        if !is_new.get() {
            self.tally.upstream_reused();
        }
        acquired.map_err(|refused| match refused {
            Refused::TimedOut => ExchangeError::ConnectTimeout,
            Refused::Unreachable(kind, text) => unconnected(io::Error::new(kind, text)),
            Refused::Full => ExchangeError::Overloaded,
        })
    }
}

/// Makes a connection of HTTP/2, whoever waits for it.
async fn open_http2<N: Network>(
    network: N,
    target: Target,
    limit: Duration,
) -> Result<Way, Refused> {
    let until = Instant::now() + limit;
    let opened = timeout_at(until, open(&network, &target, until)).await;
    let Opened { sender, lead } = opened
        .map_err(|_| Refused::TimedOut)?
        .map_err(|error| Refused::Unreachable(error.kind(), error.to_string()))?;
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
