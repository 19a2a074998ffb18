//! What stands at the other ends of edges: the origin, and clients that send requests.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use turmoil::net::TcpListener;

use super::scene::{HOSTNAMES, MARK_HEADER, MARK_PATHS, ORIGIN_PORT};
use super::{Shared, now_us};
use crate::history::Probe;
use crate::http::{self, Failure};
use crate::network::SimNetwork;

/// The key that makes edges say by what they answered, and its SHA-256 for their settings.
pub const DEBUG_KEY: &str = "simulated-debug-key-0123456789abcdef";
/// How long a client of an edge waits.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(100);

/// The origin: it accepts connections, which is all that edges want to know of it.
///
/// # Errors
/// When its port is taken.
pub async fn origin() -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, ORIGIN_PORT)).await?;
    loop {
        drop(listener.accept().await?);
    }
}

/// Requests traffic from an edge, again and again: of each route in turn, first of the one marker
/// and then of the other.
pub async fn probe(edge: usize, network: SimNetwork, shared: Shared) {
    for hostname in HOSTNAMES.iter().cycle() {
        for path in MARK_PATHS {
            if *shared.winding_up.lock() {
                return;
            }
            let probe = probe_once(edge, &network, hostname, path).await;
            shared.history.lock().probes.push(probe);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One request to an edge.
pub async fn probe_once(edge: usize, network: &SimNetwork, hostname: &str, path: &str) -> Probe {
    let sent_us = now_us();
    let request = ::http::Request::builder()
        .uri(path)
        .header("host", hostname)
        .header("vectorgate-debug", DEBUG_KEY)
        .body(Full::new(Bytes::new()));
    let address = format!("edge-{}:80", edge + 1);
    let answered = match request {
        Ok(request) => http::send(network, &address, request, ANSWER_DEADLINE).await,
        Err(_) => Err(Failure::NotSent),
    };
    let seen = Probe {
        edge,
        sent_us,
        at_us: now_us(),
        path: format!("{hostname}{path}"),
        ..Probe::default()
    };
    let Ok(response) = answered else {
        return seen;
    };
    Probe {
        status: Some(response.status),
        snapshot: response.header("x-vectorgate-snapshot").map(str::to_owned),
        mark: response.header(MARK_HEADER).map(str::to_owned),
        body: response.body,
        ..seen
    }
}
