//! An HTTP/2 client that sends whatever frames it is told to, for what no client library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Raw;
use crate::world::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// A frame as it came.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) content: Vec<u8>,
}

/// A connection by prior knowledge.
pub(crate) struct Frames(pub(crate) Raw);

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// Fields as HPACK literals without indexing and without Huffman codes.
pub(crate) fn literals(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

impl Frames {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let mut this = Self(Raw::connect(to).await);
        this.0.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        this.send(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        this
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.0.write_all(bytes).await
    }

    /// The next frame; nothing when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.0.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, d, e, f, g] = head;
            let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.0.0.read_exact(&mut content).await.ok()?;
            Some(Frame {
                kind,
                flags,
                stream: u32::from_be_bytes([d, e, f, g]),
                content,
            })
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("no frame comes and no end")
    }

    /// The frames of a stream up to its end or its reset, or that of the connection.
    pub(crate) async fn answer(&mut self, stream: u32) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let ends = match frame.kind {
                GOAWAY => true,
                RST_STREAM => frame.stream == stream,
                HEADERS | DATA => frame.stream == stream && frame.flags & END_STREAM != 0,
                _ => false,
            };
            frames.push(frame);
            if ends {
                break;
            }
        }
        frames
    }
}
