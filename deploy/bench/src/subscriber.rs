//! A subscriber: an edge's half of the conversation with a node, with a memory instead of a disk and
//! nobody to serve. It fetches and verifies as an edge does and calls a manifest applied once it
//! holds all of it; it does not compile. Thousands fit in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use domain::tree::Hash;
use edge_protocol::follower::{Action, Held, Holdings};
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::{Follower, Hello, Moment, PROTOCOL, ToEdge};
use platform::tls::{ALPN_EDGE, Identity, NODE_SERVER_NAME};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, RecvStream, SendStream};
use tokio::sync::mpsc;

/// A frame of chunks is at most a MiB; reading less at a time keeps a thousand subscribers small.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A manifest was applied.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// By which subscriber.
    pub subscriber: usize,
    /// When.
    pub at: Instant,
    /// What the stream has carried to it so far, in bytes.
    pub bytes_received: u64,
}

/// Who a subscriber is and whom it follows.
pub struct Subscription {
    /// Its number.
    pub number: usize,
    /// Its identifier, as in its certificate.
    pub edge_id: String,
    /// Its certificate and key.
    pub identity: Identity,
    /// The node's QUIC address.
    pub node: SocketAddr,
}

/// Chunks by hash.
#[derive(Default)]
struct Memory(BTreeMap<Hash, Bytes>);

impl Holdings for Memory {
    fn held(&self, hash: &Hash) -> Held {
        self.0.get(hash).cloned().map_or(Held::Nothing, Held::Chunk)
    }

    fn chunk(&self, hash: &Hash) -> Option<Bytes> {
        self.0.get(hash).cloned()
    }
}

struct Subscriber {
    number: usize,
    began: Instant,
    follower: Follower,
    memory: Memory,
    send: SendStream,
    applied: mpsc::UnboundedSender<Applied>,
    bytes_received: u64,
}

/// Follows until the receiver of `applied` is gone.
///
/// # Errors
/// When the node cannot be reached, refuses or closes.
pub async fn follow(
    subscription: Subscription,
    endpoint: Endpoint,
    applied: mpsc::UnboundedSender<Applied>,
) -> Result<()> {
    let tls = subscription
        .identity
        .client(ALPN_EDGE)
        .context("the subscriber's TLS")?;
    let quic = QuicClientConfig::try_from(tls).context("the subscriber's TLS does not fit QUIC")?;
    let connecting = endpoint.connect_with(
        ClientConfig::new(Arc::new(quic)),
        subscription.node,
        NODE_SERVER_NAME,
    );
    let connection = connecting
        .context("no connection")?
        .await
        .context("the node refuses the connection")?;
    let (send, receive) = connection
        .open_bi()
        .await
        .context("the node refuses a stream")?;
    let hello = Hello {
        protocol: PROTOCOL,
        edge_id: subscription.edge_id,
        environment: "production".to_owned(),
        region: "eu-central-1".to_owned(),
        labels: BTreeMap::new(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        have: None,
    };
    let mut subscriber = Subscriber {
        number: subscription.number,
        began: Instant::now(),
        follower: Follower::new(hello, None, None),
        memory: Memory::default(),
        send,
        applied,
        bytes_received: 0,
    };
    let now = subscriber.now();
    subscriber.follower.handle_connected(now);
    subscriber.converse(receive).await
}

impl Subscriber {
    async fn converse(&mut self, mut receive: RecvStream) -> Result<()> {
        let mut decoder = Decoder::default();
        loop {
            if !self.drive().await? {
                return Ok(());
            }
            let wait = self.follower.poll_timeout().map(|at| at.since(self.now()));
            tokio::select! {
                chunk = receive.read_chunk(READ_BYTES_MAX, true) => {
                    let chunk = chunk.context("the node broke off")?.context("the node closed the stream")?;
                    self.bytes_received += u64::try_from(chunk.bytes.len()).unwrap_or_default();
                    decoder.push(&chunk.bytes);
                    while let Some(frame) = decoder.next_message::<ToEdge>().context("no frame")? {
                        let now = self.now();
                        self.follower.handle_frame(now, frame);
                    }
                }
                () = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(1))) => {
                    let now = self.now();
                    self.follower.handle_timeout(now);
                }
            }
        }
    }

    /// Does what the follower asks for. False once nobody wants to hear of it any more.
    async fn drive(&mut self) -> Result<bool> {
        let now = self.now();
        self.follower.advance(now, &self.memory);
        while let Some(action) = self.follower.poll_action() {
            let chunks = match action {
                Action::Apply { chunks, .. } => chunks,
                // It is forgotten with the subscriber.
                Action::Trust(_) => continue,
                Action::Close(reason) => bail!("the subscriber gave up: {reason}"),
            };
            self.memory.0.extend(chunks);
            self.follower.handle_applied(now, Duration::ZERO, Ok(()));
            let applied = Applied {
                subscriber: self.number,
                at: Instant::now(),
                bytes_received: self.bytes_received,
            };
            if self.applied.send(applied).is_err() {
                return Ok(false);
            }
        }
        while let Some(frame) = self.follower.poll_transmit() {
            let frame = encode(&frame).context("a frame that is too large")?;
            self.send
                .write_all(&frame)
                .await
                .context("the node does not read")?;
        }
        // What happened is for logs, of which a subscriber has none.
        while self.follower.poll_event().is_some() {}
        Ok(true)
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.began.elapsed())
    }
}
