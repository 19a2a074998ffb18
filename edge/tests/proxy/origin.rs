//! Origins: one of hyper's with a handler, and a raw one that does what it is told to.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use platform::{Listener, Network, TokioNetwork};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Body, whole};

/// What an origin was asked, without the body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// An origin, and what it saw.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Rc<RefCell<Vec<Asked>>>,
    pub(crate) connections: Rc<Cell<usize>>,
}

impl Origin {
    /// An origin that answers by `handler`.
    pub(crate) async fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + 'static,
        A: Future<Output = Response<Body>> + 'static,
    {
        let mut listener = listen().await;
        let this = Self::at(&listener);
        let origin = this.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = Listener::accept(&mut listener).await.unwrap();
                origin.connections.set(origin.connections.get() + 1);
                let (origin, handler) = (origin.clone(), handler.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    origin.saw(&request);
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                tokio::task::spawn_local(async move {
                    // It would say the real time, where tests have moved the edge's clock.
                    let served = http1::Builder::new()
                        .auto_date_header(false)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    drop(served);
                });
            }
        });
        this
    }

    /// An origin that answers every request with this text.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::start(move |_| async move { Response::new(whole(text)) }).await
    }

    /// An origin whose connections are served by `script`, byte by byte.
    pub(crate) async fn raw<F, A>(script: F) -> Self
    where
        F: Fn(usize, TcpStream) -> A + 'static,
        A: Future<Output = ()> + 'static,
    {
        let mut listener = listen().await;
        let this = Self::at(&listener);
        let connections = Rc::clone(&this.connections);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = Listener::accept(&mut listener).await.unwrap();
                let number = connections.get();
                connections.set(number + 1);
                tokio::task::spawn_local(script(number, stream));
            }
        });
        this
    }

    fn at(listener: &TcpListener) -> Self {
        Self {
            address: Listener::local_addr(listener).unwrap(),
            asked: Rc::default(),
            connections: Rc::default(),
        }
    }

    fn saw(&self, request: &Request<Incoming>) {
        self.asked.borrow_mut().push(Asked {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        });
    }

    /// What it was asked last.
    pub(crate) fn last(&self) -> Asked {
        self.asked
            .borrow()
            .last()
            .expect("nothing was asked")
            .clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.borrow().len()
    }
}

pub(crate) async fn listen() -> TcpListener {
    TokioNetwork
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap()
}

/// An address on which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    Listener::local_addr(&listen().await).unwrap()
}

/// Reads a request's head from a raw connection; nothing where the connection ends before.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

pub(crate) fn answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A response with a body from a channel, frame by frame.
pub(crate) fn streaming() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, Body) {
    use http_body_util::{BodyExt, StreamBody};
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver
            .poll_recv(cx)
            .map(|next| next.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}
