//! What the head of a request says apart from its path, read and checked once for all operations.
//! What the query's other parameters mean is each operation's own matter.

use axum::extract::Request;
use http::HeaderMap;
use http::header::HeaderName;

use super::error::{ApiError, Code};
use super::etag::Tags;
use super::operation::{Effect, Operation};
use super::query::Query;
use super::version::Release;
use crate::control_plane::Consistency;

/// The longest target that is read: the longest query that means anything, with every filter, 32
/// labels and a cursor, has some 20 KB in its longest spelling.
const URI_BYTES_MAX: usize = 32 * 1024;

/// The most bytes of header names and values.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The most header lines.
const HEADERS_MAX: usize = 100;

const CONSISTENCY: HeaderName = HeaderName::from_static("vectorgate-consistency");

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) consistency: Consistency,
    pub(crate) query: Query,
    /// Whether a change is only to be judged.
    pub(crate) dry_run: bool,
    /// The states that a change may find; a read has none.
    pub(crate) if_match: Option<Tags>,
    /// The states that a read may leave out; a change has none.
    pub(crate) if_none_match: Option<Tags>,
}

impl Head {
    /// Reads a head; `version` is what became of reading the release that it is pinned to, if it is.
    pub(crate) fn read(
        operation: Operation,
        request: &Request,
        version: Result<Option<Release>, ApiError>,
    ) -> Result<Self, ApiError> {
        let (uri, headers) = (request.uri(), request.headers());
        check_size(uri.path().len() + uri.query().map_or(0, str::len), headers)?;
        let (if_match, if_none_match) = match operation.effect {
            Effect::Read => (None, Tags::read(headers, "If-None-Match")?),
            Effect::Write => (Tags::read(headers, "If-Match")?, None),
        };
        let mut query = Query::parse(uri.query())?;
        let dry_run = match operation.effect {
            Effect::Read => false,
            Effect::Write => query.boolean("dry_run")?.unwrap_or(false),
        };
        version?;
        Ok(Self {
            consistency: consistency(headers)?,
            query,
            dry_run,
            if_match,
            if_none_match,
        })
    }
}

fn check_size(uri_bytes: usize, headers: &HeaderMap) -> Result<(), ApiError> {
    if uri_bytes > URI_BYTES_MAX {
        let message = format!("The request target is longer than {URI_BYTES_MAX} bytes.");
        return Err(ApiError::new(Code::UriTooLong, message));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let message =
            format!("A request may have {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes.");
        return Err(ApiError::new(Code::HeadersTooLarge, message));
    }
    Ok(())
}

fn consistency(headers: &HeaderMap) -> Result<Consistency, ApiError> {
    let mut values = headers.get_all(CONSISTENCY).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(Consistency::default()),
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => b"",
    };
    match value {
        b"linearizable" => Ok(Consistency::Linearizable),
        b"stale" => Ok(Consistency::Stale),
        _ => Err(ApiError::invalid(
            "VectorGate-Consistency",
            "Must be one of: linearizable, stale.",
        )),
    }
}
