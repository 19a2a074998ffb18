//! Loopback sockets of one node that can be cut: then nothing gets in or out, and nobody is told.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use platform::{Listener, Network, TokioNetwork};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// One node's sockets. Cloning shares the cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct CuttableNetwork {
    cut: Arc<AtomicBool>,
    dials: Arc<AtomicUsize>,
}

impl CuttableNetwork {
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// How often this node tried to connect to somebody.
    pub(crate) fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

impl Network for CuttableNetwork {
    type Stream = Cuttable<TcpStream>;
    type Listener = Cuttable<TcpListener>;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        if self.is_cut() {
            std::future::pending::<()>().await;
        }
        let inner = TokioNetwork.connect(to).await?;
        Ok(Cuttable {
            inner,
            network: self.clone(),
        })
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        let inner = TokioNetwork.listen(on).await?;
        Ok(Cuttable {
            inner,
            network: self.clone(),
        })
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        TokioNetwork.quic(on, server)
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        TokioNetwork.resolve(name).await
    }
}

/// A socket that falls silent while its node is cut off. It does not wake up again: whoever uses
/// it must have noticed the silence.
pub(crate) struct Cuttable<T> {
    inner: T,
    network: CuttableNetwork,
}

impl Listener for Cuttable<TcpListener> {
    type Stream = Cuttable<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (inner, from) = Listener::accept(&mut self.inner).await?;
        Ok((
            Cuttable {
                inner,
                network: self.network.clone(),
            },
            from,
        ))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl AsyncRead for Cuttable<TcpStream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.network.is_cut() {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable<TcpStream> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.network.is_cut() {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
