//! Chunks (RFC 9112, section 7.1), read byte by byte but for their data.
//!
//! ```text
//!   1a;name=value CR LF   data CR LF   ...   0 CR LF   trailers   CR LF
//! ```
//!
//! A line ends with CR LF and nothing else, and a size is one to sixteen hexadecimal digits: each
//! leniency here has been a way to smuggle requests.

use bytes::{Buf, Bytes};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::decoder::{Piece, Unchunked};

/// How many bytes of extensions a body may have in all. Nobody is known to use them.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;

/// How long trailers may be: as long as heads of most servers.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// How many trailers there may be.
const TRAILERS_MAX: usize = 100;

/// Sixteen hexadecimal digits are 64 bits.
const SIZE_DIGITS_MAX: u32 = 16;

/// Where in a body in chunks the reader is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of extensions so far.
    extensions: usize,
    /// The lines after the last chunk so far.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size, of which so many digits were read.
    Size { size: u64, digits: u32 },
    /// Behind a size, before its line's end.
    Extension { size: u64 },
    /// Behind that line's CR.
    SizeEnd { size: u64 },
    /// In a chunk's data, of which so much is left.
    Data { left: u64 },
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the CR after it.
    DataEndLf,
    /// Behind the last chunk.
    Trailers,
    /// Behind everything.
    End,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunked {
    /// Whether the body and its trailers have been read.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::End
    }

    /// Reads the next piece off the front of `input`; `None` while more must come first.
    pub(super) fn read(&mut self, input: &mut Bytes) -> Result<Option<Piece>, Unchunked> {
        loop {
            match self.state {
                State::Data { left } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    return Ok(Some(Piece::Data(self.data(left, input))));
                }
                State::Trailers => return self.trailers(input),
                State::End => return Ok(Some(Piece::End)),
                _ if input.is_empty() => return Ok(None),
                _ => self.state = self.step(input.get_u8())?,
            }
        }
    }

    fn data(&mut self, left: u64, input: &mut Bytes) -> Bytes {
        let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let left = left - here as u64;
        self.state = if left == 0 {
            State::DataEnd
        } else {
            State::Data { left }
        };
        input.split_to(here)
    }

    /// What one byte of framing leads to.
    fn step(&mut self, byte: u8) -> Result<State, Unchunked> {
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(Unchunked);
                }
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                State::Size {
                    size: size << 4 | digit,
                    digits: digits + 1,
                }
            }
            (State::Size { digits: 0, .. }, _) => return Err(Unchunked),
            (State::Size { size, .. } | State::Extension { size }, b'\r') => {
                State::SizeEnd { size }
            }
            (State::Size { size, .. }, b';' | b' ' | b'\t') => self.extension(size)?,
            (State::Extension { size }, byte) if byte != b'\n' => self.extension(size)?,
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailers,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::DataEnd, b'\r') => State::DataEndLf,
            (State::DataEndLf, b'\n') => State::default(),
            _ => return Err(Unchunked),
        })
    }

    fn extension(&mut self, size: u64) -> Result<State, Unchunked> {
        self.extensions += 1;
        if self.extensions > EXTENSION_BYTES_MAX {
            return Err(Unchunked);
        }
        Ok(State::Extension { size })
    }

    /// Collects lines up to an empty one.
    fn trailers(&mut self, input: &mut Bytes) -> Result<Option<Piece>, Unchunked> {
        while input.has_remaining() {
            self.trailers.push(input.get_u8());
            if self.trailers == b"\r\n" {
                self.state = State::End;
                return Ok(Some(Piece::End));
            }
            if self.trailers.ends_with(b"\r\n\r\n") {
                self.state = State::End;
                return fields(&self.trailers).map(|fields| Some(Piece::Trailers(fields)));
            }
            if self.trailers.len() > TRAILER_BYTES_MAX {
                return Err(Unchunked);
            }
        }
        Ok(None)
    }
}

fn fields(lines: &[u8]) -> Result<HeaderMap, Unchunked> {
    let mut parsed = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let status = httparse::parse_headers(lines, &mut parsed).map_err(|_| Unchunked)?;
    let httparse::Status::Complete((_, parsed)) = status else {
        return Err(Unchunked);
    };
    let mut trailers = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Unchunked);
        };
        trailers.append(name, value);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A body, its trailers, and what is left behind them.
    type Found = (Vec<u8>, HeaderMap, Vec<u8>);

    /// Reads what comes in pieces of this size.
    fn read(text: &[u8], piece: usize) -> Result<Option<Found>, Unchunked> {
        let (mut chunked, mut body) = (Chunked::default(), Vec::new());
        let mut trailers = HeaderMap::new();
        let mut rest = Bytes::copy_from_slice(text);
        while !rest.is_empty() {
            let mut input = rest.split_to(piece.min(rest.len()));
            loop {
                match chunked.read(&mut input)? {
                    Some(Piece::Data(data)) => body.extend_from_slice(&data),
                    Some(Piece::Trailers(found)) => trailers = found,
                    None => break,
                    Some(Piece::End) => return Ok(Some((body, trailers, [input, rest].concat()))),
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn bodies_are_read_however_they_are_cut() {
        let text = b"4\r\nbody\r\nA;x=\"y\";z \r\n0123456789\r\n000\r\nx-sum: 7\r\n\r\nnext";
        for piece in 1..text.len() {
            let (body, trailers, rest) = read(text, piece).unwrap().expect("an end");
            assert_eq!(body, b"body0123456789");
            assert_eq!(trailers["x-sum"], "7");
            assert_eq!(rest, b"next");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            &b"zz\r\n"[..],
            b"\r\n",
            b";x\r\n",
            b"-3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"3\nabc\r\n",
            b"3\r\rabc",
            b"3;x\nabc",
            b"3\r\nabcdef\r\n",
            b"3\r\nabc\n0\r\n",
            b"10000000000000000\r\n",
            b"0\r\nbad header\r\n\r\n",
            b"0\r\nx : y\r\n\r\n",
        ] {
            assert_eq!(read(text, 3), Err(Unchunked), "{:?}", text.escape_ascii());
        }
    }

    #[test]
    fn extensions_and_trailers_have_an_end() {
        let endless = [b"3;".to_vec(), vec![b'x'; EXTENSION_BYTES_MAX + 1]].concat();
        assert_eq!(read(&endless, 100), Err(Unchunked));
        let endless = [b"0\r\n".to_vec(), vec![b'x'; TRAILER_BYTES_MAX + 1]].concat();
        assert_eq!(read(&endless, 100), Err(Unchunked));
    }

    proptest! {
        #[test]
        fn what_is_cut_into_chunks_is_put_together(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            piece in 1_usize..50,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let (body, trailers, rest) = read(&text, piece).unwrap().expect("an end");
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(trailers.is_empty() && rest.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            drop(read(&text, piece));
        }
    }
}
