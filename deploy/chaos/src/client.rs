//! How nodes and edges are asked: one HTTP/1.1 connection, one request at a time; nodes by HTTPS. It says of a
//! failure whether the request may have been sent, which is all that a client can know of a write's fate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use platform::tls::{NODE_SERVER_NAME, provider};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The largest answer that is read: a page of 100 rules is far below it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A host that does not answer at all is given up after this.
const CONNECT: Duration = Duration::from_secs(30);

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of the error in it; empty if there is none.
    #[must_use]
    pub fn error_code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody accepted the connection: the request was not sent.
    NotSent(anyhow::Error),
    /// It was sent, or may have been.
    NoAnswer(anyhow::Error),
}

/// A connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn over<S>(stream: S) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .context("no HTTP connection")?;
        // How it ends is seen by whoever sends on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Whether the other side has closed it, so that nothing can be sent on it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// When the connection breaks; it is of no further use then.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        self.sender
            .ready()
            .await
            .map_err(|error| Failure::NotSent(error.into()))?;
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow!("the answer breaks off: {error}"))?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        exchange.await.map_err(Failure::NoAnswer)
    }
}

/// What is asked of a node.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    body: Bytes,
    key: Option<String>,
    stale: bool,
}

impl Call {
    /// Reads.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
            key: None,
            stale: false,
        }
    }

    /// Creates or does something, at most once per key.
    #[must_use]
    pub fn post(path: impl Into<String>, body: &Value, key: &str) -> Self {
        Self::write(Method::POST, path.into(), body, key)
    }

    /// Changes something, at most once per key.
    #[must_use]
    pub fn patch(path: impl Into<String>, body: &Value, key: &str) -> Self {
        Self::write(Method::PATCH, path.into(), body, key)
    }

    fn write(method: Method, path: String, body: &Value, key: &str) -> Self {
        Self {
            method,
            path,
            body: body.to_string().into(),
            key: Some(key.to_owned()),
            stale: false,
        }
    }

    /// Any age of what is read will do.
    #[must_use]
    pub fn stale(mut self) -> Self {
        self.stale = true;
        self
    }
}

/// How to reach nodes.
#[derive(Clone)]
pub struct Target {
    connector: TlsConnector,
    authorization: HeaderValue,
}

impl Target {
    /// Nodes that this authority vouches for, with this API key.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn new(authority: &Path, api_key: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificate =
            CertificateDer::from_pem_file(authority).context("the authority's certificate")?;
        roots.add(certificate)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {api_key}"))?;
        authorization.set_sensitive(true);
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            authorization,
        })
    }

    /// Connects to a node.
    ///
    /// # Errors
    /// When it does not accept in time.
    pub async fn connect(&self, node: SocketAddr) -> Result<Connection> {
        let connecting = async {
            let stream = TcpStream::connect(node).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(NODE_SERVER_NAME)?;
            Connection::over(self.connector.connect(name, stream).await?).await
        };
        timeout(CONNECT, connecting)
            .await
            .with_context(|| format!("{node} does not accept"))?
    }

    /// A call as a request.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(HOST, NODE_SERVER_NAME)
            .header(AUTHORIZATION, self.authorization.clone());
        if !call.body.is_empty() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if call.stale {
            request = request.header("vectorgate-consistency", "stale");
        }
        Ok(request.body(Full::new(call.body.clone()))?)
    }

    /// Makes a call over a connection of its own.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub async fn call(
        &self,
        node: SocketAddr,
        call: &Call,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let request = self.request(call).map_err(Failure::NotSent)?;
        let mut connection = match timeout(within, self.connect(node)).await {
            Ok(connected) => connected.map_err(Failure::NotSent)?,
            Err(late) => return Err(Failure::NotSent(late.into())),
        };
        match timeout(within, connection.send(request)).await {
            Ok(answered) => answered,
            Err(late) => Err(Failure::NoAnswer(late.into())),
        }
    }
}

/// Asks an edge for `/` of a host, over a connection of its own.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn through_edge(edge: SocketAddr, host: &str, within: Duration) -> Result<Answer> {
    plain(edge, "/", host, within).await
}

/// Asks a node's operators for something, over a connection that was made on its host: they speak plain HTTP there.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn operators(
    stream: TcpStream,
    (method, path): (Method, &str),
    body: Option<&Value>,
    within: Duration,
) -> Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(Full::new(Bytes::from(body)))?;
    timeout(within, exchange(stream, request)).await?
}

/// Asks whoever listens there for a path, over a connection of its own.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn get(address: SocketAddr, path: &str, within: Duration) -> Result<Answer> {
    plain(address, path, &address.to_string(), within).await
}

async fn plain(address: SocketAddr, path: &str, host: &str, within: Duration) -> Result<Answer> {
    let request = Request::builder()
        .uri(path)
        .header(HOST, host)
        .body(Full::new(Bytes::new()))?;
    let asking = async { exchange(TcpStream::connect(address).await?, request).await };
    timeout(within, asking).await?
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Answer> {
    let mut connection = Connection::over(stream).await?;
    match connection.send(request).await {
        Ok(answer) => Ok(answer),
        Err(Failure::NotSent(error) | Failure::NoAnswer(error)) => Err(error),
    }
}
