//! One request and its response's head.
//!
//! A kept connection may be closed by the origin while it is idle, and the close may arrive just
//! when the request is sent. Such a loss is not the origin's failure, so the request is sent once
//! more, on a new connection, where that cannot do anything twice: when it was certainly not sent,
//! or when it has no body and its method is idempotent (RFC 9110, section 9.2.2, forbids a proxy
//! more). For other requests the thread first lets the runtime look at its sockets, so that a close
//! that has already arrived is seen before the connection is used.

use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use platform::Network;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::UpstreamBody;
use super::pool::{Bucket, Pool};
use super::{ClientFault, RequestBody, Upload};
use crate::metrics::Tally;
use crate::route::Target;
use crate::settings::TimeoutSettings;

/// The longest head of a response, and the largest piece in which bodies are read: large enough
/// for every head we know, small enough that a thousand connections take 64 MiB at worst.
const READ_BYTES_MAX: usize = 64 * 1024;

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
    Closed(#[source] hyper::Error),
    /// What the origin sent is no response.
    #[error("the target's answer is not HTTP")]
    Malformed(#[source] hyper::Error),
    /// The client's part broke off.
    #[error("the request broke off")]
    Client(#[source] ClientFault),
}

/// A thread's way to the origins.
#[derive(Debug)]
pub struct Upstreams<N> {
    network: N,
    pool: Pool,
    timeouts: TimeoutSettings,
    tally: Arc<Tally>,
}

/// A connection in use, and where it goes back to.
type Connection = (SendRequest<RequestBody>, Rc<Bucket>);

/// How one attempt ended without a response.
enum Lost {
    /// The request was never sent; here it is back.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
    /// It was sent, perhaps in part.
    Sent(ExchangeError),
}

impl<N: Network> Upstreams<N> {
    /// A way to the origins with an empty pool.
    pub fn new(network: N, timeouts: TimeoutSettings, tally: Arc<Tally>) -> Self {
        Self {
            network,
            pool: Pool::new(timeouts.idle()),
            timeouts,
            tally,
        }
    }

    /// Sends a request, whose target is in origin form, and waits for the response's head.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn send(
        &self,
        target: &Target,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
    ) -> Result<Response<UpstreamBody>, ExchangeError> {
        let bucket = self.pool.bucket(&target.authority);
        let repeatable = upload.is_none() && is_idempotent(request.method());
        let Some(sender) = self.kept(&bucket, repeatable).await else {
            return self.send_anew(target, bucket, request, upload).await;
        };
        self.tally.upstream_reused();
        let spare = repeatable.then(|| bodiless(&request));
        match self
            .attempt((sender, Rc::clone(&bucket)), request, upload)
            .await
        {
            Ok(response) => Ok(response),
            Err(Lost::Unsent(request, _)) => self.repeat(target, bucket, *request, upload).await,
            Err(Lost::Sent(ExchangeError::Closed(error))) => match spare {
                Some(request) => self.repeat(target, bucket, request, upload).await,
                None => Err(ExchangeError::Closed(error)),
            },
            Err(Lost::Sent(error)) => Err(error),
        }
    }

    /// Drops what was idle for too long; to be called now and then.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    async fn kept(&self, bucket: &Bucket, repeatable: bool) -> Option<SendRequest<RequestBody>> {
        if repeatable {
            return bucket.take(self.timeouts.idle());
        }
        // The runtime polls its sockets before it comes back to a task that yielded.
        tokio::task::yield_now().await;
        bucket.take(self.timeouts.idle())
    }

    async fn repeat(
        &self,
        target: &Target,
        bucket: Rc<Bucket>,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
    ) -> Result<Response<UpstreamBody>, ExchangeError> {
        self.tally.upstream_repeated();
        self.send_anew(target, bucket, request, upload).await
    }

    async fn send_anew(
        &self,
        target: &Target,
        bucket: Rc<Bucket>,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
    ) -> Result<Response<UpstreamBody>, ExchangeError> {
        let sender = self.connect(target).await?;
        self.attempt((sender, bucket), request, upload)
            .await
            .map_err(|lost| match lost {
                Lost::Unsent(_, error) => ExchangeError::Closed(error),
                Lost::Sent(error) => error,
            })
    }

    async fn connect(&self, target: &Target) -> Result<SendRequest<RequestBody>, ExchangeError> {
        self.tally.upstream_opened();
        let connecting = timeout(
            self.timeouts.connect(),
            self.network.connect(&target.authority),
        )
        .await;
        let stream = connecting
            .map_err(|_| ExchangeError::ConnectTimeout)?
            .map_err(ExchangeError::Unreachable)?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_BYTES_MAX);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ExchangeError::Closed)?;
        // How it ended is told to whoever uses the connection, or does not matter to anyone.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn attempt(
        &self,
        (mut sender, bucket): Connection,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
    ) -> Result<Response<UpstreamBody>, Lost> {
        let response = self.response(&mut sender, request, upload).await?;
        Ok(response.map(|body| {
            UpstreamBody::new(
                body,
                self.timeouts.idle(),
                (sender, bucket),
                Arc::clone(&self.tally),
            )
        }))
    }

    async fn response(
        &self,
        sender: &mut SendRequest<RequestBody>,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
    ) -> Result<Response<Incoming>, Lost> {
        let limit = self.timeouts.response_header();
        let mut exchange = std::pin::pin!(sender.try_send_request(request));
        let mut deadline = std::pin::pin!(sleep_until(Instant::now() + limit));
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
    Lost::Sent(if is_close(&error) {
        ExchangeError::Closed(error)
    } else {
        ExchangeError::Malformed(error)
    })
}

/// Whether the connection ended, as against a peer that speaks something else.
fn is_close(error: &hyper::Error) -> bool {
    let broken = |error: &io::Error| {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
        };
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
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

/// RFC 9110, section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
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
