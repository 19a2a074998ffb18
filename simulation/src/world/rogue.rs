//! A node that edges trust and that serves what is bad: what a node with a broken disk, a broken
//! build or a thief at its keyboard could say to edges. It has a node's certificate and speaks
//! their protocol; nothing that it offers may ever come into use.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use domain::id::EnvironmentId;
use domain::model::{Epoch, ManifestVersion};
use domain::tree::{Edits, Hash, TreeKind, edit};
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::limits::CHUNK_BYTES_MAX;
use edge_protocol::{Hello, ManifestRef, PROTOCOL, ReportState, ToEdge, ToNode, Welcome};
use parking_lot::Mutex;
use platform::Network;
use platform::tls::ALPN_EDGE;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, SendStream, ServerConfig};
use tokio::sync::watch;

use super::Fleet;
use crate::history::{BadManifest, History};
use crate::hosts::{PUBLISHER_PORT, ROGUE};
use crate::network::SimNetwork;
use crate::options::Badness;
use crate::workload::now_us;

/// The number that its certificate and its welcome name.
const MEMBER: u64 = 99;

/// What is taken from a stream at once.
const READ_BYTES: usize = 16 * 1024;

/// The node that serves what is bad, from outside. Clones are the same one.
#[derive(Clone)]
pub struct Rogue {
    badness: watch::Sender<Option<Badness>>,
    environment: Arc<Mutex<Option<EnvironmentId>>>,
    refusals: Arc<Mutex<u64>>,
    history: Arc<Mutex<History>>,
}

/// Why a conversation with an edge ends.
#[derive(Debug)]
enum Ended {
    /// The edge is gone, or said what is not understood.
    Gone,
    /// It does not serve any more.
    Off,
}

impl Rogue {
    /// One that serves nobody yet.
    #[must_use]
    pub fn new(history: Arc<Mutex<History>>) -> Self {
        Self {
            badness: watch::Sender::new(None),
            environment: Arc::default(),
            refusals: Arc::default(),
            history,
        }
    }

    /// What it serves from now on; nothing turns edges away, also those that are there.
    pub fn set(&self, badness: Option<Badness>) {
        self.badness.send_replace(badness);
    }

    /// Which environment it claims to know.
    pub fn learn(&self, environment: EnvironmentId) {
        *self.environment.lock() = Some(environment);
    }

    /// How often an edge told it that it refused something.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        *self.refusals.lock()
    }

    async fn serve(self, connection: Connection) {
        if let Err(Ended::Off) = self.talk(&connection).await {
            connection.close(0_u8.into(), b"");
        }
    }

    async fn talk(&self, connection: &Connection) -> Result<(), Ended> {
        let (mut send, mut receive) = connection.accept_bi().await.map_err(gone)?;
        let mut decoder = Decoder::default();
        let mut offer = None;
        let mut off = self.badness.subscribe();
        loop {
            while let Some(frame) = decoder.next_message::<ToNode>().map_err(gone)? {
                let badness = self.badness.borrow().ok_or(Ended::Off)?;
                match frame {
                    ToNode::Hello(hello) => {
                        let bad = Offer::new(badness, &hello);
                        self.note(&hello, &bad);
                        self.greet(&mut send, &bad).await?;
                        offer = Some(bad);
                    }
                    ToNode::Want(hashes) => {
                        answer(&mut send, offer.as_ref(), hashes).await?;
                    }
                    ToNode::WantPatches(wanted) => {
                        let hashes = wanted.into_iter().map(|wanted| wanted.hash).collect();
                        answer(&mut send, offer.as_ref(), hashes).await?;
                    }
                    ToNode::Report(report) => {
                        if let ReportState::Rejected { .. } = report.state {
                            *self.refusals.lock() += 1;
                        }
                    }
                    ToNode::Pong | ToNode::Telemetry(_) | ToNode::Health(_) => {}
                }
            }
            let chunk = tokio::select! {
                chunk = receive.read_chunk(READ_BYTES, true) => chunk.map_err(gone)?,
                _ = off.wait_for(Option::is_none) => return Err(Ended::Off),
            };
            decoder.push(&chunk.ok_or(Ended::Gone)?.bytes);
        }
    }

    async fn greet(&self, send: &mut SendStream, offer: &Offer) -> Result<(), Ended> {
        let environment_id = self.environment.lock().clone().ok_or(Ended::Off)?;
        let welcome = Welcome {
            protocol: PROTOCOL,
            node_id: MEMBER,
            environment_id,
            publishers: Vec::new(),
        };
        say(send, &ToEdge::Welcome(welcome)).await?;
        if offer.badness == Badness::Garbage {
            return send.write_all(&[0xff; 64]).await.map_err(gone);
        }
        say(send, &ToEdge::Manifest(offer.manifest)).await
    }

    fn note(&self, hello: &Hello, offer: &Offer) {
        let edge = hello.edge_id.rsplit_once('-');
        let edge = edge.and_then(|(_, number)| number.parse::<usize>().ok());
        self.history.lock().bad_manifests.push(BadManifest {
            edge: edge.map_or(0, |number| number.saturating_sub(1)),
            at_us: now_us(),
            how: offer.badness.name(),
            manifest: (offer.manifest.epoch.0, offer.manifest.version.0),
            root: Some(offer.manifest.root.0),
        });
    }
}

impl fmt::Debug for Rogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rogue").finish_non_exhaustive()
    }
}

fn gone<E>(_: E) -> Ended {
    Ended::Gone
}

async fn say(send: &mut SendStream, frame: &ToEdge) -> Result<(), Ended> {
    let bytes = encode(frame).map_err(gone)?;
    send.write_all(&bytes).await.map_err(gone)
}

async fn answer(
    send: &mut SendStream,
    offer: Option<&Offer>,
    hashes: Vec<Hash>,
) -> Result<(), Ended> {
    match offer.and_then(|offer| offer.chunk.clone()) {
        Some(chunk) => say(send, &ToEdge::Chunks(vec![chunk])).await,
        None => say(send, &ToEdge::Gone(hashes)).await,
    }
}

/// What an edge is offered.
struct Offer {
    badness: Badness,
    manifest: ManifestRef,
    /// What comes for whatever is asked for; `None` says that it is not kept any more.
    chunk: Option<Bytes>,
}

impl Offer {
    fn new(badness: Badness, hello: &Hello) -> Self {
        let held = hello.have.unwrap_or(ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(0),
            root: Hash::EMPTY_TREE,
        });
        let (root, chunk) = content(badness);
        let version = match badness {
            Badness::Older => held.version.0.saturating_sub(1),
            Badness::Conflicting => held.version.0,
            _ => held.version.0 + 1,
        };
        let manifest = ManifestRef {
            epoch: held.epoch,
            version: ManifestVersion(version),
            root,
        };
        Self {
            badness,
            manifest,
            chunk,
        }
    }
}

/// A root, and what is sent for it.
fn content(badness: Badness) -> (Hash, Option<Bytes>) {
    let garbage = Bytes::from_static(b"this is no chunk of any tree, whatever its hash says");
    match badness {
        Badness::Undecodable => (Hash::of(&garbage), Some(garbage)),
        Badness::Meaningless | Badness::Truncated => match meaningless() {
            Some((root, chunk)) if badness == Badness::Truncated => {
                (root, Some(chunk.slice(..chunk.len() / 2)))
            }
            Some((root, chunk)) => (root, Some(chunk)),
            None => (Hash::of(&garbage), None),
        },
        Badness::Oversize => {
            let large = Bytes::from(vec![0; CHUNK_BYTES_MAX + 1]);
            (Hash::of(&large), Some(large))
        }
        Badness::Missing => (Hash::of(b"missing"), None),
        Badness::WrongHash | Badness::Older | Badness::Conflicting | Badness::Garbage => {
            (Hash::of(b"another"), Some(garbage))
        }
    }
}

/// A tree of one route that is none.
fn meaningless() -> Option<(Hash, Bytes)> {
    let edits: Edits = [(b"route".to_vec(), Some(vec![0xff; 40]))].into();
    let none: std::collections::BTreeMap<Hash, Vec<u8>> = std::collections::BTreeMap::new();
    let edited = edit(&none, TreeKind::Routes, Hash::EMPTY_TREE, &edits).ok()?;
    let chunk = edited.chunks.get(&edited.root)?.clone();
    Some((edited.root, Bytes::from(chunk)))
}

impl Fleet {
    /// Lives the rogue's life.
    ///
    /// # Errors
    /// When its certificate does not work or its port is taken.
    pub async fn run_rogue(self) -> turmoil::Result {
        let network = SimNetwork::new(self.entropy(ROGUE));
        let tls = self.authority.node(MEMBER).identity().server(ALPN_EDGE)?;
        let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PUBLISHER_PORT));
        let endpoint = network.quic(any, Some(config))?;
        while let Some(incoming) = endpoint.accept().await {
            let rogue = self.rogue.clone();
            if rogue.badness.borrow().is_none() {
                incoming.refuse();
                continue;
            }
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    rogue.serve(connection).await;
                }
            });
        }
        Ok(())
    }
}
