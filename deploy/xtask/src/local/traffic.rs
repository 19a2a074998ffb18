//! Requests through the edges of a local cluster, to see that they arrive.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ureq::http::Request;

use super::api::Probe;
use super::demonstration::HOSTNAME;
use super::topology::{Name, Topology};

/// The header by which an origin says its name.
const ORIGIN: &str = "vectorgate-origin";

/// Sends a request through an edge and says what came back.
///
/// # Errors
/// When it does not arrive at an origin.
pub fn through(topology: &Topology, edge: Name) -> Result<String> {
    let probe = Probe::new(Duration::from_secs(10));
    let address = topology.http(edge);
    let request = Request::get(format!("http://{address}/v1/orders?page=2"))
        .header("host", HOSTNAME)
        .body(())?;
    let answer = probe
        .get(request)
        .with_context(|| format!("{edge} at {address} does not answer"))?;
    let origin = answer.header(ORIGIN);
    match (answer.status, origin) {
        (200, Some(origin)) => Ok(format!(
            "200 from {origin}: {}",
            answer.body.lines().next().unwrap_or_default()
        )),
        (status, _) => bail!(
            "{edge} answered {status} instead of forwarding to an origin: {}",
            answer.body.trim()
        ),
    }
}
