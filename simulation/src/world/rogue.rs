//! A node that edges trust and that serves what is bad: what a node with a broken disk, a broken
//! build or a thief at its keyboard could say to edges. It has a node's certificate and speaks
//! their protocol, and signs as the cluster does, but for what it forges; nothing that it offers may ever come into use.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::id::EnvironmentId;
use domain::tree::Hash;
use edge_protocol::frame::{Decoder, encode};
use edge_protocol::{Hello, PROTOCOL, ReportState, ToEdge, ToNode, Welcome};
use parking_lot::Mutex;
use platform::Network;
use platform::tls::ALPN_EDGE;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, SendStream, ServerConfig};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Fleet;
use super::offers::{Offer, Offers, Stock};
use crate::history::{BadManifest, History};
use crate::hosts::{PUBLISHER_PORT, ROGUE};
use crate::network::SimNetwork;
use crate::options::Badness;
use crate::workload::now_us;

/// The number that its certificate and its welcome name.
const MEMBER: u64 = 99;

/// How long after an offer the next one follows: an edge has fetched and judged it by then.
const OFFERS_APART: Duration = Duration::from_millis(500);

/// What is taken from a stream at once.
const READ_BYTES: usize = 16 * 1024;

/// The node that serves what is bad, from outside. Clones are the same one.
#[derive(Clone)]
pub struct Rogue {
    badness: watch::Sender<Option<Badness>>,
    environment: Arc<Mutex<Option<EnvironmentId>>>,
    stock: Arc<Mutex<Stock>>,
    refusals: Arc<Mutex<u64>>,
    /// How many edges have said who they are.
    conversations: Arc<AtomicUsize>,
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
            stock: Arc::default(),
            refusals: Arc::default(),
            conversations: Arc::default(),
            history,
        }
    }

    /// What it begins with from now on; nothing turns edges away, also those that are there.
    pub fn set(&self, badness: Option<Badness>) {
        self.badness.send_replace(badness);
    }

    /// Which environment it claims to know.
    pub fn claim(&self, environment: EnvironmentId) {
        *self.environment.lock() = Some(environment);
    }

    /// What was published, as honest nodes have it.
    pub fn learn(&self, stock: Stock) {
        *self.stock.lock() = stock;
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
        let mut course: Option<Course> = None;
        let mut off = self.badness.subscribe();
        loop {
            while let Some(frame) = decoder.next_message::<ToNode>().map_err(gone)? {
                let badness = self.badness.borrow().ok_or(Ended::Off)?;
                match frame {
                    ToNode::Hello(hello) => {
                        self.greet(&mut send).await?;
                        let conversation = self.conversations.fetch_add(1, Ordering::Relaxed);
                        let stock = self.stock.lock().clone();
                        let mut offers = Offers::new(badness, conversation, &hello, stock);
                        let offer = self.make(&mut send, &hello, offers.next()).await?;
                        course = Some(Course {
                            hello,
                            offers,
                            offer,
                            next: Instant::now() + OFFERS_APART,
                        });
                    }
                    ToNode::Want(hashes) => {
                        answer(&mut send, course.as_ref(), hashes).await?;
                    }
                    ToNode::WantPatches(wanted) => {
                        let hashes = wanted.into_iter().map(|wanted| wanted.hash).collect();
                        answer(&mut send, course.as_ref(), hashes).await?;
                    }
                    ToNode::Report(report) => {
                        if let ReportState::Rejected { .. } = report.state {
                            *self.refusals.lock() += 1;
                        }
                    }
                    ToNode::Pong | ToNode::Telemetry(_) | ToNode::Health(_) | ToNode::Trust(_) => {}
                }
            }
            let next = course.as_ref().map(|course| course.next);
            let turned_off = async { drop(off.wait_for(Option::is_none).await) };
            let offers = tokio::select! {
                chunk = receive.read_chunk(READ_BYTES, true) => {
                    let chunk = chunk.map_err(gone)?.ok_or(Ended::Gone)?;
                    decoder.push(&chunk.bytes);
                    false
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => true,
                () = turned_off => return Err(Ended::Off),
            };
            if let Some(course) = course.as_mut().filter(|_| offers) {
                let offer = course.offers.next();
                course.offer = self.make(&mut send, &course.hello, offer).await?;
                course.next = Instant::now() + OFFERS_APART;
            }
        }
    }

    async fn greet(&self, send: &mut SendStream) -> Result<(), Ended> {
        let environment_id = self.environment.lock().clone().ok_or(Ended::Off)?;
        let welcome = Welcome {
            protocol: PROTOCOL,
            node_id: MEMBER,
            environment_id,
            publishers: Vec::new(),
        };
        say(send, &ToEdge::Welcome(welcome)).await?;
        let signs = self.stock.lock().signs.clone();
        match signs {
            Some(signs) => say(send, &ToEdge::Trust(signs.trust)).await,
            None => Ok(()),
        }
    }

    /// Makes an offer, and notes it.
    async fn make(
        &self,
        send: &mut SendStream,
        hello: &Hello,
        offer: Offer,
    ) -> Result<Offer, Ended> {
        self.note(hello, &offer);
        if offer.badness == Badness::Garbage {
            send.write_all(&[0xff; 64]).await.map_err(gone)?;
        } else {
            let environment = self.environment.lock().clone().ok_or(Ended::Off)?;
            let signed = offer.signed(&self.stock.lock(), &environment);
            say(send, &ToEdge::Manifest(signed.ok_or(Ended::Off)?)).await?;
        }
        Ok(offer)
    }

    fn note(&self, hello: &Hello, offer: &Offer) {
        let edge = hello.edge_id.rsplit_once('-');
        let edge = edge.and_then(|(_, number)| number.parse::<usize>().ok());
        self.history.lock().bad_manifests.push(BadManifest {
            edge: edge.map_or(0, |number| number.saturating_sub(1)),
            at_us: now_us(),
            how: offer.badness.name(),
            manifest: (offer.manifest.epoch.0, offer.manifest.version.0),
            root: offer.bad_root.map(|root| root.0),
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
    course: Option<&Course>,
    hashes: Vec<Hash>,
) -> Result<(), Ended> {
    let (mut chunks, mut lost) = (Vec::new(), Vec::new());
    for hash in hashes {
        match course.and_then(|course| course.offer.chunk(&hash)) {
            Some(chunk) => chunks.push(chunk),
            None => lost.push(hash),
        }
    }
    if !chunks.is_empty() {
        say(send, &ToEdge::Chunks(chunks)).await?;
    }
    if !lost.is_empty() {
        say(send, &ToEdge::Gone(lost)).await?;
    }
    Ok(())
}

/// A conversation with an edge, once it has said who it is.
struct Course {
    hello: Hello,
    offers: Offers,
    /// The last offer.
    offer: Offer,
    /// When the next one is made.
    next: Instant,
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
