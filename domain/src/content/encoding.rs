//! The bytes of content: a version and the postcard of the type, except that a head chunk has the
//! three bytes of every chunk in front. Decoding refuses what encoding would not have made, so
//! that equal content has equal hashes and an edge cannot be fed two readings of one rule.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{RouteContent, RouteEntry, RuleContent, UpstreamContent};
use crate::id::{RouteId, RuleId, UpstreamId};
use crate::model::Priority;
use crate::tree::{CHUNK_BYTES_MAX, HEAD_HEADER};

/// The version of rules, upstreams and route entries that this software writes.
const VERSION: [u8; 1] = [1];

/// Bytes that are not the encoding of any content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {fault}")]
pub struct DecodeError {
    /// `head`, `rule`, `upstream` or `route entry`.
    pub what: &'static str,
    /// What is wrong.
    pub fault: &'static str,
}

/// The key of a rule in its snapshot: the big-endian priority, then the identifier, so that keys
/// sort as rules are tried.
#[must_use]
pub fn rule_key(priority: Priority, id: &RuleId) -> Vec<u8> {
    [&priority.0.to_be_bytes(), id.as_str().as_bytes()].concat()
}

/// The key of an upstream in its snapshot.
#[must_use]
pub fn upstream_key(id: &UpstreamId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

/// The key of a route in a manifest.
#[must_use]
pub fn route_key(id: &RouteId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

impl RouteContent {
    /// The bytes of the head chunk; their hash is the snapshot's head.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&HEAD_HEADER, self)
    }

    /// Reads a head chunk.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Self::encode`] makes of some content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(DecodeError {
                what: "head",
                fault: "it is longer than a chunk may be",
            });
        }
        decode("head", &HEAD_HEADER, bytes)
    }
}

impl RuleContent {
    /// The key under which the rule stands in its snapshot.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        rule_key(self.priority, &self.id)
    }

    /// The value in a tree of rules.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&VERSION, self)
    }

    /// Reads a value of a tree of rules.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Self::encode`] makes of some content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let rule: Self = decode("rule", &VERSION, bytes)?;
        if !rule.criteria.is_normal() || !rule.action.is_normal() {
            return Err(DecodeError {
                what: "rule",
                fault: "its alternatives are not in order",
            });
        }
        Ok(rule)
    }
}

impl UpstreamContent {
    /// The value in a tree of upstreams.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&VERSION, self)
    }

    /// Reads a value of a tree of upstreams.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Self::encode`] makes of some content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("upstream", &VERSION, bytes)
    }
}

impl RouteEntry {
    /// The value in a tree of routes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&VERSION, self)
    }

    /// Reads a value of a tree of routes.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Self::encode`] makes of some content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("route entry", &VERSION, bytes)
    }
}

fn encode<T: Serialize>(header: &[u8], content: &T) -> Vec<u8> {
    postcard::to_extend(content, header.to_vec())
        .expect("content consists of types that postcard encodes")
}

fn decode<T: Serialize + DeserializeOwned>(
    what: &'static str,
    header: &[u8],
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let body = bytes.strip_prefix(header).ok_or(DecodeError {
        what,
        fault: "its format version is unknown",
    })?;
    let content = postcard::from_bytes(body).map_err(|_| DecodeError {
        what,
        fault: "it does not parse",
    })?;
    // As it is encoded, it is compared: an edge decodes a hundred thousand rules before it serves.
    postcard::serialize_with_flavor(&content, Expected(body)).map_err(|_| DecodeError {
        what,
        fault: "its encoding is not canonical",
    })?;
    Ok(content)
}

/// Takes an encoding that is exactly these bytes, and refuses any other.
struct Expected<'a>(&'a [u8]);

impl Flavor for Expected<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        let rest = self.0.strip_prefix(data);
        self.0 = rest.ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(postcard::Error::SerializeBufferFull)
        }
    }
}
