//! A request that asks an origin to speak something else: one exchange on a connection of its own,
//! which then is either the other protocol's or, with the end of an ordinary answer, at its end.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{BodyError, Hold, IdleDeadline};
use crate::settings::TimeoutSettings;

/// The longest head of a response, and the largest piece in which its body is read.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer to such a request.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The origin did not begin its answer in time.
    #[error("the target did not answer in time")]
    Timeout,
    /// The connection ended before an answer did begin.
    #[error("the target closed the connection without an answer")]
    Closed(#[source] hyper::Error),
    /// What the origin sent is no answer.
    #[error("the target's answer is not HTTP")]
    Malformed(#[source] hyper::Error),
}

/// The body of an ordinary answer to such a request.
#[derive(Debug)]
pub struct LoneBody {
    incoming: Incoming,
    idle: IdleDeadline,
    /// The connection, for as long as it is read.
    _connection: SendRequest<Empty<Bytes>>,
    /// Its place at the target.
    hold: Option<Hold>,
}

/// Sends a request without a body, whose target is in origin form, and waits for the answer's head.
/// Where that says 101, hyper's `OnUpgrade` of it leads to the origin.
///
/// # Errors
/// When there is no answer.
pub async fn ask<S>(
    stream: S,
    request: Request<()>,
    timeouts: &TimeoutSettings,
) -> Result<Response<LoneBody>, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    builder.max_buf_size(READ_BYTES_MAX);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(UpgradeError::Closed)?;
    // How it ended is told to whoever uses it, or does not matter to anyone.
    let connection = connection.with_upgrades();
    tokio::task::spawn_local(async move { drop(connection.await) });
    let asking = sender.send_request(request.map(|()| Empty::new()));
    let response = timeout(timeouts.response_header(), asking)
        .await
        .map_err(|_| UpgradeError::Timeout)?
        .map_err(lost)?;
    Ok(response.map(|incoming| LoneBody {
        incoming,
        idle: IdleDeadline::new(timeouts.idle()),
        _connection: sender,
        hold: None,
    }))
}

impl LoneBody {
    /// The same, which keeps its place at the target to its end.
    #[must_use]
    pub fn holding(self, hold: Hold) -> Self {
        Self {
            hold: Some(hold),
            ..self
        }
    }

    fn broke(&mut self, error: BodyError) -> BodyError {
        if let Some(hold) = self.hold.take() {
            hold.failed();
        }
        error
    }
}

/// Whether the connection ended, as against a peer that speaks something else.
fn lost(error: hyper::Error) -> UpgradeError {
    let broken = error
        .source()
        .is_some_and(|source| source.is::<io::Error>());
    if broken || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        UpgradeError::Closed(error)
    } else {
        UpgradeError::Malformed(error)
    }
}

impl Body for LoneBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
            ready!(this.idle.poll_expired(cx));
            return Poll::Ready(Some(Err(this.broke(BodyError::Stalled))));
        };
        this.idle.arrived();
        let broke = |error: hyper::Error| this.broke(BodyError::Broken(error.into()));
        Poll::Ready(frame.map(|frame| frame.map_err(broke)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
