//! The edge's own answers: what went wrong, in the shape that the API's errors have, with an
//! identifier to find it again by.
//!
//! | status | codes |
//! |---|---|
//! | 400 | `invalid_host`, `invalid_path`, `body_broken` |
//! | 404 | `unknown_host`, `no_matching_rule` |
//! | 405 | `method_not_allowed` |
//! | 408 | `request_timeout` |
//! | 414 | `uri_too_long` |
//! | 417 | `expectation_failed` |
//! | 421 | `misdirected_request` |
//! | 501 | `unsupported_transfer_coding`, `unsupported_protocol` |
//! | 502 | `upstream_unreachable`, `upstream_closed`, `upstream_malformed` |
//! | 503 | `no_configuration`, `no_target`, `upstream_overloaded` |
//! | 504 | `upstream_connect_timeout`, `upstream_timeout`, `not_cached` |
//! | 508 | `loop_detected` |
//!
//! 502 means that the target failed, 504 that it was too slow (but for `not_cached`), 503 that there
//! was no target.

use bytes::Bytes;
use domain::id::RequestId;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::upstream::{ClientFault, ExchangeError, UpgradeError};

/// Names the identifier of a request in its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("vectorgate-request-id");

/// Which error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request names no host, several, or something else.
    InvalidHost,
    /// The path is ambiguous, or the request's target is none.
    InvalidPath,
    /// The request's body broke off.
    BodyBroken,
    /// No route serves the host.
    UnknownHost,
    /// The route has neither a rule that matches nor upstreams of its own.
    NoMatchingRule,
    /// The method is not served at all.
    MethodNotAllowed,
    /// The client was too slow.
    RequestTimeout,
    /// The client expects what is not known here.
    ExpectationFailed,
    /// The body is coded in a way that is not undone here.
    UnsupportedTransferCoding,
    /// The request's target is longer than any that is taken.
    UriTooLong,
    /// The request asks for a host that its connection was not opened for.
    MisdirectedRequest,
    /// The protocol that the request wants to switch to is not switched to here.
    UnsupportedProtocol,
    /// The target does not take connections.
    UpstreamUnreachable,
    /// The target closed the connection instead of answering.
    UpstreamClosed,
    /// The target's answer is not HTTP.
    UpstreamMalformed,
    /// Nothing was published to this edge yet.
    NoConfiguration,
    /// All weights are 0.
    NoTarget,
    /// The target took too long to take the connection.
    UpstreamConnectTimeout,
    /// The target took too long to answer.
    UpstreamTimeout,
    /// The request passed here before.
    LoopDetected,
    /// The target has as many requests as it takes.
    UpstreamOverloaded,
    /// The client takes only what is kept, and nothing is.
    NotCached,
}

impl Code {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 22] = [
        Self::InvalidHost,
        Self::InvalidPath,
        Self::BodyBroken,
        Self::UnknownHost,
        Self::NoMatchingRule,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::ExpectationFailed,
        Self::UnsupportedTransferCoding,
        Self::UriTooLong,
        Self::MisdirectedRequest,
        Self::UnsupportedProtocol,
        Self::UpstreamUnreachable,
        Self::UpstreamClosed,
        Self::UpstreamMalformed,
        Self::NoConfiguration,
        Self::NoTarget,
        Self::UpstreamConnectTimeout,
        Self::UpstreamTimeout,
        Self::LoopDetected,
        Self::UpstreamOverloaded,
        Self::NotCached,
    ];

    /// The name in answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidHost => "invalid_host",
            Self::InvalidPath => "invalid_path",
            Self::BodyBroken => "body_broken",
            Self::UnknownHost => "unknown_host",
            Self::NoMatchingRule => "no_matching_rule",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::ExpectationFailed => "expectation_failed",
            Self::UnsupportedTransferCoding => "unsupported_transfer_coding",
            Self::UriTooLong => "uri_too_long",
            Self::MisdirectedRequest => "misdirected_request",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamMalformed => "upstream_malformed",
            Self::NoConfiguration => "no_configuration",
            Self::NoTarget => "no_target",
            Self::UpstreamConnectTimeout => "upstream_connect_timeout",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::LoopDetected => "loop_detected",
            Self::UpstreamOverloaded => "upstream_overloaded",
            Self::NotCached => "not_cached",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidHost | Self::InvalidPath | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::UnknownHost | Self::NoMatchingRule => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Self::UnsupportedTransferCoding | Self::UnsupportedProtocol => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::UpstreamUnreachable | Self::UpstreamClosed | Self::UpstreamMalformed => {
                StatusCode::BAD_GATEWAY
            }
            Self::NoConfiguration | Self::NoTarget | Self::UpstreamOverloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UpstreamConnectTimeout | Self::UpstreamTimeout | Self::NotCached => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::LoopDetected => StatusCode::LOOP_DETECTED,
        }
    }

    /// Whether it says that an origin failed.
    #[must_use]
    pub fn is_upstream(self) -> bool {
        matches!(
            self,
            Self::UpstreamUnreachable
                | Self::UpstreamClosed
                | Self::UpstreamMalformed
                | Self::UpstreamConnectTimeout
                | Self::UpstreamTimeout
                | Self::NoTarget
        )
    }

    fn message(self) -> &'static str {
        match self {
            Self::InvalidHost => "The request must name one host.",
            Self::InvalidPath => "The request target must be a path.",
            Self::BodyBroken => "The request's body broke off.",
            Self::UnknownHost => "No route serves this host.",
            Self::NoMatchingRule => "No rule of the route matches this request.",
            Self::MethodNotAllowed => "This method is not served.",
            Self::RequestTimeout => "The request's body did not arrive in time.",
            Self::ExpectationFailed => "The only expectation that is met here is 100-continue.",
            Self::UnsupportedTransferCoding => {
                "The only transfer coding that is understood here is chunked."
            }
            Self::UriTooLong => "The request target is too long.",
            Self::MisdirectedRequest => "This connection was opened for another host.",
            Self::UnsupportedProtocol => "The only protocol that is switched to here is websocket.",
            Self::UpstreamUnreachable => "The upstream target does not accept connections.",
            Self::UpstreamClosed => "The upstream target closed the connection without an answer.",
            Self::UpstreamMalformed => "The upstream target's answer is not HTTP.",
            Self::NoConfiguration => "This edge has not received a configuration yet.",
            Self::NoTarget => "The upstream has no target that takes traffic.",
            Self::UpstreamConnectTimeout => {
                "The upstream target did not accept the connection in time."
            }
            Self::UpstreamTimeout => "The upstream target did not answer in time.",
            Self::LoopDetected => "The request has passed this edge before.",
            Self::UpstreamOverloaded => "The target has as many requests as it takes.",
            Self::NotCached => "No answer is kept, and the request forbids to ask for one.",
        }
    }

    /// After these answers the connection is closed, because what follows on it is not to be
    /// trusted to be what the client meant as its next request.
    fn closes(self) -> bool {
        matches!(
            self,
            Self::InvalidHost
                | Self::BodyBroken
                | Self::RequestTimeout
                | Self::ExpectationFailed
                | Self::UnsupportedTransferCoding
        )
    }
}

/// An error, perhaps with more to say than its code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which error.
    pub(super) code: Code,
    message: Option<RefusalMessage>,
}

/// The messages of checks that know more: they are fixed texts, so nothing that a client sent
/// gets into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefusalMessage {
    Host(domain::matching::HostRefusal),
    Path(domain::matching::PathRefusal),
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

impl From<domain::matching::HostRefusal> for Refusal {
    fn from(refusal: domain::matching::HostRefusal) -> Self {
        Self {
            code: Code::InvalidHost,
            message: Some(RefusalMessage::Host(refusal)),
        }
    }
}

impl From<domain::matching::PathRefusal> for Refusal {
    fn from(refusal: domain::matching::PathRefusal) -> Self {
        Self {
            code: Code::InvalidPath,
            message: Some(RefusalMessage::Path(refusal)),
        }
    }
}

impl From<&ExchangeError> for Refusal {
    fn from(error: &ExchangeError) -> Self {
        let code = match error {
            ExchangeError::Unreachable(_) => Code::UpstreamUnreachable,
            ExchangeError::ConnectTimeout => Code::UpstreamConnectTimeout,
            ExchangeError::Timeout => Code::UpstreamTimeout,
            ExchangeError::Closed(_) => Code::UpstreamClosed,
            ExchangeError::Malformed(_) => Code::UpstreamMalformed,
            ExchangeError::Client(ClientFault::Stalled) => Code::RequestTimeout,
            ExchangeError::Client(ClientFault::Broken) => Code::BodyBroken,
            ExchangeError::Overloaded | ExchangeError::Refused(_) => Code::UpstreamOverloaded,
        };
        code.into()
    }
}

impl From<&UpgradeError> for Refusal {
    fn from(error: &UpgradeError) -> Self {
        let code = match error {
            UpgradeError::Timeout => Code::UpstreamTimeout,
            UpgradeError::Closed(_) => Code::UpstreamClosed,
            UpgradeError::Malformed(_) => Code::UpstreamMalformed,
        };
        code.into()
    }
}

impl Refusal {
    /// The answer.
    pub(super) fn response<B: From<Bytes>>(
        &self,
        request_id: &RequestId,
        multiplexed: bool,
    ) -> Response<B> {
        let message = match self.message {
            Some(RefusalMessage::Host(refusal)) => refusal.to_string(),
            Some(RefusalMessage::Path(refusal)) => refusal.to_string(),
            None => self.code.message().to_owned(),
        };
        // Codes, messages and identifiers hold nothing that JSON would have to escape.
        let code = self.code.as_str();
        let body = format!(
            r#"{{"error":{{"code":"{code}","message":"{message}","param":null,"request_id":"{request_id}"}}}}"#
        );
        let mut response = Response::new(B::from(Bytes::from(body)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        if self.code.closes() && !multiplexed {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;
    use domain::matching::PathRefusal;

    use super::*;

    #[test]
    fn every_code_has_its_place_a_name_and_a_message_that_needs_no_escaping() {
        let id = RequestId::new(Seed {
            unix_ms: 1,
            random: 2,
        });
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place);
            let response: Response<Bytes> = Refusal::from(code).response(&id, false);
            assert_eq!(response.status(), code.status());
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["error"]["code"], code.as_str());
            assert_eq!(body["error"]["request_id"], id.as_str());
            assert!(body["error"]["param"].is_null() && body["error"]["message"].is_string());
            assert_eq!(response.headers()[REQUEST_ID], id.as_str());
        }
    }

    #[test]
    fn a_check_says_what_it_did_not_like() {
        let id = RequestId::new(Seed {
            unix_ms: 1,
            random: 2,
        });
        let response: Response<Bytes> = Refusal::from(PathRefusal::Nul).response(&id, true);
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["error"]["message"], PathRefusal::Nul.to_string());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}
