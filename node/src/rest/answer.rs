//! What an operation gives back, before it becomes an HTTP response.

use axum::body::Body;
use bytes::Bytes;
use domain::outcome::{Applied, Outcome};
use domain::time::Revision;
use http::StatusCode;
use serde::Serialize;

use super::error::ApiError;
use super::etag::{ETag, Tags};
use super::render;
use crate::control_plane::ProposeError;

pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// In place of `body`, what is made while it is sent. It ends at a fault, which cannot be told
    /// any more then.
    pub(crate) stream: Option<Body>,
    /// The log entry that the answer comes from; without one, what the node has applied.
    pub(crate) revision: Option<Revision>,
    /// Whether it is the stored answer of an earlier request.
    pub(crate) replayed: bool,
    /// Which state of which object it shows, if it shows one.
    pub(crate) etag: Option<ETag>,
    /// Headers that it has beside the usual ones, or in their place.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

impl Answer {
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Self {
        Self::bytes(status, JSON, render::to_bytes(value))
    }

    pub(crate) fn bytes(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            stream: None,
            revision: None,
            replayed: false,
            etag: None,
            headers: &[],
        }
    }

    pub(crate) fn with_headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    pub(crate) fn streamed(self, stream: Body) -> Self {
        Self {
            stream: Some(stream),
            ..self
        }
    }

    pub(crate) fn at(self, revision: Revision) -> Self {
        Self {
            revision: Some(revision),
            ..self
        }
    }

    /// Says which state of an object it shows.
    pub(crate) fn tagged(self, etag: ETag) -> Self {
        Self {
            etag: Some(etag),
            ..self
        }
    }

    /// Says that it is what would be answered. No object has the state that it shows, so it has no
    /// tag.
    pub(crate) fn of_dry_run(self) -> Self {
        let mut body = self.body.to_vec();
        if body.pop() == Some(b'}') {
            body.extend_from_slice(b",\"dry_run\":true}");
        }
        Self {
            body: body.into(),
            etag: None,
            ..self
        }
    }

    /// Leaves out what the client has, if it has this state.
    pub(crate) fn unless_known(self, known: Option<&Tags>) -> Self {
        let is_known = known
            .zip(self.etag.as_ref())
            .is_some_and(|(known, etag)| known.has(etag));
        if !is_known || !self.status.is_success() {
            return self;
        }
        Self {
            status: StatusCode::NOT_MODIFIED,
            body: Bytes::new(),
            ..self
        }
    }
}

/// Why there is no answer, with what the log says about that.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ApiError,
    /// The log entry that refused.
    pub(crate) revision: Option<Revision>,
    /// Whether it is the stored refusal of an earlier request.
    pub(crate) replayed: bool,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            revision: None,
            replayed: false,
        }
    }
}

impl From<ProposeError> for Failure {
    fn from(error: ProposeError) -> Self {
        ApiError::from(error).into()
    }
}

/// What an operation gives.
pub(crate) type Answered = Result<Answer, Failure>;

/// Turns what the log answered into a response, by the stored reply alone: a replay, from
/// whichever node, has the same bytes.
pub(crate) fn applied(
    applied: Applied,
    status: StatusCode,
    show: impl FnOnce(&Outcome) -> Option<Vec<u8>>,
) -> Answered {
    let Applied {
        reply,
        revision,
        replayed,
    } = applied;
    let failure = |error| Failure {
        error,
        revision: Some(revision),
        replayed,
    };
    let outcome = reply.map_err(|rejection| failure(rejection.into()))?;
    let Some(body) = show(&outcome) else {
        tracing::error!(
            ?outcome,
            "a command was answered with the outcome of another one"
        );
        return Err(failure(ApiError::internal()));
    };
    Ok(Answer {
        status,
        content_type: JSON,
        body: body.into(),
        stream: None,
        revision: Some(revision),
        replayed,
        etag: ETag::of_outcome(&outcome),
        headers: &[],
    })
}
