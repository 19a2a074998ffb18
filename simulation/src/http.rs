//! A small HTTP client for simulated hosts: one connection a request, and a deadline on all of it.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use platform::Network;
use tokio::time::timeout;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody accepted the connection, so the request was never sent.
    NotSent,
    /// The request was sent, or may have been, and no whole answer came in time.
    TimedOut,
    /// The request was sent, or may have been, and the connection broke.
    Broken,
}

/// Sends `request` to `address` (`host:port`) and reads the whole answer within `deadline`.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn send<N: Network>(
    network: &N,
    address: &str,
    request: http::Request<Full<bytes::Bytes>>,
    deadline: Duration,
) -> Result<Response, Failure> {
    let connected = timeout(deadline, network.connect(address)).await;
    let Ok(Ok(stream)) = connected else {
        return Err(Failure::NotSent);
    };
    match timeout(deadline, exchange(stream, request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => Err(Failure::Broken),
        Err(_) => Err(Failure::TimedOut),
    }
}

async fn exchange<S>(
    stream: S,
    request: http::Request<Full<bytes::Bytes>>,
) -> Result<Response, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answered = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
    .await;
    driver.abort();
    answered
}
