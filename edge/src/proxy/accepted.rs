//! An accepted connection, from its first byte to its last: who it comes from, TLS, which HTTP it
//! speaks. Each step may take as long as `connection` says, and ends with the edge's end.
//!
//! 1. The PROXY header, where one is required: whatever comes after it is the client's.
//! 2. TLS, at the door for it: from here on it is known which host is meant, and a connection for a
//!    host that ends TLS itself leaves on its own way.
//! 3. HTTP/1.1 or HTTP/2: as TLS agreed on, else by the first bytes.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use platform::Network;
use rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tracing::debug;

use super::client::Scheme;
use super::connection::Connection;
use super::http::Http;
use super::preface::{Speaks, detect};
use super::prefixed::Prefixed;
use super::proxy_protocol::{self, Source};
use super::service::Worker;
use super::tls::Choice;
use super::tunnel::relay;
use super::watched::Watched;
use crate::route::{Keys, Route, Target};
use crate::settings::Trust;

/// How many handshakes a thread is in the middle of at once. Beyond, the one that began first is
/// ended: a client that means it is done in two round trips, so that who floods ends his own. At
/// 40 KiB each these take 40 MiB.
pub(super) const HANDSHAKES_MAX: usize = 1024;

/// An accepted connection.
pub(super) struct Accepted<N> {
    worker: Rc<Worker<N>>,
    http: Rc<Http>,
    scheme: Scheme,
    connection: Rc<Connection>,
}

/// What became of a client's greeting.
enum Greeted<S> {
    /// TLS is agreed on.
    Secured(Box<TlsStream<Prefixed<S>>>),
    /// It is to be handed on, from its first byte.
    HandOn(Prefixed<S>, Arc<Route>),
}

impl<N: Network> Accepted<N> {
    pub(super) fn new(
        worker: Rc<Worker<N>>,
        http: Rc<Http>,
        scheme: Scheme,
        peer: SocketAddr,
    ) -> Self {
        Self {
            worker,
            http,
            scheme,
            connection: Rc::new(Connection::new(peer, scheme)),
        }
    }

    /// Serves it to its end.
    pub(super) fn serve(self, stream: N::Stream) -> impl Future<Output = ()> {
        // It counts from its acceptance on, not from its task's first turn.
        let registered = self.worker.connections.register(&self.connection);
        async move {
            self.worker.tally.connection_opened();
            if let Err(error) = self.steps(Prefixed::new(stream)).await {
                debug!(peer = %self.connection.peer, %error, "a client's connection broke off");
            }
            self.worker.tally.connection_ended();
            drop(registered);
        }
    }

    async fn steps(&self, mut stream: Prefixed<N::Stream>) -> io::Result<()> {
        let settings = &self.worker.settings;
        let trust = match self.scheme {
            Scheme::Http => settings.http.trust(),
            Scheme::Https => settings.https.as_ref().and_then(|https| https.trust()),
        };
        if let Some(trust) = trust {
            let told = self.connection.until_told(self.source(&mut stream, trust));
            let Some(told) = told.await else {
                return Ok(());
            };
            told.inspect_err(|_| self.worker.tally.source_refused())?;
        }
        match self.scheme {
            Scheme::Http => self.plain(stream).await,
            // What TLS needs does not make the tasks of connections without it larger.
            Scheme::Https => Box::pin(self.secured(stream)).await,
        }
    }

    /// Takes the word of a proxy in front on whom the connection comes from.
    async fn source(&self, stream: &mut Prefixed<N::Stream>, trust: Trust<'_>) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        if !trust.covers(self.connection.peer.ip()) {
            return Err(invalid("it comes from none of those who are believed"));
        }
        loop {
            let parsed = proxy_protocol::parse(stream.ahead());
            let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            if let Some((source, length)) = parsed? {
                stream.skip(length);
                if let Source::Client(client) = source {
                    self.connection.speaks_for(client);
                }
                return Ok(());
            }
            if stream.look().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn plain(&self, mut stream: Prefixed<N::Stream>) -> io::Result<()> {
        let detected = self.connection.until_told(detect(&mut stream)).await;
        if let Some(Some(speaks)) = detected.transpose()? {
            self.http
                .serve(&self.worker, &self.connection, stream, speaks)
                .await;
        }
        Ok(())
    }

    async fn secured(&self, stream: Prefixed<N::Stream>) -> io::Result<()> {
        let handshakes = &self.worker.handshakes;
        let turn = handshakes.register(&self.connection);
        handshakes.keep_to(HANDSHAKES_MAX);
        let greeted = self.connection.until_late(self.greet(stream)).await;
        drop(turn);
        let agreed = matches!(greeted, Some(Ok(_)));
        self.worker.tally.handshake_ended(agreed);
        match greeted.transpose()? {
            None => Ok(()),
            Some(Greeted::HandOn(stream, route)) => self.hand_on(stream, &route).await,
            Some(Greeted::Secured(stream)) => {
                let speaks = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Speaks::Http2,
                    _ => Speaks::Http1,
                };
                self.http
                    .serve(&self.worker, &self.connection, *stream, speaks)
                    .await;
                Ok(())
            }
        }
    }

    /// Reads a client's greeting and agrees on TLS with it, unless that is another's matter.
    async fn greet(&self, mut stream: Prefixed<N::Stream>) -> io::Result<Greeted<N::Stream>> {
        let Some(terminator) = &self.worker.terminator else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        stream.keep();
        let greeting = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let configuration = self.worker.configuration();
        let choice = terminator.choose(&configuration, &greeting.client_hello());
        drop(configuration);
        let StartHandshake {
            accepted, mut io, ..
        } = greeting;
        match choice {
            Choice::HandOn(route) => {
                io.rewind();
                Ok(Greeted::HandOn(io, route))
            }
            Choice::Open(config, secured) => {
                io.forget();
                let opening = StartHandshake::from_parts(accepted, io).into_stream(config);
                let stream = opening.await?;
                self.connection.secure(secured);
                Ok(Greeted::Secured(Box::new(stream)))
            }
        }
    }

    /// Joins a client to a target that ends TLS itself.
    async fn hand_on(&self, stream: Prefixed<N::Stream>, route: &Route) -> io::Result<()> {
        let under_way = self.connection.begin(false);
        let Some(forward) = route.defaults() else {
            return Ok(());
        };
        let (worker, keys) = (&self.worker, Keys::default());
        let connect = async |target: &Target| worker.upstreams.connect_bare(target).await;
        let reaching = worker.reach(&forward, &keys, None, connect);
        // Why there is none is said where it is tried.
        let Some(Ok((target, (origin, hold)))) = self.connection.until_late(reaching).await else {
            return Ok(());
        };
        // Nothing else is ever known of it here.
        target.health.succeeded();
        let client = Watched::new(stream, Rc::clone(&self.connection));
        let idle = worker.settings.timeouts.tunnel_idle();
        let mut joined = std::pin::pin!(relay(client, origin, idle, &worker.tally));
        self.connection.drive(joined.as_mut(), |_| {}).await;
        drop((under_way, hold));
        Ok(())
    }
}
