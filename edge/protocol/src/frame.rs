//! Frames: how messages stand in the stream.
//!
//! ```text
//! length  4 bytes, big-endian: of what follows, 1 to FRAME_BYTES_MAX
//! version 1 byte: FORMAT
//! message postcard, to the last byte
//! ```

use bytes::{Buf, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::FRAME_BYTES_MAX;
use crate::message::Bounded;

/// The version of the encoding.
pub const FORMAT: u8 = 1;

const LENGTH_BYTES: usize = 4;

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is not possible.
    #[error("a frame of {0} bytes is not allowed")]
    Length(usize),
    /// Written by software that this one does not know.
    #[error("frame format {0} is unknown")]
    Format(u8),
    /// The message does not decode.
    #[error("a frame does not decode: {0}")]
    Message(String),
    /// The message decodes and breaks a bound.
    #[error("{0}")]
    Bound(&'static str),
}

/// A message with its length and version in front.
///
/// # Errors
/// When the message is too large, which the bounds of what is put into it rule out.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let head = vec![0, 0, 0, 0, FORMAT];
    let mut bytes = postcard::to_extend(message, head)
        .map_err(|error| FrameError::Message(error.to_string()))?;
    let length = bytes.len() - LENGTH_BYTES;
    let prefix = u32::try_from(length)
        .ok()
        .filter(|_| length <= FRAME_BYTES_MAX)
        .ok_or(FrameError::Length(length))?;
    bytes[..LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Cuts received bytes into messages. It holds at most one unfinished frame and what the caller
/// pushed last: take all messages out before pushing more.
#[derive(Debug, Default)]
pub struct Decoder {
    received: BytesMut,
}

impl Decoder {
    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next message, once all of it was received.
    ///
    /// # Errors
    /// When the peer does not speak the protocol. The stream is then of no use any more.
    pub fn next_message<M: DeserializeOwned + Bounded>(&mut self) -> Result<Option<M>, FrameError> {
        let Some(prefix) = self.received.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length == 0 || length > FRAME_BYTES_MAX {
            return Err(FrameError::Length(length));
        }
        if self.received.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.received.advance(LENGTH_BYTES);
        let frame = self.received.split_to(length);
        decode(&frame).map(Some)
    }
}

fn decode<M: DeserializeOwned + Bounded>(frame: &[u8]) -> Result<M, FrameError> {
    let (&format, body) = frame.split_first().ok_or(FrameError::Length(0))?;
    if format != FORMAT {
        return Err(FrameError::Format(format));
    }
    let (message, rest) = postcard::take_from_bytes::<M>(body)
        .map_err(|error| FrameError::Message(error.to_string()))?;
    if !rest.is_empty() {
        return Err(FrameError::Message("bytes follow the message".to_owned()));
    }
    message.check().map_err(FrameError::Bound)?;
    Ok(message)
}

#[cfg(test)]
mod tests;
