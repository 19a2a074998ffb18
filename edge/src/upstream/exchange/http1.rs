//! An exchange of HTTP/1.1: on a kept connection if there is one, else on a new one, and once more on
//! a new one where the kept one turns out to be closed.

use std::future::poll_fn;
use std::task::Poll;

use http::{HeaderMap, Request, Response};
use platform::Network;
use tokio::time::Instant;

use super::{ExchangeError, Failed, Going, Outcome, Upstreams, Waits, is_repeatable};
use crate::upstream::RequestBody;
use crate::upstream::body::{Lease, Place, Trial, UpstreamBody};
use crate::upstream::dial::dial;
use crate::upstream::http1::{Head, Link, LinkError, Outgoing};
use crate::upstream::pool::Bucket;

/// What is left of a request of which HTTP/1.1 has made bytes.
struct Written {
    /// All but its body, where it may have to be sent to another target.
    request: Option<Box<Request<RequestBody>>>,
    /// Where the response's fields are read into: what the request's were in, where that is over.
    headers: HeaderMap,
}

impl<N: Network> Upstreams<N> {
    pub(super) async fn send_http1(
        &self,
        going: Going<'_>,
        request: Box<Request<RequestBody>>,
        spares: bool,
    ) -> Outcome {
        let repeatable = is_repeatable(&going, &request);
        let kept = self.kept(&going.bucket, repeatable).await;
        let mut is_kept = kept.is_some();
        let mut link = match kept {
            Some(link) => link,
            None => match self.connect(&going).await {
                Ok(link) => link,
                Err(error) => return Err(Failed::new(error, Some(request))),
            },
        };
        let (mut message, mut written) =
            Written::new(request, going.lines, link.take_buffer(), spares);
        if is_kept {
            self.tally.upstream_reused();
        }
        loop {
            link.begin(message);
            let error = match self.head(&mut link, &mut written.headers, &going).await {
                Ok(head) => return Ok(self.begun(going, link, head, written.headers)),
                Err(error) => error,
            };
            message = link.give_up();
            let again = repeatable || !message.is_begun();
            if !(again && is_kept && matches!(error, ExchangeError::Closed(_))) {
                return Err(written.failed(error, again.then_some(message)));
            }
            self.tally.upstream_repeated();
            message.rewind();
            is_kept = false;
            link = match self.connect(&going).await {
                Ok(link) => link,
                Err(error) => return Err(written.failed(error, Some(message))),
            };
        }
    }

    async fn kept(&self, bucket: &Bucket, repeatable: bool) -> Option<Box<Link>> {
        if !repeatable {
            // The runtime polls its sockets before it comes back to a task that yielded.
            tokio::task::yield_now().await;
        }
        bucket.take(self.timeouts.idle())
    }

    /// A response whose head is here.
    fn begun(
        &self,
        going: Going<'_>,
        link: Box<Link>,
        head: Head,
        headers: HeaderMap,
    ) -> Response<UpstreamBody> {
        let Going {
            bucket, occupancy, ..
        } = going;
        let place = Place::Http1(link, bucket);
        let trial = Trial::new(occupancy);
        let mut response = Response::new(self.body(Lease { place, trial }));
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = headers;
        response
    }

    async fn connect(&self, going: &Going<'_>) -> Result<Box<Link>, ExchangeError> {
        let target = going.target;
        let _waits = Waits::begin(target)?;
        let dialling = |until| Box::pin(dial(&self.network, target, until));
        let (stream, lead) = self.in_time(going.until, dialling).await?;
        let mut link = Box::new(Link::new(Box::new(stream)));
        link.lead = lead;
        Ok(link)
    }

    /// Waits for the head of a response of HTTP/1.1.
    async fn head(
        &self,
        link: &mut Link,
        headers: &mut HeaderMap,
        going: &Going<'_>,
    ) -> Result<Head, ExchangeError> {
        let limit = self.timeouts.response_header();
        let mut due = going.until;
        poll_fn(|cx| {
            if let Poll::Ready(head) = link.poll_head(cx, headers) {
                return Poll::Ready(head.map_err(ExchangeError::from));
            }
            while link.due.poll(cx, due).is_ready() {
                match going.upload.map(|upload| upload.answer_due(limit)) {
                    Some(later) if later > Instant::now() => due = later,
                    _ => return Poll::Ready(Err(ExchangeError::Timeout)),
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Written {
    /// Makes a message of a request, with these lines in its head. `buffer` is one that an earlier message
    /// was in.
    fn new(
        mut request: Box<Request<RequestBody>>,
        lines: &[u8],
        buffer: Vec<u8>,
        spares: bool,
    ) -> (Outgoing, Self) {
        let body = std::mem::replace(request.body_mut(), RequestBody::Empty);
        let message = Outgoing::new(buffer, &request, lines, body);
        let mut headers = HeaderMap::new();
        let request = if spares {
            Some(request)
        } else {
            std::mem::swap(&mut headers, request.headers_mut());
            headers.clear();
            None
        };
        (message, Self { request, headers })
    }

    /// A failure, with the request where the message may be sent again.
    fn failed(self, error: ExchangeError, message: Option<Outgoing>) -> Failed {
        let body = message.and_then(Outgoing::into_body);
        let request = self.request.zip(body).map(|(mut request, body)| {
            *request.body_mut() = body;
            request
        });
        Failed::new(error, request)
    }
}

impl From<LinkError> for ExchangeError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed(error) => Self::Closed(error.into()),
            LinkError::Malformed(error) => Self::Malformed(error.into()),
            LinkError::Client(fault) => Self::Client(fault),
        }
    }
}
