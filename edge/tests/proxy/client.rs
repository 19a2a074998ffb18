//! Clients: hyper's, for what HTTP means, and a raw one, for what stands on the wire.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use platform::{Network, TokioNetwork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::publish::HOST;
use crate::world::PATIENCE;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A request for [`HOST`].
pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", HOST)
        .body(empty())
        .unwrap()
}

pub(crate) fn post(path: &str, body: Body) -> Request<Body> {
    Request::post(path).header("host", HOST).body(body).unwrap()
}

/// A connection that is kept.
pub(crate) async fn connect(to: SocketAddr) -> http1::SendRequest<Body> {
    let stream = TokioNetwork.connect(&to.to_string()).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(connection);
    sender
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(to: SocketAddr, request: Request<Body>) -> Response<Incoming> {
    connect(to).await.send_request(request).await.unwrap()
}

/// An answer that has come whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of an error of the edge's own, checked for its shape.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let error = &json["error"];
        assert!(
            error["message"].is_string() && error["param"].is_null(),
            "{json}"
        );
        let id = error["request_id"].as_str().unwrap();
        assert!(id.starts_with("req_"), "{id}");
        assert_eq!(self.header("vectorgate-request-id"), Some(id));
        error["code"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn ask(to: SocketAddr, request: Request<Body>) -> Answer {
    Answer::of(send(to, request).await).await
}

/// A connection on which bytes are written as they are.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self(TokioNetwork.connect(&to.to_string()).await.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads until the text so far ends with `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let read = async {
            while !text.ends_with(end.as_bytes()) {
                match self.0.read_u8().await {
                    Ok(byte) => text.push(byte),
                    Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&text)),
                }
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it does not come");
        String::from_utf8(text).unwrap()
    }

    /// Reads until the other side ends the connection, in whatever way.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        // A reset is an end too.
        let _ = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the connection stays open");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Writes bytes and reads everything that comes until the connection ends.
pub(crate) async fn talk(to: SocketAddr, bytes: &str) -> String {
    let mut raw = Raw::connect(to).await;
    raw.write(bytes).await;
    raw.read_to_end().await
}
