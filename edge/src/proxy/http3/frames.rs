//! What a client sends on a stream of HTTP/3, sifted before h3 gets it: frames that mean something,
//! one by one, and nothing of what h3 would hold or misread. h3 by itself keeps a frame until all of it
//! is here, however long it says that it is; reads on while it gives away what it has; takes an empty
//! frame of data for the end of the body, and the end of a stream within a frame for it as well.
//!
//! ```text
//!   [type of the stream] --control--> [head of a frame] <-----------------------------.
//!      (of one that goes one way)         |    |    |  \--empty data, unknown: left out-|
//!               \--another--> [any]    DATA  HEADERS  others                           |
//!                                  as it comes  \---|--- when all of it is here ------'
//! ```
//!
//! The head of a frame of data is given by itself: so h3 has read as much as it has given away, and
//! holds nothing.

use bytes::Bytes;

use super::section::{Flaw, check_head, check_trailers};
use crate::proxy::flood::Empties;

/// The longest section of fields, encoded: twice as long as one may be when it is decoded, so that
/// one that is too long is mostly told so. Longer ones end their stream.
pub(super) const SECTION_BYTES_MAX: u64 = 2 * super::HEAD_BYTES_MAX;

/// The longest frame of another kind. Those that mean something have a few bytes.
const FRAME_BYTES_MAX: u64 = 4 * 1024;

/// A type and a length of eight bytes each.
const FRAME_HEAD_BYTES: usize = 16;

const DATA: u64 = 0;
const HEADERS: u64 = 1;

/// What else RFC 9114 knows (section 7.2), those of HTTP/2 that must not be sent included: h3 judges
/// where each of them may stand.
const KNOWN: [u64; 9] = [2, 3, 4, 5, 6, 7, 8, 9, 0x0d];

/// The type of a stream for control (RFC 9114, section 6.2.1).
const CONTROL: u64 = 0;

/// Why what a client sends is not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// A frame is longer than any that is taken.
    #[error("a frame is too long")]
    TooLong,
    /// A section of fields is none.
    #[error("a section of fields is none")]
    Section(Flaw),
    /// The stream ended within a frame.
    #[error("a stream ended within a frame")]
    Truncated,
    /// There is nothing but frames without content.
    #[error("there are too many empty frames")]
    Flood,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The type of a stream.
    Kind,
    /// The head of a frame.
    Head,
    /// Data, given as it comes.
    Data,
    /// A section of fields, given as a whole.
    Section,
    /// Another frame's content, given as a whole.
    Whole,
    /// Content that means nothing here.
    Nothing,
    /// What is not looked at.
    Any,
}

/// How far a stream is.
#[derive(Debug)]
pub(super) struct Frames {
    next: Next,
    head: [u8; FRAME_HEAD_BYTES],
    /// How much of the head is there.
    known: usize,
    /// What is left of a frame's content.
    left: u64,
    /// As much of a frame as is there, of one that is given as a whole.
    whole: Vec<u8>,
    /// Where its content begins.
    content_at: usize,
    /// Whether the request's head has come.
    has_head: bool,
}

impl Frames {
    /// A stream with a request.
    pub(super) fn of_request() -> Self {
        Self {
            next: Next::Head,
            head: [0; FRAME_HEAD_BYTES],
            known: 0,
            left: 0,
            whole: Vec::new(),
            content_at: 0,
            has_head: false,
        }
    }

    /// A stream that goes one way.
    pub(super) fn of_connection() -> Self {
        Self {
            next: Next::Kind,
            ..Self::of_request()
        }
    }

    /// Takes of what has come, and gives the next of what means something; nothing where that needs
    /// more than has come.
    pub(super) fn next(
        &mut self,
        come: &mut Bytes,
        empties: &Empties,
    ) -> Result<Option<Bytes>, Fault> {
        while !come.is_empty() {
            let given = match self.next {
                Next::Kind | Next::Head => {
                    self.head[self.known] = come.split_to(1)[0];
                    self.known += 1;
                    self.begin(empties)?
                }
                Next::Any => Some(come.split_to(come.len())),
                Next::Data => {
                    let data = self.content(come);
                    if self.left == 0 {
                        self.next = Next::Head;
                    }
                    Some(data)
                }
                Next::Section | Next::Whole | Next::Nothing => {
                    let content = self.content(come);
                    if self.next != Next::Nothing {
                        self.whole.extend_from_slice(&content);
                    }
                    self.end_whole()?
                }
            };
            if given.is_some() {
                return Ok(given);
            }
        }
        Ok(None)
    }

    /// The stream has ended.
    pub(super) fn ended(&self) -> Result<(), Fault> {
        let within = match self.next {
            Next::Head => self.known > 0,
            Next::Data | Next::Section | Next::Whole | Next::Nothing => true,
            // What means nothing, or nothing yet, may end anywhere.
            Next::Kind | Next::Any => false,
        };
        if within {
            Err(Fault::Truncated)
        } else {
            Ok(())
        }
    }

    /// As much of a frame's content as has come.
    fn content(&mut self, come: &mut Bytes) -> Bytes {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let content = come.split_to(left.min(come.len()));
        self.left -= content.len() as u64;
        content
    }

    /// Goes on behind a head, if all of it is there.
    fn begin(&mut self, empties: &Empties) -> Result<Option<Bytes>, Fault> {
        let known = &self.head[..self.known];
        let Some((kind, length)) = number(known) else {
            return Ok(None);
        };
        if self.next == Next::Kind {
            self.next = if kind == CONTROL {
                Next::Head
            } else {
                Next::Any
            };
            return Ok(Some(self.take_head()));
        }
        let Some((left, _)) = number(&known[length..]) else {
            return Ok(None);
        };
        self.left = left;
        let (next, longest) = match kind {
            DATA if left > 0 => (Next::Data, u64::MAX),
            DATA => (Next::Nothing, 0),
            HEADERS => (Next::Section, SECTION_BYTES_MAX),
            _ if KNOWN.contains(&kind) => (Next::Whole, FRAME_BYTES_MAX),
            _ => (Next::Nothing, FRAME_BYTES_MAX),
        };
        if left > longest {
            return Err(Fault::TooLong);
        }
        match next {
            Next::Data | Next::Section => empties.interrupted(),
            _ if empties.another() => return Err(Fault::Flood),
            _ => {}
        }
        self.next = next;
        let head = self.take_head();
        if next == Next::Data {
            return Ok(Some(head));
        }
        self.content_at = head.len();
        self.whole = head.into();
        self.end_whole()
    }

    fn take_head(&mut self) -> Bytes {
        let head = Bytes::copy_from_slice(&self.head[..self.known]);
        self.known = 0;
        head
    }

    /// Goes on behind a frame that is given as a whole or not at all, if all of it is there.
    fn end_whole(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.left > 0 {
            return Ok(None);
        }
        let ended = std::mem::replace(&mut self.next, Next::Head);
        let whole = std::mem::take(&mut self.whole);
        if ended == Next::Section {
            let check = if self.has_head {
                check_trailers
            } else {
                check_head
            };
            check(&whole[self.content_at..]).map_err(Fault::Section)?;
            self.has_head = true;
        }
        Ok((ended != Next::Nothing).then(|| whole.into()))
    }
}

/// A number of QUIC and how many bytes it has, if all of them are there (RFC 9000, section 16).
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, byte| {
        value << 8 | u64::from(*byte)
    });
    Some((value, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `:method: GET`, `:scheme: https`, `:path: /`.
    const HEAD: &[u8] = &[0, 0, 0xc0 | 17, 0xc0 | 23, 0xc0 | 1];
    const TRAILERS: &[u8] = &[0, 0, 0x21, b'a', 1, b'b'];

    fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap() | 0x4000;
        [&[kind][..], &length.to_be_bytes(), content].concat()
    }

    /// What is given of a stream that comes in pieces of this size, part by part.
    fn parts(mut frames: Frames, bytes: &[u8], piece: usize) -> Result<Vec<Bytes>, Fault> {
        let empties = Empties::new();
        let mut parts = Vec::new();
        for piece in bytes.chunks(piece) {
            let mut come = Bytes::copy_from_slice(piece);
            while let Some(part) = frames.next(&mut come, &empties)? {
                assert!(!part.is_empty());
                parts.push(part);
            }
        }
        frames.ended().map(|()| parts)
    }

    fn request(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
        parts(Frames::of_request(), bytes, piece).map(|parts| parts.concat())
    }

    #[tokio::test]
    async fn what_means_something_is_given_however_it_arrives() {
        let (head, data, trailers) = (frame(1, HEAD), frame(0, &[7; 3000]), frame(1, TRAILERS));
        let come = [
            &frame(0x21, b"grease")[..],
            &head,
            &frame(0, b"body"),
            &frame(0, b""),
            &frame(0x21, b""),
            &data,
            &frame(7, &[4]),
            &trailers,
        ]
        .concat();
        let expect = [
            &head[..],
            &frame(0, b"body"),
            &data,
            &frame(7, &[4]),
            &trailers,
        ]
        .concat();
        for piece in 1..40 {
            assert_eq!(request(&come, piece).unwrap(), expect, "{piece}");
        }
    }

    #[tokio::test]
    async fn data_is_given_as_it_comes_behind_its_head_and_the_rest_as_a_whole() {
        let head = frame(1, HEAD);
        let come = [&head[..], &frame(0, b"abcdef"), &frame(0, b"gh")].concat();
        let given = parts(Frames::of_request(), &come, come.len()).unwrap();
        let expect: [&[u8]; 5] = [&head, &[0, 0x40, 6], b"abcdef", &[0, 0x40, 2], b"gh"];
        assert_eq!(given, expect);
        let given = parts(Frames::of_request(), &come, 4).unwrap();
        let expect: [&[u8]; 7] = [
            &head,
            &[0, 0x40, 6],
            b"a",
            b"bcde",
            b"f",
            &[0, 0x40, 2],
            b"gh",
        ];
        assert_eq!(given, expect);
    }

    #[tokio::test]
    async fn what_h3_would_hold_or_misread_is_not_given() {
        let head = frame(1, HEAD);
        let long = |kind: u8, length: u64| {
            [&[kind][..], &(length | 0xc000_0000_0000_0000).to_be_bytes()].concat()
        };
        let many: Vec<u8> = frame(0, b"").repeat(1_000);
        for (bytes, expect) in [
            (long(1, SECTION_BYTES_MAX + 1), Fault::TooLong),
            (long(1, SECTION_BYTES_MAX), Fault::Truncated),
            (long(0x21, FRAME_BYTES_MAX + 1), Fault::TooLong),
            (long(4, FRAME_BYTES_MAX + 1), Fault::TooLong),
            ([&head[..], &long(0, 1 << 40)].concat(), Fault::Truncated),
            (
                [&head[..], &frame(0, b"body")[..5]].concat(),
                Fault::Truncated,
            ),
            ([&head[..], &[0]].concat(), Fault::Truncated),
            (head[..head.len() - 1].to_vec(), Fault::Truncated),
            ([&head[..], &head].concat(), Fault::Section(Flaw::Pseudo)),
            (frame(1, b""), Fault::Section(Flaw::Undecodable)),
            ([&head[..], &many].concat(), Fault::Flood),
        ] {
            assert_eq!(request(&bytes, 3), Err(expect), "{bytes:x?}");
        }
        assert_eq!(request(&[], 1), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn of_streams_that_go_one_way_the_control_stream_is_sifted() {
        let settings = frame(4, &[6, 0x40, 0x64]);
        let flood: Vec<u8> = [settings.clone(), frame(0x0d, &[1]).repeat(1_000)].concat();
        let given = |kind: u8, bytes: &[u8]| {
            let bytes = [&[kind][..], bytes].concat();
            parts(Frames::of_connection(), &bytes, 7).map(|parts| parts.concat())
        };
        assert_eq!(given(0, &settings), Ok([&[0], &settings[..]].concat()));
        assert_eq!(given(0, &settings[..4]), Err(Fault::Truncated));
        assert_eq!(given(0, &flood), Err(Fault::Flood));
        for kind in [2, 0x21] {
            assert_eq!(given(kind, &flood), Ok([&[kind], &flood[..]].concat()));
        }
        assert_eq!(given(0x40, &[]), Ok(Vec::new()));
    }

    #[test]
    fn numbers_are_read_as_the_standard_shows() {
        for (bytes, expect) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                Some((151_288_809_941_952_652, 8)),
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], Some((494_878_333, 4))),
            (&[0x7b, 0xbd, 1], Some((15_293, 2))),
            (&[0x25], Some((37, 1))),
            (&[0x7b], None),
            (&[], None),
        ] {
            assert_eq!(number(bytes), expect);
        }
    }

    proptest! {
        /// However a stream is cut, the same is given of it.
        #[test]
        fn pieces_do_not_matter(
            kinds in prop::collection::vec((0..12_u8, 0..100_usize), 0..20),
            noise in prop::collection::vec(any::<u8>(), 0..40),
            piece in 1..50_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _within = runtime.enter();
            let frames = kinds.iter().map(|(kind, length)| match kind {
                1 => frame(1, TRAILERS),
                kind => frame(*kind, &vec![7; *length]),
            });
            let mut bytes: Vec<u8> = frames.flatten().collect();
            bytes.extend(noise);
            prop_assert_eq!(request(&bytes, piece), request(&bytes, usize::MAX));
        }
    }
}
