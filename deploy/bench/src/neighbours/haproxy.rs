//! The configuration of `HAProxy` as a proxy.

use std::net::SocketAddr;

/// How many connections it may have: more than are opened to it, and no more than the limit of open
/// files of a usual machine allows, without which it does not start.
const CONNECTIONS: usize = 4_096;

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
