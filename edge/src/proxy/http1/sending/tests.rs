//! Bodies as they leave, to a client that takes what it likes.

use std::collections::VecDeque;
use std::task::Waker;

use http::{HeaderName, HeaderValue};
use http_body::Frame;
use proptest::prelude::*;

use super::*;

/// A body whose frames come one by one; none is one that has to be waited for.
struct Frames(VecDeque<Option<Result<Frame<Bytes>, BodyError>>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(None) => Poll::Pending,
            Some(frame) => Poll::Ready(frame),
        }
    }
}

/// A client that takes so many bytes at a time, and has every other one wait.
struct Client {
    taken: Vec<u8>,
    at_once: usize,
    waits: bool,
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits = !self.waits;
        if self.waits {
            return Poll::Pending;
        }
        let count = bytes.len().min(self.at_once);
        self.taken.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.as_mut().poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn data(bytes: impl Into<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
    Some(Ok(Frame::data(bytes.into())))
}

/// What a client gets of a body behind a head, and how it ends.
fn sent(
    frames: Vec<Option<Result<Frame<Bytes>, BodyError>>>,
    mut framing: Framing,
    at_once: usize,
) -> (Vec<u8>, Result<(), Unsent>) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut sending, mut body) = (Sending::default(), Frames(frames.into()));
    let mut client = Client {
        taken: Vec::new(),
        at_once,
        waits: false,
    };
    sending.begin().extend_from_slice(b"HEAD ");
    loop {
        let pulled = sending.pull(&mut body, &mut framing, &mut cx);
        while sending
            .poll_drain(Pin::new(&mut client), &mut cx)
            .is_pending()
        {}
        if pulled == Pulled::End {
            return (client.taken, sending.outcome());
        }
    }
}

fn trailers() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    trailers.insert("x-other", HeaderValue::from_static("8"));
    Frame::trailers(trailers)
}

#[test]
fn a_body_is_framed_as_its_head_says() {
    let sum = HeaderName::from_static("x-sum");
    for (framing, expect) in [
        (Framing::Length(6), &b"HEAD abcdef"[..]),
        (Framing::Length(4), b"HEAD abcd"),
        (Framing::Close, b"HEAD abcdef"),
        (
            Framing::Chunked(Vec::new()),
            b"HEAD 3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
        ),
        (
            Framing::Chunked(vec![sum]),
            b"HEAD 3\r\nabc\r\n3\r\ndef\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
    ] {
        for at_once in [1, 7, 1000] {
            let frames = vec![
                data("abc"),
                None,
                data(""),
                data("def"),
                Some(Ok(trailers())),
            ];
            let (text, outcome) = sent(frames, framing.clone(), at_once);
            assert_eq!(text, expect, "{framing:?}");
            outcome.unwrap();
        }
    }
    let (text, outcome) = sent(Vec::new(), Framing::Chunked(Vec::new()), 3);
    assert_eq!(text, b"HEAD 0\r\n\r\n");
    outcome.unwrap();
}

#[test]
fn a_body_that_breaks_off_has_no_end() {
    let frames = || vec![data("abc"), Some(Err(BodyError::Stalled)), None, None];
    let (text, outcome) = sent(frames(), Framing::Chunked(Vec::new()), 2);
    assert_eq!(text, b"HEAD 3\r\nabc\r\n");
    assert!(matches!(outcome, Err(Unsent::Body(BodyError::Stalled))));
    let (text, outcome) = sent(frames(), Framing::Length(4), 2);
    assert_eq!(text, b"HEAD abc");
    assert!(matches!(outcome, Err(Unsent::Body(_))));
    let (text, outcome) = sent(vec![data("abc")], Framing::Length(4), 2);
    assert_eq!(text, b"HEAD abc");
    assert!(matches!(outcome, Err(Unsent::Short)));
}

proptest! {
    #[test]
    fn chunks_are_read_as_what_they_were_made_of(
        sizes in proptest::collection::vec(0_usize..2 * COPIED_BYTES_MAX, 0..12),
        waits in any::<u16>(),
        at_once in 1_usize..10_000,
    ) {
        let mut frames = Vec::new();
        let mut all = Vec::new();
        for (place, size) in sizes.into_iter().enumerate() {
            if waits >> place & 1 == 1 {
                frames.push(None);
            }
            let bytes = vec![place.to_le_bytes()[0]; size];
            all.extend_from_slice(&bytes);
            frames.push(data(bytes));
        }
        let (text, outcome) = sent(frames, Framing::Chunked(Vec::new()), at_once);
        outcome.unwrap();
        let mut input = Bytes::from(text).slice("HEAD ".len()..);
        let (mut decoder, mut read) = (crate::http1::Decoder::chunked(), Vec::new());
        while !decoder.has_ended() {
            match decoder.read(&mut input).unwrap() {
                Some(crate::http1::Piece::Data(data)) => read.extend_from_slice(&data),
                other => prop_assert_eq!(other, Some(crate::http1::Piece::End)),
            }
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(read, all);
    }
}
