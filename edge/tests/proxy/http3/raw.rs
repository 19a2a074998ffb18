//! A client that sends whatever bytes it is told to on streams of QUIC, for what no client library
//! would send.

use std::net::SocketAddr;

use h3::error::Code;
use quinn::{ConnectionError, ReadError, ReadToEndError, RecvStream, SendStream, VarInt};

use super::client::dial;
use crate::publish::HOST;
use crate::world::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection.
pub(crate) struct Raw {
    pub(crate) quic: quinn::Connection,
    /// It must stay open for as long as the connection.
    pub(crate) control: SendStream,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Bytes came, and their end.
    Answered(Vec<u8>),
    /// The stream was reset.
    Reset(u64),
    /// The connection was closed by the edge.
    Closed,
}

/// A length or type as QUIC writes it, always with four bytes.
pub(crate) fn number(value: usize) -> [u8; 4] {
    (u32::try_from(value).unwrap() | 0x8000_0000).to_be_bytes()
}

pub(crate) fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &number(content.len()), content].concat()
}

/// Fields as QPACK literals without Huffman codes.
pub(crate) fn section(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = vec![0, 0];
    for (name, value) in fields {
        length(name.len(), 0x20, 7, &mut block);
        block.extend_from_slice(name);
        length(value.len(), 0, 127, &mut block);
        block.extend_from_slice(value);
    }
    block
}

/// An integer behind these flags, with a prefix that holds up to `max` (RFC 7541, section 5.1).
fn length(length: usize, flags: u8, max: usize, block: &mut Vec<u8>) {
    if length < max {
        block.push(flags | u8::try_from(length).unwrap());
        return;
    }
    block.push(flags | u8::try_from(max).unwrap());
    let mut rest = length - max;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// A usual request's head, and more fields.
pub(crate) fn head(method: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let usual: [(&[u8], &[u8]); 4] = [
        (b":method", method.as_bytes()),
        (b":scheme", b"https"),
        (b":authority", HOST.as_bytes()),
        (b":path", b"/"),
    ];
    frame(HEADERS, &section(&[&usual[..], more].concat()))
}

impl Raw {
    /// A connection for [`HOST`], on which the settings are said.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let quic = dial(to, HOST).await.unwrap();
        let mut control = quic.open_uni().await.unwrap();
        let settings = [&[0][..], &frame(SETTINGS, &[])].concat();
        control.write_all(&settings).await.unwrap();
        Self { quic, control }
    }

    /// Sends bytes on a stream of their own.
    pub(crate) async fn send(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, recv) = self.quic.open_bi().await.unwrap();
        // The edge may stop reading before it has read everything.
        let _ = send.write_all(bytes).await;
        (send, recv)
    }

    /// Sends bytes and their end, and waits for what becomes of them.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> Outcome {
        let (mut send, recv) = self.send(bytes).await;
        let _ = send.finish();
        outcome(recv).await
    }

    /// With what code the edge closes the connection, where that is heard.
    pub(crate) async fn closed(&self) -> Option<u64> {
        let closed = tokio::time::timeout(PATIENCE, self.quic.closed());
        code(&closed.await.expect("the connection stays open"))
    }
}

/// Has an edge close connections until it is heard with what code. It forgets a connection a tenth of
/// a second later; where the machine has stood still for as long, quinn hears that alone.
pub(crate) async fn closing<F: Future<Output = Option<u64>>>(attempt: impl Fn() -> F) -> u64 {
    loop {
        if let Some(code) = attempt().await {
            return code;
        }
    }
}

/// The code with which a connection was closed.
fn code(error: &ConnectionError) -> Option<u64> {
    match error {
        ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
        ConnectionError::Reset => None,
        error => panic!("{error}"),
    }
}

pub(crate) async fn outcome(mut recv: RecvStream) -> Outcome {
    let read = tokio::time::timeout(PATIENCE, recv.read_to_end(ANSWER_BYTES_MAX));
    match read.await.expect("there is no answer and no end") {
        Ok(bytes) => Outcome::Answered(bytes),
        Err(ReadToEndError::Read(ReadError::Reset(code))) => Outcome::Reset(code.into_inner()),
        Err(ReadToEndError::Read(ReadError::ConnectionLost(error))) => {
            code(&error);
            Outcome::Closed
        }
        Err(error) => panic!("{error}"),
    }
}

/// Takes a request back, as clients do.
pub(crate) fn cancel(send: &mut SendStream, recv: &mut RecvStream) {
    let code = VarInt::from_u64(Code::H3_REQUEST_CANCELLED.value()).unwrap();
    let _ = send.reset(code);
    let _ = recv.stop(code);
}

impl Outcome {
    /// The answer's status, if its head is one and names it by its place in the static table or as
    /// digits.
    pub(crate) fn status(&self) -> Option<u16> {
        let Self::Answered(bytes) = self else {
            return None;
        };
        let (kind, rest) = bytes.split_first()?;
        assert_eq!(*kind, HEADERS, "{bytes:x?}");
        let length = 1 << (rest.first()? >> 6);
        let lines = rest.get(length + 2..)?;
        // RFC 9204, appendix A.
        Some(match *lines.first()? {
            0xd9 => 200,
            0xdb => 404,
            // With a place beyond what the prefix holds.
            0xff => match *lines.get(1)? {
                0 => 100,
                4 => 400,
                6 => 421,
                8 => 500,
                place => panic!("{place} stands for no status that is expected"),
            },
            // A literal, whose name is at 24 and whose digits are coded: what is an error is told by
            // its first one.
            0x5f => match *lines.get(3)? >> 2 {
                0b00_0100 | 0b00_0101 => 299,
                0b01_1001 => 399,
                0b01_1010 => 499,
                _ => 599,
            },
            byte => panic!("{byte:x} begins no status that is expected: {bytes:x?}"),
        })
    }

    /// Whether it is no success.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status().is_none_or(|status| status >= 400)
    }
}
