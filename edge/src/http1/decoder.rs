//! The body of a message: bytes as they came, to pieces of the body. Pieces are parts of what was
//! received; nothing is copied.

use bytes::Bytes;
use http::HeaderMap;

use super::chunked::Chunked;

/// Reads a body. What is left of it is its state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoder(State);

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are to come; none is the end.
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
}

/// What should be a chunk is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body's chunks are malformed")]
pub(crate) struct Unchunked;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Some bytes of the body.
    Data(Bytes),
    /// What stands behind it.
    Trailers(HeaderMap),
    /// The body has ended.
    End,
}

impl Decoder {
    /// No body, or none that is left.
    pub(crate) const fn ended() -> Self {
        Self(State::Length(0))
    }

    /// A body of so many bytes.
    pub(crate) const fn length(bytes: u64) -> Self {
        Self(State::Length(bytes))
    }

    /// A body in chunks.
    pub(crate) fn chunked() -> Self {
        Self(State::Chunked(Box::default()))
    }

    /// A body that ends with the connection.
    pub(crate) const fn until_close() -> Self {
        Self(State::UntilClose)
    }

    /// Reads the next piece off the front of `input`; `None` while more must come first.
    pub(crate) fn read(&mut self, input: &mut Bytes) -> Result<Option<Piece>, Unchunked> {
        match &mut self.0 {
            State::Length(0) => Ok(Some(Piece::End)),
            _ if input.is_empty() => Ok(None),
            State::Length(left) => {
                let here = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= here as u64;
                Ok(Some(Piece::Data(input.split_to(here))))
            }
            State::UntilClose => Ok(Some(Piece::Data(std::mem::take(input)))),
            State::Chunked(chunked) => {
                let piece = chunked.read(input)?;
                if chunked.has_ended() {
                    self.0 = State::Length(0);
                }
                Ok(piece)
            }
        }
    }

    /// Whether nothing more belongs to the body.
    pub(crate) fn has_ended(&self) -> bool {
        self.0 == State::Length(0)
    }

    /// Whether the connection's end is the body's.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.0 == State::UntilClose
    }

    /// How many bytes are left, where that is known.
    pub(crate) fn bytes_left(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_to_its_end_and_no_further() {
        let mut decoder = Decoder::length(5);
        let mut input = Bytes::from_static(b"abc");
        assert_eq!(
            decoder.read(&mut input),
            Ok(Some(Piece::Data("abc".into())))
        );
        assert_eq!(decoder.read(&mut input), Ok(None));
        assert_eq!(decoder.bytes_left(), Some(2));
        let mut input = Bytes::from_static(b"defg");
        assert_eq!(decoder.read(&mut input), Ok(Some(Piece::Data("de".into()))));
        assert!(decoder.has_ended());
        assert_eq!(decoder.read(&mut input), Ok(Some(Piece::End)));
        assert_eq!(input, "fg");
    }

    #[test]
    fn what_ends_with_the_connection_is_all_there_is() {
        let mut decoder = Decoder::until_close();
        let mut input = Bytes::from_static(b"abc");
        assert_eq!(
            decoder.read(&mut input),
            Ok(Some(Piece::Data("abc".into())))
        );
        assert!(!decoder.has_ended() && decoder.ends_with_connection());
    }

    #[test]
    fn chunks_end_with_the_last() {
        let mut decoder = Decoder::chunked();
        let mut input = Bytes::from_static(b"3\r\nabc\r\n0\r\n\r\nrest");
        assert_eq!(
            decoder.read(&mut input),
            Ok(Some(Piece::Data("abc".into())))
        );
        assert!(!decoder.has_ended());
        assert_eq!(decoder.read(&mut input), Ok(Some(Piece::End)));
        assert!(decoder.has_ended());
        assert_eq!(input, "rest");
    }
}
