//! Who gets to the operators' surface. Over TLS: nodes. Over plain HTTP on loopback: programs of this
//! machine, but no web page that a browser on it shows: such a page can reach loopback by a name of its
//! own that resolves there, or by a form.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{StatusCode, header};
use platform::tls::Peer;
use rustls::ServerConnection;

use super::refuse;

/// Whether the other side of a handshake is a node. Edges have certificates of the same authority.
pub(crate) fn nodes_only(connection: &ServerConnection) -> bool {
    let chain = connection.peer_certificates();
    let peer = chain.and_then(|chain| chain.first()).and_then(Peer::of);
    matches!(peer, Some(Peer::Node(_)))
}

/// Refuses what a browser says for a page of somebody else.
pub(super) async fn refuse_browsers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = request.uri().host().or_else(|| {
        headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
    });
    if headers.contains_key(header::ORIGIN) || !host.is_some_and(is_loopback) {
        return refuse(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Ask by a loopback address, and not from a web page.",
        );
    }
    next.run(request).await
}

/// Whether a host, with or without a port, is this machine and nothing that a resolver decides.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_by_its_own_names_is_loopback() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7401",
            "localhost:1",
            "[::1]:7401",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "rebound.example",
            "10.0.0.1:7401",
            "127.0.0.1.example",
            "localhost.example:1",
            "[::2]:1",
            "",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
