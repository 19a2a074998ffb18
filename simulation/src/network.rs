//! Turmoil's network behind the platform's port: TCP as it comes, and QUIC over turmoil's UDP
//! through quinn's abstract socket. Everything random in QUIC is drawn from the run's seed.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use parking_lot::Mutex;
use platform::{Entropy, Listener, Network};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, EndpointConfig, UdpPoller};
use tokio::sync::mpsc;

/// Datagrams that wait for quinn; more are dropped, as a kernel's full receive buffer would.
const DATAGRAMS_WAITING_MAX: usize = 4096;

/// The largest datagram that turmoil carries here: above quinn's MTU ceiling of 1452 bytes.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// Turmoil's network, as one host sees it.
#[derive(Clone)]
pub struct SimNetwork {
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimNetwork")
    }
}

impl SimNetwork {
    /// A host's network; `entropy` seeds its QUIC endpoints.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy }
    }

    fn endpoint_config(&self) -> EndpointConfig {
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let mut config = EndpointConfig::default();
        config.rng_seed(Some(seed));
        let ids = self.entropy.next_u64();
        config.cid_generator(move || Box::new(CountingIds { next: ids }));
        config
    }
}

impl Network for SimNetwork {
    type Stream = turmoil::net::TcpStream;
    type Listener = SimListener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        turmoil::net::TcpStream::connect(to).await
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        Ok(SimListener(turmoil::net::TcpListener::bind(on).await?))
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        let socket = turmoil::net::UdpSocket::bind(on)
            .now_or_never()
            .ok_or_else(|| io::Error::other("turmoil binds a socket at once"))??;
        let socket = Arc::new(SimUdpSocket::new(socket)?);
        quinn::Endpoint::new_with_abstract_socket(
            self.endpoint_config(),
            server,
            socket,
            Arc::new(quinn::TokioRuntime),
        )
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = name.rsplit_once(':').ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "an address is host:port")
        })?;
        let port = port
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a port is a number"))?;
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }
}

/// A bound TCP socket.
pub struct SimListener(turmoil::net::TcpListener);

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimListener")
    }
}

impl Listener for SimListener {
    type Stream = turmoil::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

type Datagram = (Vec<u8>, SocketAddr);

/// Turmoil's UDP socket in the shape that quinn drives. Turmoil receives by an async call alone,
/// so a task of the host pumps what arrives into a queue that can be polled.
struct SimUdpSocket {
    socket: Arc<turmoil::net::UdpSocket>,
    arrived: Mutex<mpsc::Receiver<Datagram>>,
    local: SocketAddr,
}

impl SimUdpSocket {
    fn new(socket: turmoil::net::UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let socket = Arc::new(socket);
        let (arrive, arrived) = mpsc::channel(DATAGRAMS_WAITING_MAX);
        tokio::spawn(pump(Arc::downgrade(&socket), arrive));
        Ok(Self {
            socket,
            arrived: Mutex::new(arrived),
            local,
        })
    }
}

async fn pump(socket: std::sync::Weak<turmoil::net::UdpSocket>, arrive: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Some(open) = socket.upgrade() else { return };
        let received = tokio::select! {
            received = open.recv_from(&mut buffer) => received,
            () = arrive.closed() => return,
        };
        let Ok((length, from)) = received else { return };
        // A full queue drops the datagram; QUIC sends again what mattered.
        let _ = arrive.try_send((buffer[..length].to_vec(), from));
    }
}

impl fmt::Debug for SimUdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimUdpSocket")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for SimUdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // A datagram to nobody is lost, not an error: that is what UDP does.
        let _ = self
            .socket
            .try_send_to(transmit.contents, transmit.destination);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.arrived.lock();
        let mut count = 0;
        while count < bufs.len().min(meta.len()) {
            let (bytes, from) = match arrived.poll_recv(cx) {
                Poll::Ready(Some(datagram)) => datagram,
                Poll::Ready(None) if count == 0 => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::NotConnected,
                        "the host is gone",
                    )));
                }
                Poll::Ready(None) => break,
                Poll::Pending if count == 0 => return Poll::Pending,
                Poll::Pending => break,
            };
            let length = bytes.len().min(bufs[count].len());
            bufs[count][..length].copy_from_slice(&bytes[..length]);
            meta[count] = RecvMeta {
                addr: from,
                len: length,
                stride: length,
                ecn: None,
                dst_ip: None,
            };
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Turmoil's UDP never pushes back.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Connection ids that count up from a seeded start, so that two runs give the same ones.
#[derive(Debug)]
struct CountingIds {
    next: u64,
}

impl quinn::ConnectionIdGenerator for CountingIds {
    fn generate_cid(&mut self) -> quinn::ConnectionId {
        self.next = self.next.wrapping_add(1);
        quinn::ConnectionId::new(&self.next.to_be_bytes())
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}
