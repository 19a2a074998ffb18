//! A client made of h3 and h3-quinn, which share nothing with how the edge carries HTTP/3.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{ConnectionError, StreamError};
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Request, Response};
use platform::{Network, TokioNetwork};
use quinn::crypto::rustls::QuicClientConfig;
use tokio::task::JoinHandle;

use crate::client::Answer;
use crate::publish::HOST;
use crate::secured;

pub(super) type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// How clients here speak QUIC.
pub(super) fn config(alpn: &[&str]) -> quinn::ClientConfig {
    let mut tls = secured::client(alpn, &[&rustls::version::TLS13]);
    // So that it shows whether the server takes any.
    tls.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// A client's socket.
pub(super) fn endpoint() -> quinn::Endpoint {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    TokioNetwork.quic(free, None).unwrap()
}

/// A connection for a host, on which nothing is said yet.
pub(super) async fn dial(
    to: SocketAddr,
    host: &str,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    let connecting = endpoint().connect_with(config(&["h3"]), to, host);
    connecting.unwrap().await
}

/// A connection of HTTP/3.
pub(super) struct Client {
    pub(super) quic: quinn::Connection,
    pub(super) sender: SendRequest<OpenStreams, Bytes>,
    pub(super) ended: JoinHandle<ConnectionError>,
}

impl Client {
    /// For [`HOST`].
    pub(super) async fn connect(to: SocketAddr) -> Self {
        Self::over(dial(to, HOST).await.unwrap()).await
    }

    pub(super) async fn over(quic: quinn::Connection) -> Self {
        let connection = h3_quinn::Connection::new(quic.clone());
        let (mut driver, sender) = h3::client::new(connection).await.unwrap();
        let ended = tokio::spawn(async move { driver.wait_idle().await });
        Self {
            quic,
            sender,
            ended,
        }
    }

    /// Waits until the edge lets it go without an error. It may not hear that: see `raw::closing`.
    pub(super) async fn let_go(self) {
        let ended = self.ended.await.unwrap();
        let is_forgotten = ended.to_string().contains("reset by peer");
        assert!(ended.is_h3_no_error() || is_forgotten, "{ended}");
    }

    /// Sends a request's head.
    pub(super) async fn begin(&self, request: Request<()>) -> Result<Stream, StreamError> {
        self.sender.clone().send_request(request).await
    }

    /// Sends a request with a body, and reads the answer.
    pub(super) async fn ask(&self, request: Request<()>, body: &[u8]) -> Answer {
        let mut stream = self.begin(request).await.unwrap();
        if !body.is_empty() {
            let body = Bytes::copy_from_slice(body);
            stream.send_data(body).await.unwrap();
        }
        stream.finish().await.unwrap();
        answer(&mut stream).await.unwrap()
    }
}

/// A request for [`HOST`].
pub(super) fn get(path: &str) -> Request<()> {
    to(HOST, path)
}

pub(super) fn to(host: &str, path: &str) -> Request<()> {
    let uri = format!("https://{host}{path}");
    Request::get(uri).body(()).unwrap()
}

pub(super) fn post(path: &str) -> Request<()> {
    let uri = format!("https://{HOST}{path}");
    Request::post(uri).body(()).unwrap()
}

/// The next piece of an answer's body.
pub(super) async fn piece<S: h3::quic::RecvStream>(
    stream: &mut RequestStream<S, Bytes>,
) -> Result<Option<Bytes>, StreamError> {
    let piece = stream.recv_data().await?;
    Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
}

/// The rest of an answer's body, and its trailers.
pub(super) async fn rest<S: h3::quic::RecvStream>(
    stream: &mut RequestStream<S, Bytes>,
) -> Result<(Bytes, Option<HeaderMap>), StreamError> {
    let mut body = Vec::new();
    while let Some(piece) = piece(stream).await? {
        body.extend_from_slice(&piece);
    }
    Ok((body.into(), stream.recv_trailers().await?))
}

/// An answer, head and body.
pub(super) async fn answer(stream: &mut Stream) -> Result<Answer, StreamError> {
    let response: Response<()> = stream.recv_response().await?;
    let (body, _) = rest(stream).await?;
    let (parts, ()) = response.into_parts();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}
