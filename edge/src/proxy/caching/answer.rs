//! A kept answer as the response to one request: all of it, a part of it, or that the client has it
//! already.

use http::header::{AGE, CONTENT_LENGTH, HeaderMap};
use http::{HeaderValue, Response, StatusCode};
use platform::Network;

use super::Seeker;
use crate::cache::conditional::{is_not_modified, not_modified};
use crate::cache::range::{self, Part};
use crate::cache::stored::Stored;
use crate::cache::{Outcome, Report};
use crate::metrics::Answer;
use crate::proxy::body::Content;
use crate::proxy::service::Answered;

impl<N: Network> Seeker<'_, N> {
    /// Answers by what is kept. Nothing where its body is not there any more.
    pub(super) fn answer(
        &self,
        stored: &Stored,
        age_ms: u64,
        outcome: Outcome,
    ) -> Option<Answered> {
        let mut response = self.response(stored, stored.headers.clone())?;
        let age = HeaderValue::from(age_ms / 1000);
        response.headers_mut().insert(AGE, age);
        let report = Report {
            outcome,
            collapsed: self.collapsed,
            age_s: age_ms / 1000,
            ttl_s: stored.kept.fresh_for_ms(self.now_ms()) / 1000,
        };
        self.worker.report(self.matter.trace, report);
        Some((response, Answer::Cache))
    }

    /// A kept answer with these fields, as this request wants it.
    pub(super) fn response(
        &self,
        stored: &Stored,
        mut headers: HeaderMap,
    ) -> Option<Response<Content>> {
        let conditions = &self.asked.conditions;
        let (status, content) = if is_not_modified(conditions, stored.status, &headers) {
            not_modified(&mut headers);
            (StatusCode::NOT_MODIFIED, Content::Empty)
        } else if self.asked.head {
            if let (None, Some(length)) = (headers.get(CONTENT_LENGTH), stored.body.length()) {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            (stored.status, Content::Empty)
        } else {
            let length = stored.body.length();
            let part = length.map_or(Part::Whole, |length| {
                range::part(conditions, stored.status, &headers, length)
            });
            let status = range::settle(&mut headers, part, length.unwrap_or(0));
            (status.unwrap_or(stored.status), content(stored, part)?)
        };
        let mut response = Response::new(content);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Some(response)
    }
}

fn content(stored: &Stored, part: Part) -> Option<Content> {
    let (from, until) = match part {
        Part::Whole => (0, u64::MAX),
        Part::Bytes(from, until) => (from, until),
        Part::Beyond => return Some(Content::Empty),
    };
    match stored.body.whole() {
        Some(whole) if whole.trailers.is_none() => {
            let end = until.min(whole.bytes.len() as u64);
            let (from, end) = (usize::try_from(from).ok()?, usize::try_from(end).ok()?);
            Some(whole.bytes.slice(from..end).into())
        }
        _ => stored.body.read(from, until).map(Content::Shared),
    }
}
