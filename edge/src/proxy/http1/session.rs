//! One connection, from its first request to its last.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use platform::Network;
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::{Framing, Length, write_head};
use super::body::RequestBody;
use super::request::{Asked, Head};
use super::sending::{Pulled, Sending, Unsent, length_of};
use super::wire::{Begun, NoRequest, Wire};
use crate::proxy::body::AnswerBody;
use crate::proxy::connection::Connection;
use crate::proxy::service::Worker;
use crate::upstream::ClientBody;

/// A connection of HTTP/1.1.
pub(in crate::proxy) struct Session<'a, N, S: AsyncRead + AsyncWrite + Unpin> {
    worker: &'a Rc<Worker<N>>,
    connection: &'a Rc<Connection>,
    wire: Rc<RefCell<Wire<S>>>,
    /// Whether no further request is taken.
    finishes: Cell<bool>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum End {
    /// Nothing more is to be said.
    Closed,
    /// What is said from now on is no HTTP.
    Switched,
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Failure {
    /// There is no request.
    #[error(transparent)]
    Request(#[from] NoRequest),
    /// There is no answer, or no one to answer.
    #[error(transparent)]
    Answer(#[from] Unsent),
    /// The client went while it was to be answered.
    #[error("the client has gone before it was answered")]
    Gone,
    /// The connection broke.
    #[error("the connection broke")]
    Connection(#[from] io::Error),
}

/// What comes after a request, or after some.
enum Next {
    /// Another one.
    Request,
    /// Nothing for a while.
    Silence,
    /// The end.
    End(End),
}

/// What stays with a connection while requests come.
#[derive(Default)]
struct Kept {
    sending: Sending,
    /// The fields of the last answer were in it.
    headers: HeaderMap,
}

impl<'a, N: Network, S: AsyncRead + AsyncWrite + Unpin + 'static> Session<'a, N, S> {
    pub(in crate::proxy) fn new(
        worker: &'a Rc<Worker<N>>,
        connection: &'a Rc<Connection>,
        stream: S,
    ) -> Self {
        Self {
            worker,
            connection,
            wire: Rc::new(RefCell::new(Wire::new(stream))),
            finishes: Cell::new(false),
        }
    }

    /// Takes no further request. What has come already is answered.
    pub(in crate::proxy) fn finish(&self) {
        self.finishes.set(true);
    }

    /// The stream, and what came on it that was nobody's. Whoever still reads a body finds it broken.
    pub(in crate::proxy) fn take_stream(&self) -> Option<(S, Bytes)> {
        self.wire.borrow_mut().take_stream()
    }

    /// Serves it to its end.
    pub(in crate::proxy) async fn serve(&self) -> Result<End, Failure> {
        loop {
            if !self.wake().await? {
                return Ok(End::Closed);
            }
            // What serving takes is not held by connections that are silent.
            match Box::pin(self.requests()).await? {
                Next::End(end) => return Ok(end),
                Next::Request | Next::Silence => {
                    self.connection.rests(true);
                    self.wire.borrow_mut().rest();
                }
            }
        }
    }

    /// Waits for a silent client, and says whether there is anything to be served.
    async fn wake(&self) -> io::Result<bool> {
        let woken = poll_fn(|cx| match self.wire.borrow_mut().poll_wake(cx) {
            Poll::Pending if self.finishes.get() => Poll::Ready(Ok(false)),
            polled => polled,
        })
        .await?;
        self.connection.rests(false);
        Ok(woken)
    }

    /// Serves requests for as long as they come.
    async fn requests(&self) -> Result<Next, Failure> {
        let mut kept = Kept::default();
        loop {
            match self.request(&mut kept).await? {
                Next::Request => {}
                next => return Ok(next),
            }
        }
    }

    async fn request(&self, kept: &mut Kept) -> Result<Next, Failure> {
        let head = match self.head(&mut kept.headers).await {
            Ok(Begun::Request(head)) => head,
            Ok(Begun::End) => return Ok(Next::End(End::Closed)),
            Ok(Begun::Nothing) if self.finishes.get() => return Ok(Next::End(End::Closed)),
            Ok(Begun::Nothing) => return Ok(Next::Silence),
            Err(no_request) => return Err(self.refuse(no_request, kept).await),
        };
        let asked = head.asked;
        let request = self.assemble(head, std::mem::take(&mut kept.headers));
        let response = {
            let mut answering = pin!(self.worker.answer(self.connection, request));
            self.unless_gone(answering.as_mut()).await?
        };
        self.answer(response, asked, kept).await
    }

    async fn head(&self, headers: &mut HeaderMap) -> Result<Begun, NoRequest> {
        poll_fn(|cx| {
            let can_wait = !self.finishes.get() && !self.connection.may_rest();
            self.wire.borrow_mut().poll_head(cx, headers, can_wait)
        })
        .await
    }

    fn assemble(&self, head: Head, headers: HeaderMap) -> Request<ClientBody> {
        let body = if self.wire.borrow().has_body() {
            ClientBody::Other(Box::pin(RequestBody::new(&self.wire)))
        } else {
            ClientBody::Empty
        };
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.version_mut() = head.asked.version;
        *request.headers_mut() = headers;
        request
    }

    /// Waits for something while the client is there.
    async fn unless_gone<T>(
        &self,
        mut awaited: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Failure> {
        poll_fn(|cx| match awaited.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => {
                let gone = self.wire.borrow_mut().poll_gone(cx);
                gone.map(|()| Err(Failure::Gone))
            }
        })
        .await
    }

    /// Sends an answer, and says what comes after it.
    async fn answer(
        &self,
        response: Response<AnswerBody>,
        asked: Asked,
        kept: &mut Kept,
    ) -> Result<Next, Failure> {
        let (mut parts, mut body) = response.into_parts();
        let keeps = asked.keeps && !self.finishes.get();
        let written = write_head(
            kept.sending.begin(),
            parts.status,
            &parts.headers,
            asked,
            length_of(&body),
            keeps,
            |out| self.worker.dates.write(out),
        );
        parts.headers.clear();
        kept.headers = parts.headers;
        self.send(&mut body, written.framing, kept).await?;
        // Its request was under way until here.
        drop(body);
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Next::End(End::Switched));
        }
        let goes_on = written.keeps && self.body_done().await;
        Ok(if goes_on {
            Next::Request
        } else {
            Next::End(End::Closed)
        })
    }

    async fn send(
        &self,
        body: &mut AnswerBody,
        mut framing: Framing,
        kept: &mut Kept,
    ) -> Result<(), Failure> {
        self.wire.borrow_mut().answer_begins();
        poll_fn(|cx| {
            let polled = self.poll_send(body, &mut framing, kept, cx);
            if polled.is_pending() && self.wire.borrow_mut().poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Failure::Gone));
            }
            polled.map_err(Failure::from)
        })
        .await
    }

    fn poll_send(
        &self,
        body: &mut AnswerBody,
        framing: &mut Framing,
        kept: &mut Kept,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            // It may read on in the request's body, so nobody else has the connection meanwhile.
            let pulled = kept.sending.pull(body, framing, cx);
            let mut wire = self.wire.borrow_mut();
            ready!(wire.poll_told(cx))?;
            ready!(wire.poll_write(&mut kept.sending, cx))?;
            match pulled {
                Pulled::Some => {}
                Pulled::Wait => return Poll::Pending,
                Pulled::End => return Poll::Ready(kept.sending.outcome()),
            }
        }
    }

    async fn body_done(&self) -> bool {
        poll_fn(|cx| match self.wire.borrow_mut().poll_done(cx) {
            Poll::Pending if self.finishes.get() => Poll::Ready(false),
            polled => polled,
        })
        .await
    }

    /// Answers what is no request, where there is anybody to answer.
    async fn refuse(&self, no_request: NoRequest, kept: &mut Kept) -> Failure {
        let NoRequest::Malformed(malformed) = no_request else {
            return no_request.into();
        };
        write_head(
            kept.sending.begin(),
            malformed.status(),
            &HeaderMap::new(),
            Asked::NOTHING,
            Length::Nothing,
            false,
            |out| self.worker.dates.write(out),
        );
        let sent = poll_fn(|cx| self.wire.borrow_mut().poll_write(&mut kept.sending, cx)).await;
        sent.map_or_else(Failure::from, |()| no_request.into())
    }
}
