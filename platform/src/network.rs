//! The network: TCP streams and QUIC endpoints, by `host:port`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::names::Lookup;

/// Opens and accepts connections.
pub trait Network: Clone + Send + Sync + 'static {
    /// A TCP stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A bound TCP socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Connects to `host:port`. It has no deadline of its own.
    ///
    /// # Errors
    /// When the name does not resolve or nobody answers there.
    fn connect(&self, to: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Has a connection break when its peer gives no sign of life for `limit`, neither to what was
    /// sent nor when asked, instead of after the quarter of an hour that operating systems wait. A
    /// network without a way to have that leaves the connection as it is.
    ///
    /// # Errors
    /// When the connection is broken already.
    fn expect_life(&self, stream: &Self::Stream, limit: Duration) -> io::Result<()> {
        let _ = (stream, limit);
        Ok(())
    }

    /// Binds a TCP socket; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be had.
    fn listen(&self, on: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Binds a QUIC endpoint, which accepts connections if `server` is given.
    ///
    /// # Errors
    /// When the address cannot be had.
    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint>;

    /// The addresses behind `host:port`.
    ///
    /// # Errors
    /// When the name does not resolve.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// The addresses behind `host:port`, and for how long they hold. A network that does not know
    /// the latter says so of [`TTL_UNKNOWN`].
    ///
    /// # Errors
    /// When the name does not resolve.
    fn lookup(&self, name: &str) -> impl Future<Output = io::Result<Lookup>> + Send {
        async move {
            Ok(Lookup {
                addresses: self.resolve(name).await?,
                ttl: TTL_UNKNOWN,
            })
        }
    }
}

/// For how long an answer is believed that does not say.
pub const TTL_UNKNOWN: Duration = Duration::from_secs(30);

/// A bound TCP socket.
pub trait Listener: Send + 'static {
    /// What it accepts.
    type Stream;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// When the operating system refuses; most such errors pass, and the caller goes on.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where it is bound.
    ///
    /// # Errors
    /// When the socket is broken.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The operating system's network through tokio.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioNetwork;

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one adapter that may open real sockets"
)]
impl Network for TokioNetwork {
    type Stream = tokio::net::TcpStream;
    type Listener = tokio::net::TcpListener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        let stream = tokio::net::TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        tokio::net::TcpListener::bind(on).await
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        let socket = std::net::UdpSocket::bind(on)?;
        quinn::Endpoint::new(
            quinn::EndpointConfig::default(),
            server,
            socket,
            std::sync::Arc::new(quinn::TokioRuntime),
        )
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host(name).await?.collect())
    }

    async fn lookup(&self, name: &str) -> io::Result<Lookup> {
        if let Ok(found) = crate::names::lookup(name).await {
            return Ok(found);
        }
        // The operating system may know names that no name server does.
        Ok(Lookup {
            addresses: self.resolve(name).await?,
            ttl: TTL_UNKNOWN,
        })
    }
}

impl Listener for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}
