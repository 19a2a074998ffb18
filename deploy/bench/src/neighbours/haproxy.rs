//! The configuration of `HAProxy` as a proxy.

use std::net::SocketAddr;

/// How many connections it may have: more than a benchmark opens.
const CONNECTIONS: usize = 16_384;

/// A proxy.
pub(super) fn proxy([http1, http2]: [SocketAddr; 2], origin: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn {CONNECTIONS}

defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
    option forwardfor

frontend clients
    bind {http1} backlog 4096
    bind {http2} backlog 4096 proto h2
    http-request set-header X-Forwarded-Proto http
    default_backend origin

backend origin
    server origin {origin}
"
    )
}
