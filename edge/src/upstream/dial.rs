//! New connections to targets, up to the point where requests can be sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use domain::model::Protocol;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use platform::Network;
use platform::tls::ALPN_H2;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::RequestBody;
use super::driver::{self, Allowance};
use super::lead::Lead;
use super::wire::Wire;
use crate::route::Target;

/// The longest head of a response, and the largest piece in which bodies are read: large enough
/// for every head we know, small enough that a thousand connections take 64 MiB at worst.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A connection for requests.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Where requests are sent.
    pub(crate) sender: Sender,
    /// Where they come out.
    pub(crate) lead: Lead,
}

/// Where requests are sent.
#[derive(Debug)]
pub(crate) enum Sender {
    /// One at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// Many at once, as many as the peer allows.
    Http2(http2::SendRequest<RequestBody>, Allowance),
}

/// Connects to a target by `until`, with TLS where it has that.
///
/// # Errors
/// When nobody answers there, or it is somebody else.
pub(crate) async fn dial<N: Network>(
    network: &N,
    target: &Target,
    until: Instant,
) -> io::Result<(Wire<N::Stream>, Lead)> {
    let (stream, lead) = connect(network, target, until).await?;
    let Some(tls) = &target.tls else {
        return Ok((Wire::Plain(stream), lead));
    };
    let connector = TlsConnector::from(tls.config());
    let stream = connector.connect(tls.name(), stream).await?;
    let (_, session) = stream.get_ref();
    if target.protocol == Protocol::H2 && session.alpn_protocol() != Some(ALPN_H2) {
        return Err(io::Error::other("the target does not speak HTTP/2"));
    }
    Ok((Wire::Tls(Box::new(stream)), lead))
}

/// Connects to one of the target's addresses, each of which is the first to be tried in turn. What
/// is left until `until` is divided among those that are left, so that one from which nothing comes
/// back does not have all of it.
///
/// # Errors
/// When none of them takes the connection.
pub(crate) async fn connect<N: Network>(
    network: &N,
    target: &Target,
    until: Instant,
) -> io::Result<(N::Stream, Lead)> {
    let name = target.addresses.as_ref();
    let seen = name.map_or(0, |name| name.changes());
    let addresses = name.map(|name| name.in_turn()).unwrap_or_default();
    let mut last = None;
    for (place, address) in addresses.iter().enumerate() {
        match reach(network, *address, until, addresses.len() - place).await {
            Ok(stream) => return Ok((stream, Lead::new(name, Some(*address), seen))),
            Err(error) => last = Some(error),
        }
    }
    if let Some(error) = last {
        return Err(error);
    }
    let stream = network.connect(&target.authority).await?;
    Ok((stream, Lead::new(name, None, seen)))
}

/// Connects to the first of so many addresses, in its part of the time. The last has no deadline
/// but that of the whole.
async fn reach<N: Network>(
    network: &N,
    address: SocketAddr,
    until: Instant,
    left: usize,
) -> io::Result<N::Stream> {
    let address = address.to_string();
    let connecting = network.connect(&address);
    if left < 2 {
        return connecting.await;
    }
    let time = until.saturating_duration_since(Instant::now());
    let part = time / u32::try_from(left).unwrap_or(u32::MAX);
    timeout(part, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Connects to a target for requests, by `until`. A connection that many requests share breaks when
/// nothing of the target's side is heard for `silence`, not even that what was sent has arrived: they
/// would all wait in vain.
///
/// Why not ask by PING frames: servers of gRPC take many of these within a call, in which they have
/// nothing to say yet, for an attack.
///
/// # Errors
/// As [`dial`].
pub(crate) async fn open<N: Network>(
    network: &N,
    target: &Target,
    until: Instant,
    silence: Duration,
) -> io::Result<Opened> {
    let (stream, lead) = dial(network, target, until).await?;
    if target.protocol != Protocol::Http1 {
        network.expect_life(stream.stream(), silence)?;
    }
    let stream = TokioIo::new(stream);
    let sender = match target.protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(READ_BYTES_MAX);
            let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
            // How it ended is told to whoever uses it, or does not matter to anyone.
            tokio::task::spawn_local(async move { drop(connection.await) });
            Sender::Http1(sender)
        }
        Protocol::H2 | Protocol::H2c => {
            let (sender, allowance) = driver::open(stream).await?;
            Sender::Http2(sender, allowance)
        }
    };
    Ok(Opened { sender, lead })
}
