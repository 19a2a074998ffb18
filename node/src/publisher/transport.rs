//! How QUIC is used towards edges: two streams that the edge opens, small windows, and a dead peer
//! noticed within [`IDLE_MAX`].

use std::sync::Arc;
use std::time::Duration;

use platform::tls::{ALPN_EDGE, ALPN_ENROL, Identity, Peer, TlsError};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{IdleTimeout, ServerConfig, TransportConfig, VarInt};

/// A connection on which nothing arrived for so long is dead. Edges keep idle ones alive.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// What an edge may send before it is read: four of its largest frames, which ask for 512 chunks.
const RECEIVE_WINDOW: u32 = 64 * 1024;

/// What is kept for an edge that has not acknowledged it: two frames of chunks. A thousand edges
/// that stopped reading cost half a gigabyte at worst, and only until they are noticed.
const SEND_WINDOW: u64 = 512 * 1024;

/// Handshakes that wait to be looked at; more are dropped, and come again.
const INCOMING_MAX: usize = 1024;

/// Bytes held for each of them, and for all. A first flight is far smaller.
const INCOMING_BYTES_MAX: u64 = 64 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;

/// Where edges are let in by join tokens, those come without a certificate, to another conversation than the
/// one with edges.
pub(super) fn server_config(identity: &Identity, lets_in: bool) -> Result<ServerConfig, TlsError> {
    let tls = if lets_in {
        identity.server_for_strangers(&[ALPN_EDGE, ALPN_ENROL], Peer::is_edge)?
    } else {
        identity.server_for(ALPN_EDGE, Peer::is_edge)?
    };
    let crypto =
        QuicServerConfig::try_from(tls).map_err(|error| TlsError::Verifier(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config()))
        // An edge that moves to another address connects anew; nothing is lost by that.
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    Ok(config)
}

fn transport_config() -> TransportConfig {
    let idle_ms = u32::try_from(IDLE_MAX.as_millis()).unwrap_or(u32::MAX);
    let mut config = TransportConfig::default();
    config
        // One for manifests and chunks, one for certificates.
        .max_concurrent_bidi_streams(VarInt::from_u32(2))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))))
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW);
    config
}
