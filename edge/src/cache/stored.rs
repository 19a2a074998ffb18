//! One kept answer.

use std::sync::Arc;

use bytes::BytesMut;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::body::Body;
use super::freshness::Kept;
use super::vary;

/// What an entry takes beside its fields and its body: maps, queues, counts.
const OVERHEAD_BYTES: u64 = 512;

/// Where an answer belongs: a URL, and a section of its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key's hash.
    pub hash: u64,
    /// The key ([`super::key::Url`]).
    pub key: Box<[u8]>,
    /// The section ([`super::key::write_section`]).
    pub section: Box<[u8]>,
}

/// A [`Place`] that is only looked at.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// The key's hash.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
    /// The section.
    pub section: &'a [u8],
}

impl Spot<'_> {
    /// Whether it is that place.
    #[must_use]
    pub fn is(&self, place: &Place) -> bool {
        *self.section == *place.section && *self.key == *place.key
    }

    /// The place, to be kept.
    #[must_use]
    pub fn to_place(&self) -> Place {
        Place {
            hash: self.hash,
            key: self.key.into(),
            section: self.section.into(),
        }
    }
}

/// A kept answer. It never changes; one that is confirmed is replaced, with the same body.
#[derive(Debug)]
pub struct Stored {
    /// Its number among all that this process kept.
    pub id: u64,
    /// Where it belongs.
    pub place: Place,
    /// Which requests of its section it answers: the names in `Vary`, and their values.
    pub vary: Box<[HeaderName]>,
    /// These values ([`vary::select`]).
    pub selection: Box<[u8]>,
    /// The status.
    pub status: StatusCode,
    /// The fields, ready to be sent.
    pub headers: HeaderMap,
    /// What it is judged by.
    pub kept: Kept,
    /// The body.
    pub body: Arc<Body>,
}

impl Stored {
    /// An answer to a request with these fields.
    #[must_use]
    pub fn new(
        id: u64,
        place: Place,
        request: &HeaderMap,
        (status, headers, kept): (StatusCode, HeaderMap, Kept),
        body: Arc<Body>,
    ) -> Self {
        let headers = compact(headers);
        let names = vary::names(&headers);
        let mut selection = Vec::new();
        vary::select(&names, request, &mut selection);
        Self {
            id,
            place,
            vary: names,
            selection: selection.into(),
            status,
            headers,
            kept,
            body,
        }
    }

    /// Whether it is what a request selects. `scratch` saves an allocation.
    #[must_use]
    pub fn is_selected(&self, request: &HeaderMap, scratch: &mut Vec<u8>) -> bool {
        if self.vary.is_empty() {
            return true;
        }
        scratch.clear();
        vary::select(&self.vary, request, scratch);
        **scratch == *self.selection
    }

    /// What it weighs beside a body that is still to come, in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let fields: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        let around =
            fields + self.place.key.len() + self.place.section.len() + self.selection.len();
        let body = self.body.whole().map_or(0, |whole| whole.bytes.len());
        OVERHEAD_BYTES + (around + body) as u64
    }
}

/// The same fields in memory of their own. Those of an answer that has just come are parts of the
/// buffer into which it was read, which is much larger and would be held with them.
fn compact(mut headers: HeaderMap) -> HeaderMap {
    let length = headers.values().map(HeaderValue::len).sum();
    let mut all = BytesMut::with_capacity(length);
    for value in headers.values_mut() {
        all.extend_from_slice(value.as_bytes());
        let own = HeaderValue::from_maybe_shared(all.split().freeze());
        if let Ok(mut own) = own {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn fields_hold_no_more_memory_than_they_are_long() {
        let buffer = Bytes::from(vec![b'x'; 1 << 16]);
        let mut headers = HeaderMap::new();
        for (name, length) in [("etag", 3), ("x-a", 0), ("x-b", 7)] {
            let value = HeaderValue::from_maybe_shared(buffer.slice(..length)).unwrap();
            headers.append(name, value);
        }
        let before = headers.clone();
        let after = compact(headers);
        assert_eq!(after, before);
        drop(before);
        assert!(buffer.is_unique());
    }
}
