//! What a log entry carries for the state machine: a command, together with its bytes.
//!
//! A command is written once, by the node that proposes it, and its bytes then go as they are to
//! the leader, into every log and to every follower; each node reads it once, when it arrives.
//! Entries are handed around a lot (cached, replicated, applied), so cloning one only counts
//! references.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use domain::command::Stamped;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::{self, CodecError};

/// Room for most commands, so that writing one does not move it again and again as it grows.
const BYTES_USUAL: usize = 2048;

/// A command and its bytes, which always agree. Cloning shares both.
#[derive(Clone, Debug)]
pub struct Proposal {
    stamped: Arc<Stamped>,
    bytes: Bytes,
}

impl Proposal {
    /// Writes a command.
    ///
    /// # Panics
    /// Never: commands are plain data, which postcard always writes.
    #[must_use]
    pub fn new(stamped: Stamped) -> Self {
        let bytes = postcard::to_extend(&stamped, Vec::with_capacity(BYTES_USUAL))
            .expect("commands are plain data, which postcard always writes");
        Self {
            stamped: Arc::new(stamped),
            bytes: Bytes::copy_from_slice(&bytes),
        }
    }

    /// Reads a command, to the last byte.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let stamped = codec::whole(bytes)?;
        Ok(Self {
            stamped: Arc::new(stamped),
            // A copy of its own: a part of what was received would keep all of it in memory.
            bytes: Bytes::copy_from_slice(bytes),
        })
    }

    /// The command.
    #[must_use]
    pub fn stamped(&self) -> &Stamped {
        &self.stamped
    }

    /// The command in postcard, without a version: whatever it is put into has one.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl From<Stamped> for Proposal {
    fn from(stamped: Stamped) -> Self {
        Self::new(stamped)
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Proposal {}

impl fmt::Display for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stamped.fmt(formatter)
    }
}

/// openraft asks for it; entries are written and read by [`crate::codec`] alone.
impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.stamped.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stamped::deserialize(deserializer).map(Self::new)
    }
}
