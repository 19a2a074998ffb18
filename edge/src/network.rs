//! The operating system's network, with listening sockets that several threads bind to the same
//! port: the kernel then spreads connections over the threads, and none is handed from one to
//! another.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use platform::{Lookup, Network, TokioNetwork};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// How many connections wait in the kernel until a thread accepts them: what a burst brings while
/// one thread compiles nothing and serves everything, and what Linux allows by default.
const BACKLOG: i32 = 4096;

/// The shortest time that may be set between questions whether a peer is there.
const QUESTION_MIN: Duration = Duration::from_secs(1);

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
        self.0.quic(on, server)
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
}
