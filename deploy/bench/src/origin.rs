//! A small, fast HTTP origin: what edges forward to in demonstrations and benchmarks. It says who it
//! is and what it received in response headers, so that one can see what an edge did.
//!
//! | path          | answer                                                         |
//! |---------------|----------------------------------------------------------------|
//! | `/bytes/N`    | N bytes, at most [`BYTES_MAX`]                                 |
//! | `/status/N`   | status N                                                       |
//! | `/echo`       | the request's body, streamed back                              |
//! | anything else | 100 bytes of text                                              |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The largest `/bytes/N`: enough to see streaming, not enough to hurt a laptop.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;

/// How large the default answer is.
const GREETING_BYTES: usize = 100;

/// How long connections may finish what they are at when the origin ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Request headers that are repeated in the response, as `vectorgate-origin-received-NAME`.
const REPEATED: [&str; 4] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
];

/// A settings file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its only section.
    pub origin: Section,
}

/// Settings of an origin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The name that it says.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
}

/// The text and headers that do not depend on the request.
struct Origin {
    name: HeaderValue,
    greeting: Bytes,
}

type Body = BoxBody<Bytes, hyper::Error>;

/// Serves until `stop` changes, then lets connections finish.
///
/// # Errors
/// When the address cannot be listened on, or the name fits in no header.
pub async fn serve(settings: Section, mut stop: watch::Receiver<bool>) -> Result<()> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("{} cannot be listened on", settings.listen))?;
    let origin = Arc::new(Origin::named(&settings.name)?);
    let connections = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => start(&origin, &connections, stream),
                // Out of file handles, most likely: some connection will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = stop.changed() => break,
        }
    }
    // Whoever is not done by then is cut off.
    drop(tokio::time::timeout(DRAIN, connections.shutdown()).await);
    Ok(())
}

fn start(origin: &Arc<Origin>, connections: &GracefulShutdown, stream: TcpStream) {
    // Without this, small answers wait for the peer's acknowledgement of earlier ones.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let origin = Arc::clone(origin);
    let service = service_fn(move |request| {
        let answer = origin.answer(request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    let serving = server
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let serving = connections.watch(serving);
    // A peer that breaks its connection is its own affair.
    tokio::spawn(async move { drop(serving.await) });
}

impl Origin {
    fn named(name: &str) -> Result<Self> {
        let mut greeting = format!("Hello from {name}.").into_bytes();
        greeting.resize(GREETING_BYTES - 1, b' ');
        greeting.push(b'\n');
        let name =
            HeaderValue::from_str(name).context("the origin's name does not fit in a header")?;
        Ok(Self {
            name,
            greeting: greeting.into(),
        })
    }

    fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let received = self.received(&request);
        let mut response = self.body_for(request);
        response.headers_mut().extend(received);
        response
    }

    fn body_for(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if path == "/echo" {
            return Response::new(request.into_body().boxed());
        }
        if let Some(count) = number_after(path, "/bytes/") {
            return text(vec![b'x'; count.min(BYTES_MAX)].into());
        }
        let mut response = text(self.greeting.clone());
        let asked = number_after(path, "/status/").and_then(|status| u16::try_from(status).ok());
        if let Some(status) = asked.and_then(|status| StatusCode::from_u16(status).ok()) {
            *response.status_mut() = status;
        }
        response
    }

    /// Who answers, and what arrived: request line, `Host`, and what proxies add.
    fn received(&self, request: &Request<Incoming>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert("vectorgate-origin", self.name.clone());
        let line = format!(
            "{} {}",
            request.method(),
            request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str())
        );
        if let Ok(line) = HeaderValue::from_str(&line) {
            headers.insert("vectorgate-origin-received", line);
        }
        if let Some(host) = request.headers().get(HOST) {
            headers.insert("vectorgate-origin-received-host", host.clone());
        }
        for name in REPEATED {
            if let Some(value) = request.headers().get(name) {
                // The prefix and these names are valid, so parsing cannot fail.
                if let Ok(repeated) =
                    format!("vectorgate-origin-received-{name}").parse::<http::HeaderName>()
                {
                    headers.insert(repeated, value.clone());
                }
            }
        }
        headers
    }
}

fn text(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn number_after(path: &str, prefix: &str) -> Option<usize> {
    path.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Connection;

    async fn running() -> (
        SocketAddr,
        watch::Sender<bool>,
        tokio::task::JoinHandle<Result<()>>,
    ) {
        // A free port: nothing else takes it between closing and listening again on loopback.
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listen = free.local_addr().expect("an address");
        drop(free);
        let (stop, stopped) = watch::channel(false);
        let section = Section {
            name: "origin-9".to_owned(),
            listen,
        };
        let server = tokio::spawn(serve(section, stopped));
        (listen, stop, server)
    }

    async fn get(address: SocketAddr, path: &str) -> (Response<Bytes>, Connection) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let mut connection = loop {
            match Connection::open(&address.to_string()).await {
                Ok(connection) => break connection,
                Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error:#}"),
            }
            tokio::task::yield_now().await;
        };
        let request = Request::get(path)
            .header(HOST, "api.example.net")
            .header("x-forwarded-for", "10.1.2.3");
        let answer = connection
            .send(request.body(Full::default()).expect("a request"))
            .await
            .expect("an answer");
        (answer, connection)
    }

    #[tokio::test]
    async fn it_says_who_it_is_and_what_it_received() {
        let (address, _stop, _server) = running().await;
        let (answer, _connection) = get(address, "/v1/orders?page=2").await;
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body().len(), GREETING_BYTES);
        assert_eq!(header("vectorgate-origin"), Some("origin-9"));
        assert_eq!(
            header("vectorgate-origin-received"),
            Some("GET /v1/orders?page=2")
        );
        assert_eq!(
            header("vectorgate-origin-received-host"),
            Some("api.example.net")
        );
        assert_eq!(
            header("vectorgate-origin-received-x-forwarded-for"),
            Some("10.1.2.3")
        );
    }

    #[tokio::test]
    async fn it_answers_sizes_and_statuses_that_it_is_asked_for() {
        let (address, _stop, _server) = running().await;
        assert_eq!(get(address, "/bytes/70000").await.0.body().len(), 70_000);
        assert_eq!(get(address, "/status/503").await.0.status(), 503);
        assert_eq!(get(address, "/status/9").await.0.status(), 200);
    }

    #[tokio::test]
    async fn it_ends_when_told_to() {
        let (address, stop, server) = running().await;
        let (_, connection) = get(address, "/").await;
        stop.send(true).expect("it listens");
        server.await.expect("no panic").expect("no error");
        drop(connection);
    }
}
