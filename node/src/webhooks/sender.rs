//! One attempt to deliver a webhook. It takes a signed request and says what came of it; whether
//! and when there is another attempt, and what is written down, are the caller's matters.
//!
//! The receiver is a stranger. A name is resolved once, every address that comes back is judged,
//! and the connection goes to one of those addresses, so that a name that resolves otherwise a
//! moment later changes nothing. Redirects are not followed, because where they lead was not
//! judged. Time and bytes are bounded. No connection is reused: receivers get few requests each, and
//! what one has sent too much must not be read as the answer to the next.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use platform::Network;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::Host;

use super::address::{AddressPolicy, Receiver, Scheme};
use super::resolver::Resolver;

/// How long an attempt may take, from resolving the name to the last byte that is read. Receivers
/// are told to answer first and work later.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long one address may take to accept a connection, so that another one gets its turn.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// How many addresses of a name are tried: as many as fit into [`DEADLINE`].
const ADDRESSES_MAX: usize = 3;

/// How much of a response's head, and then of its body, is read: more than any answer that means
/// something, and little enough for thousands of attempts at once.
const READ_BYTES_MAX: usize = 16 * 1024;

/// How much of a response's body, or of an error, is kept, for its reader to see what went wrong.
const KEPT_BYTES_MAX: usize = 1024;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("VectorGate-Webhooks/", env!("CARGO_PKG_VERSION")));

/// Sends webhooks.
#[derive(Clone)]
pub(crate) struct Sender<N> {
    network: N,
    resolver: Resolver<N>,
    policy: AddressPolicy,
    tls: TlsConnector,
    deadline: Duration,
}

/// What came of an attempt: a status, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempted {
    /// The response's status, if its head arrived in time.
    pub(crate) status: Option<u16>,
    /// Why there is no status; it may be shown to the endpoint's owner.
    pub(crate) error: Option<String>,
    /// How long it took until one of the two was known.
    pub(crate) latency: Duration,
    /// How the response's body begins, whatever of it arrived in time.
    pub(crate) head: String,
}

/// A response whose body is still to be read, and the task that reads it.
type Answer = (Response<Incoming>, AbortOnDropHandle<()>);

impl<N: Network> Sender<N> {
    /// Sends where `policy` allows, to receivers that `roots` vouch for.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(
        network: N,
        policy: AddressPolicy,
        roots: RootCertStore,
    ) -> Result<Self, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(platform::tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            resolver: Resolver::new(network.clone()),
            network,
            policy,
            tls: TlsConnector::from(Arc::new(config)),
            deadline: DEADLINE,
        })
    }

    /// Takes a URL apart and judges it.
    ///
    /// # Errors
    /// With what is wrong with it, for the endpoint's owner.
    pub(crate) fn receiver(&self, url: &str) -> Result<Receiver, String> {
        Receiver::parse(url, &self.policy)
    }

    #[cfg(test)]
    pub(super) fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes one attempt. `headers` are the signature's; what HTTP needs comes with them.
    pub(crate) async fn send(
        &self,
        receiver: &Receiver,
        headers: HeaderMap,
        body: Bytes,
    ) -> Attempted {
        let began = Instant::now();
        let deadline = began + self.deadline;
        let exchange = self.exchange(receiver, request(receiver, headers, body));
        let outcome = timeout_at(deadline, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.deadline)));
        let latency = began.elapsed();
        match outcome {
            // The task lives until the body is read or given up.
            Ok((response, _task)) => {
                let status = response.status().as_u16();
                let mut kept = Vec::new();
                // What arrived in time is kept; the status says all that matters.
                let _ = timeout_at(deadline, keep(response.into_body(), &mut kept)).await;
                Attempted {
                    status: Some(status),
                    error: None,
                    latency,
                    head: lossy(&kept),
                }
            }
            Err(error) => Attempted {
                status: None,
                error: Some(shortened(error)),
                latency,
                head: String::new(),
            },
        }
    }

    async fn exchange(
        &self,
        receiver: &Receiver,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, String> {
        let addresses = self.addresses(receiver).await?;
        let stream = self.connect(&addresses).await?;
        match receiver.scheme {
            Scheme::Http => exchange_on(stream, request).await,
            Scheme::Https => {
                let name = receiver.server_name.clone();
                let stream = self.tls.connect(name, stream).await;
                let stream = stream.map_err(|error| format!("TLS failed: {error}"))?;
                exchange_on(stream, request).await
            }
        }
    }

    /// The receiver's addresses, each of which was judged. One bad address among them spoils them
    /// all: no honest receiver has it.
    async fn addresses(&self, receiver: &Receiver) -> Result<Vec<SocketAddr>, String> {
        let addresses = match &receiver.host {
            Host::Ipv4(address) => vec![(IpAddr::V4(*address), receiver.port).into()],
            Host::Ipv6(address) => vec![(IpAddr::V6(*address), receiver.port).into()],
            Host::Domain(name) => self.resolve(name, receiver.port).await?,
        };
        for address in &addresses {
            let judged = self.policy.check(receiver.scheme, address.ip());
            judged.inspect_err(|_| {
                tracing::warn!(host = %receiver.host, %address, "a webhook's address is refused");
            })?;
        }
        Ok(addresses)
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let resolved = self.resolver.resolve(format!("{name}:{port}")).await;
        resolved.ok_or_else(|| "the host's name does not resolve".to_owned())
    }

    /// Connects to the first address that answers. An address as text is not resolved again.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<N::Stream, String> {
        let mut reason = String::new();
        for address in addresses.iter().take(ADDRESSES_MAX) {
            let address = address.to_string();
            let connecting = self.network.connect(&address);
            reason = match timeout(CONNECT_DEADLINE, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => format!("cannot connect: {}", error.kind()),
                Err(_) => "cannot connect: it took too long".to_owned(),
            };
        }
        Err(reason)
    }
}

fn request(receiver: &Receiver, mut headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let host = HeaderValue::from_str(&receiver.authority)
        .expect("a parsed URL's host and port are visible ASCII");
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = receiver.target.clone();
    *request.headers_mut() = headers;
    request
}

async fn exchange_on<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the answer is not HTTP, or broke off: {error}");
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BYTES_MAX);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // How it ended is told to whoever waits for the response.
    let task = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, task))
}

/// Reads a body up to its end, an error or the bound, and keeps how it begins.
async fn keep(mut body: Incoming, kept: &mut Vec<u8>) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            return;
        };
        let room = KEPT_BYTES_MAX - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        read += data.len();
        if read >= READ_BYTES_MAX {
            return;
        }
    }
}

/// Text of at most [`KEPT_BYTES_MAX`] bytes: what stands for a byte that is no UTF-8 is longer than
/// the byte.
fn lossy(bytes: &[u8]) -> String {
    shortened(String::from_utf8_lossy(bytes).into_owned())
}

/// Text of at most [`KEPT_BYTES_MAX`] bytes: an error may tell what the receiver sent, such as all the
/// names in its certificate.
fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(KEPT_BYTES_MAX));
    text
}
