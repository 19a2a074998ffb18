//! One request by HTTP/3, from its stream's first byte to the acknowledgement of its last one: h3 on
//! one side, what answers all requests on the other.
//!
//! A stream that is given up is reset, whatever stands in between; `transport` sees to that. It is
//! given up when the client takes its request back or wants no more of the answer, when the head
//! does not come in time or is malformed, and when the answer breaks off.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use platform::Network;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::body::RequestBody;
use super::head;
use super::transport::{Course, RecvStream, SendStream, Transport};
use crate::cache::date::settle_date;
use crate::proxy::body::AnswerBody;
use crate::proxy::connection::Connection;
use crate::proxy::headers;
use crate::proxy::service::Worker;
use crate::upstream::{BodyError, ClientBody};

/// Why an answer is not sent to its end.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    /// The client or its connection does not take it.
    #[error(transparent)]
    Client(#[from] StreamError),
    /// It broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
}

type Answers = RequestStream<SendStream, Bytes>;

/// What answers a connection's requests.
pub(super) struct Exchange<N> {
    worker: Rc<Worker<N>>,
    connection: Rc<Connection>,
}

/// A request whose head is here.
struct Begun {
    request: Request<RequestBody<RequestStream<RecvStream, Bytes>>>,
    answers: Answers,
    /// Where the client wants to be told before it sends the body: tells that it is to be.
    wanted: Option<Rc<Notify>>,
}

impl<N: Network> Exchange<N> {
    pub(super) fn new(worker: Rc<Worker<N>>, connection: Rc<Connection>) -> Self {
        Self { worker, connection }
    }

    /// Serves a request's stream to its end.
    pub(super) async fn serve(
        self,
        resolver: RequestResolver<Transport, Bytes>,
        mut course: Course,
    ) {
        let opened = Instant::now();
        let limit = self.worker.settings.timeouts.request_header();
        // Nothing is answered yet, so nothing is lost by beginning anew.
        let Ok(Some(begun)) = timeout(limit, self.begin(resolver, &course)).await else {
            // What comes to nothing is as good as taken back.
            self.connection.taken_back(opened);
            return;
        };
        let sent = tokio::select! {
            biased;
            () = &mut course.over => return,
            sent = self.answer(begun) => sent,
        };
        match sent {
            Ok(mut body) => {
                // What is left of it stands with the client.
                body.awaits_client();
                course.over.await;
            }
            Err(error) => debug!(peer = %self.connection.peer, %error, "an answer broke off"),
        }
    }

    /// Waits for a request's head, and for whatever else must be known of it.
    async fn begin(
        &self,
        resolver: RequestResolver<Transport, Bytes>,
        course: &Course,
    ) -> Option<Begun> {
        let (request, stream) = match resolver.resolve_request().await {
            Ok(resolved) => resolved,
            Err(error) => {
                debug!(peer = %self.connection.peer, %error, "a request was none");
                return None;
            }
        };
        let Ok(length) = head::check(&request) else {
            course.blame(Code::H3_MESSAGE_ERROR);
            return None;
        };
        let (answers, stream) = stream.split();
        let wanted = request
            .headers()
            .contains_key(EXPECT)
            .then(Rc::<Notify>::default);
        // Whoever waits to be told sends nothing before, not even the end.
        let is_likely_bodiless = wanted.is_none() && head::is_likely_bodiless(&request, length);
        let mut request =
            request.map(|()| RequestBody::new(stream, length, wanted.as_ref().map(Rc::clone)));
        let body = request.body_mut();
        if is_likely_bodiless {
            poll_fn(|cx| body.poll_look(cx)).await;
        } else {
            // What is here already is looked at, and nothing is waited for.
            poll_fn(|cx| Poll::Ready(body.poll_look(cx).is_ready())).await;
        }
        if body.is_broken() {
            course.blame(Code::H3_MESSAGE_ERROR);
            return None;
        }
        course.answers();
        Some(Begun {
            request,
            answers,
            wanted,
        })
    }

    /// Answers a request. Gives the answer's body back, of which there is then nothing left.
    async fn answer(&self, begun: Begun) -> Result<AnswerBody, Unsent> {
        let Begun {
            request,
            mut answers,
            wanted,
        } = begun;
        let is_head = *request.method() == Method::HEAD;
        let request = request.map(|body| ClientBody::Other(Box::pin(body)));
        let mut answering = pin!(self.worker.answer(&self.connection, request));
        let response = tokio::select! {
            biased;
            response = &mut answering => response,
            () = asked(wanted.as_deref()) => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::CONTINUE;
                answers.send_response(response).await?;
                answering.await
            }
        };
        let (mut parts, mut body) = response.into_parts();
        let has_content = !is_head && has_content(parts.status);
        headers::strip(&mut parts.headers);
        settle_date(&mut parts.headers, self.worker.caches.now_ms());
        if has_content
            && let Some(length) = body.size_hint().exact()
            && !parts.headers.contains_key(CONTENT_LENGTH)
        {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        answers
            .send_response(Response::from_parts(parts, ()))
            .await?;
        if has_content {
            send(&mut answers, &mut body).await?;
        }
        answers.finish().await?;
        Ok(body)
    }
}

/// Waits until a body is asked for whose client waits for that.
async fn asked(wanted: Option<&Notify>) {
    match wanted {
        Some(wanted) => wanted.notified().await,
        None => std::future::pending().await,
    }
}

/// Sends a body, each piece when the client has room for it.
async fn send(answers: &mut Answers, body: &mut AnswerBody) -> Result<(), Unsent> {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(piece) if piece.is_empty() => {}
            Ok(piece) => answers.send_data(piece).await?,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    answers.send_trailers(trailers).await?;
                }
            }
        }
    }
    Ok(())
}

/// Whether an answer of this status has any content (RFC 9110, section 6.4.1).
fn has_content(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
