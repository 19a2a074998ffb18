//! A listener that hands out connections whose TLS handshake is done. Handshakes run beside each
//! other and have a deadline, so that a client that never finishes one holds nobody up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::Listener;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How many handshakes run at a time: each costs a signature and some kilobytes; more clients
/// wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 256;

/// How long a handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// How many connections wait to be taken.
const READY_MAX: usize = 64;

/// How long accepting rests after an error, such as a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether a connection is taken, once its handshake is done.
pub(super) type Admits = fn(&ServerConnection) -> bool;

type Ready<S> = (TlsStream<S>, SocketAddr);

/// TLS over another listener.
pub(super) struct TlsListener<S> {
    ready: mpsc::Receiver<Ready<S>>,
    address: SocketAddr,
}

impl<S> TlsListener<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Listens until it is dropped; takes whom `admits` takes.
    pub(super) fn spawn<L>(
        listener: L,
        acceptor: TlsAcceptor,
        address: SocketAddr,
        admits: Admits,
    ) -> Self
    where
        L: Listener<Stream = S>,
    {
        let (done, ready) = mpsc::channel(READY_MAX);
        tokio::spawn(accept_all(listener, (acceptor, admits), done));
        Self { ready, address }
    }
}

async fn accept_all<L>(
    mut listener: L,
    (acceptor, admits): (TlsAcceptor, Admits),
    done: mpsc::Sender<Ready<L::Stream>>,
) where
    L: Listener,
    L::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(slot) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = done.closed() => return,
        };
        match accepted {
            Ok((stream, from)) => {
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) if !admits(stream.get_ref().1) => {
                            tracing::warn!(%from, "refused a connection from somebody else");
                        }
                        // When nobody takes connections any more, this one is closed.
                        Ok(Ok(stream)) => drop(done.send((stream, from)).await),
                        Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl<S> Listener for TlsListener<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = TlsStream<S>;

    async fn accept(&mut self) -> io::Result<Ready<S>> {
        self.ready
            .recv()
            .await
            .ok_or_else(|| io::Error::other("the listener has ended"))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
