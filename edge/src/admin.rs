//! How an edge is: `/livez`, `/readyz` and `/metrics`, on an address of their own, which belongs
//! off the public network. Plain text over HTTP/1.1; nothing here changes anything.
//!
//! Being alive asks for nothing but an answer. Being ready asks for a configuration, wherever it
//! came from: an edge that serves its last good one while all nodes are down is ready.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::{Listener, Network};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tracing::warn;

use crate::active::Active;
use crate::metrics::Metrics;

/// How many connections are served at once: a handful of probes and scrapers, several times over.
const CONNECTIONS_MAX: usize = 64;

/// How long a request's head may take, and a connection be idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait when the operating system refuses to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is told.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) active: Arc<Active>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether the edge is about to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Admin {
    /// Serves until it is dropped. To be run within a `LocalSet`.
    pub(crate) async fn serve<N: Network>(self, mut listener: N::Listener) {
        let this = Rc::new(self);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "an admin connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let this = Rc::clone(&this);
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    std::future::ready(Ok::<_, Infallible>(this.answer(&request)))
                });
                let mut server = http1::Builder::new();
                server
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_DEADLINE);
                // A scraper that goes away is no event.
                drop(server.serve_connection(TokioIo::new(stream), service).await);
                drop(permit);
            });
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are served here\n".to_owned(),
            );
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => self.readiness(
                request
                    .uri()
                    .query()
                    .is_some_and(|query| query.starts_with("verbose")),
            ),
            "/metrics" => self.metrics(),
            _ => text(
                StatusCode::NOT_FOUND,
                "try /livez, /readyz?verbose or /metrics\n".to_owned(),
            ),
        }
    }

    fn readiness(&self, verbose: bool) -> Response<Full<Bytes>> {
        let current = self.active.current();
        let configuration = match current.manifest() {
            Some(manifest) => Ok(format!(
                "manifest {manifest}, {} routes",
                current.routes().len()
            )),
            None => Err("nothing was ever loaded".to_owned()),
        };
        let serving = if *self.stop.borrow() {
            Err("stopping".to_owned())
        } else {
            Ok("accepting connections".to_owned())
        };
        let checks = [("configuration", configuration), ("serving", serving)];
        let ready = checks.iter().all(|(_, check)| check.is_ok());
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        if !verbose {
            return text(
                status,
                if ready {
                    "ok\n".to_owned()
                } else {
                    "not ready\n".to_owned()
                },
            );
        }
        let line = |(name, check): &(&str, Result<String, String>)| match check {
            Ok(detail) => format!("[+]{name} ok: {detail}\n"),
            Err(detail) => format!("[-]{name} failed: {detail}\n"),
        };
        text(status, checks.iter().map(line).collect())
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let Ok(rendered) = self.metrics.render() else {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics cannot be written\n".to_owned(),
            );
        };
        let mut response = text(StatusCode::OK, rendered);
        let format =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
