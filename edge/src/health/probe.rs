//! One check of one target, over the network: a connection of its own, made as requests make
//! theirs, and closed afterwards.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::model::{Check, CheckKind};
use http::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use platform::Network;
use tokio::time::{Instant, timeout_at};

use crate::route::Target;
use crate::upstream::{RequestBody, Sender, dial, is_shortage, open};

/// How a target is checked.
#[derive(Debug)]
pub struct Probe {
    /// The target, and how it is connected to.
    pub target: Arc<Target>,
    /// What is asked, and how often.
    pub check: Check,
    /// The `Host` where the check names none.
    pub host: String,
}

/// What is wrong.
enum Wrong {
    /// There is no connection.
    Unconnected(io::Error),
    /// It does not answer as it should.
    Answer(String),
}

impl Probe {
    /// Checks the target once. Nothing is found out where this machine has no sockets left.
    pub(super) async fn run<N: Network>(&self, network: &N) -> Option<Result<(), String>> {
        let limit = Duration::from_secs(self.check.timeout_s.into());
        let until = Instant::now() + limit;
        match timeout_at(until, self.ask(network, until, limit)).await {
            Ok(Ok(())) => Some(Ok(())),
            Ok(Err(Wrong::Unconnected(error))) if is_shortage(&error) => None,
            Ok(Err(Wrong::Unconnected(error))) => Some(Err(text(error))),
            Ok(Err(Wrong::Answer(wrong))) => Some(Err(wrong)),
            Err(_) => Some(Err(format!("it took longer than {} s", limit.as_secs()))),
        }
    }

    async fn ask<N: Network>(
        &self,
        network: &N,
        until: Instant,
        limit: Duration,
    ) -> Result<(), Wrong> {
        let CheckKind::Http {
            path,
            head,
            host,
            expected_status,
        } = &self.check.kind
        else {
            let dialled = dial(network, &self.target, until).await;
            return dialled.map_err(Wrong::Unconnected).map(drop);
        };
        let host = host.as_ref().unwrap_or(&self.host);
        let opened = open(network, &self.target, until, limit).await;
        let mut sender = opened.map_err(Wrong::Unconnected)?.sender;
        let method = if *head { Method::HEAD } else { Method::GET };
        let request =
            request(&self.target, &sender, method, (path, host)).map_err(Wrong::Answer)?;
        let response = match &mut sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender, _) => sender.send_request(request).await,
        };
        let status = response
            .map_err(|error| Wrong::Answer(text(error)))?
            .status();
        if is_expected(status, expected_status) {
            return Ok(());
        }
        Err(Wrong::Answer(format!(
            "it answered with {}",
            status.as_u16()
        )))
    }
}

fn is_expected(status: StatusCode, expected: &[u16]) -> bool {
    if expected.is_empty() {
        return status.is_success() || status.is_redirection();
    }
    expected.contains(&status.as_u16())
}

/// A request as the protocol has it: the host stands in a field, or in the target.
fn request(
    target: &Target,
    sender: &Sender,
    method: Method,
    (path, host): (&str, &str),
) -> Result<Request<RequestBody>, String> {
    let mut request = Request::new(RequestBody::Empty);
    *request.method_mut() = method;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("vectorgate-health"));
    match sender {
        Sender::Http1(_) => {
            headers.insert(HOST, HeaderValue::from_str(host).map_err(text)?);
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            *request.uri_mut() = path.parse::<Uri>().map_err(text)?;
        }
        Sender::Http2(..) => {
            *request.version_mut() = http::Version::HTTP_2;
            let scheme = target.scheme();
            let uri = format!("{scheme}://{host}{path}");
            *request.uri_mut() = uri.parse::<Uri>().map_err(text)?;
        }
    }
    Ok(request)
}

/// An error with its cause, in one line.
fn text(error: impl std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
