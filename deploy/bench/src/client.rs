//! A client for load: one HTTP/1.1 connection, one request at a time, as little work per request as
//! possible, since it shares the processor with what it measures.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The largest answer that is read: a page of 100 rules is far below it.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A connection.
pub struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("{address} refuses connections"))?;
        stream
            .set_nodelay(true)
            .context("TCP_NODELAY cannot be set")?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .context("no HTTP connection")?;
        // How it ends is seen by whoever sends on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            address: address.to_owned(),
            sender,
        })
    }

    /// Connects anew if it was closed meanwhile, as nodes do with connections that are idle for long.
    ///
    /// # Errors
    /// When nobody listens there any more.
    pub async fn refresh(&mut self) -> Result<()> {
        if self.sender.is_closed() {
            *self = Self::open(&self.address).await?;
        }
        Ok(())
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// When the connection breaks; it is of no further use then.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        self.sender
            .ready()
            .await
            .context("the connection is closed")?;
        let response = self
            .sender
            .send_request(request)
            .await
            .context("no answer")?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("the answer breaks off: {error}"))?
            .to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

/// How to reach the REST API of a cluster.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port` of each node.
    pub nodes: Vec<String>,
    authorization: HeaderValue,
}

impl Target {
    /// The nodes at these addresses, with this API key.
    ///
    /// # Errors
    /// When the key fits in no header.
    pub fn new(nodes: Vec<String>, api_key: &str) -> Result<Self> {
        let authorization = HeaderValue::from_str(&format!("Bearer {api_key}"))
            .context("the API key is no header")?;
        Ok(Self {
            nodes,
            authorization,
        })
    }

    /// The client with this number: clients are spread evenly over the nodes.
    ///
    /// # Errors
    /// When its node cannot be reached.
    pub async fn client(&self, number: usize) -> Result<RestClient> {
        self.connect(&self.nodes[number % self.nodes.len()]).await
    }

    /// A client of one node.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn connect(&self, node: &str) -> Result<RestClient> {
        let host = HeaderValue::from_str(node).context("the address is no header")?;
        Ok(RestClient {
            connection: Connection::open(node).await?,
            host,
            authorization: self.authorization.clone(),
        })
    }
}

/// A client of the REST API of one node.
pub struct RestClient {
    connection: Connection,
    host: HeaderValue,
    authorization: HeaderValue,
}

impl RestClient {
    /// Sends a request; any answer is fine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        idempotency_key: Option<&str>,
    ) -> Result<Response<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.host.clone())
            .header(AUTHORIZATION, self.authorization.clone());
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.connection
            .send(
                request
                    .body(Full::new(body))
                    .context("a malformed request")?,
            )
            .await
    }

    /// Creates or changes something, over a new connection where the last one was closed.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.connection.refresh().await?;
        let answer = self
            .send(Method::POST, path, body.to_string().into(), None)
            .await?;
        parse("POST", path, &answer)
    }

    /// Reads.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success.
    pub async fn get(&mut self, path: &str) -> Result<Value> {
        let answer = self.send(Method::GET, path, Bytes::new(), None).await?;
        parse("GET", path, &answer)
    }
}

fn parse(method: &str, path: &str, answer: &Response<Bytes>) -> Result<Value> {
    if !answer.status().is_success() {
        bail!(
            "{method} {path} gave {}: {}",
            answer.status(),
            String::from_utf8_lossy(answer.body())
        );
    }
    serde_json::from_slice(answer.body()).with_context(|| format!("{method} {path} gave no JSON"))
}
