//! The operating system's network, with listening sockets that several threads bind to the same
//! port: the kernel then spreads connections over the threads, and none is handed from one to
//! another. It does so for QUIC, too: by the addresses and ports of both ends, so that a connection
//! stays where it began for as long as its client's address does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::{Lookup, Network, TokioNetwork};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// How many connections wait in the kernel until a thread accepts them: what a burst brings while
/// one thread compiles nothing and serves everything, and what Linux allows by default.
const BACKLOG: i32 = 4096;

/// The shortest time that may be set between questions whether a peer is there.
const QUESTION_MIN: Duration = Duration::from_secs(1);

/// What the kernel holds of datagrams for a thread, in each direction: a few milliseconds of a fast
/// link. It gives less where the system allows less.
const DATAGRAM_BYTES: usize = 2 * 1024 * 1024;

/// The operating system's network with shared listening ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedPorts(TokioNetwork);

impl SharedPorts {
    /// Makes sure that no other process listens on `address`: with shared ports, two edges that
    /// are given the same one by mistake would silently divide its connections.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn claim(address: SocketAddr) -> io::Result<()> {
        let socket = socket(address)?;
        socket.bind(&address.into())
    }

    /// The same for datagrams.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn claim_datagrams(address: SocketAddr) -> io::Result<()> {
        datagram_socket(address)?.bind(&address.into())
    }
}

fn datagram_socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart takes the port although connections of the last run linger in the kernel.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// A socket that others may bind to the same port after it.
fn shared_datagram_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = datagram_socket(address)?;
    // Where the kernel chooses the port, it would else take one that another process shares.
    if address.port() != 0 {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    Ok(socket)
}

impl Network for SharedPorts {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        self.0.connect(to).await
    }

    /// TCP acknowledges what it gets, however busy whoever gets it may be, and answers when it is
    /// asked in silence. Nobody who speaks over it sees any of that.
    fn expect_life(&self, stream: &TcpStream, limit: Duration) -> io::Result<()> {
        let socket = SockRef::from(stream);
        // What counts is the timeout; the questions must only have begun before.
        let questions = TcpKeepalive::new()
            .with_time((limit / 2).max(QUESTION_MIN))
            .with_interval((limit / 4).max(QUESTION_MIN));
        socket.set_tcp_keepalive(&questions)?;
        socket.set_tcp_user_timeout(Some(limit))
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        let socket = socket(on)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&on.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        let Some(server) = server else {
            return self.0.quic(on, None);
        };
        let socket = shared_datagram_socket(on)?;
        // What cannot be had is done without.
        let _ = socket.set_recv_buffer_size(DATAGRAM_BYTES);
        let _ = socket.set_send_buffer_size(DATAGRAM_BYTES);
        // Each thread has a key of its own for stateless resets: with a shared one, whoever sends a
        // connection's packets from another address would be told how to reset it (RFC 9000,
        // section 21.11).
        quinn::Endpoint::new(
            quinn::EndpointConfig::default(),
            Some(server),
            socket.into(),
            Arc::new(quinn::TokioRuntime),
        )
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        self.0.resolve(name).await
    }

    async fn lookup(&self, name: &str) -> io::Result<Lookup> {
        self.0.lookup(name).await
    }
}

#[cfg(test)]
mod tests {
    use platform::Listener;

    use super::*;

    #[tokio::test]
    async fn threads_share_a_port_and_processes_do_not() {
        let network = SharedPorts::default();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = network.listen(free).await.unwrap();
        let address = Listener::local_addr(&first).unwrap();
        let second = network.listen(address).await.unwrap();
        assert_eq!(Listener::local_addr(&second).unwrap(), address);
        assert!(SharedPorts::claim(address).is_err());
        drop((first, second));
        SharedPorts::claim(address).unwrap();
    }

    #[tokio::test]
    async fn threads_share_a_port_for_datagrams_and_processes_do_not() {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = shared_datagram_socket(free).unwrap();
        let address = first.local_addr().unwrap().as_socket().unwrap();
        let second = shared_datagram_socket(address).unwrap();
        assert!(SharedPorts::claim_datagrams(address).is_err());
        drop((first, second));
        SharedPorts::claim_datagrams(address).unwrap();
    }
}
