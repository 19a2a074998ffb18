//! Requests through the edges of a local cluster, to see that they arrive.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ureq::http::Request;

use super::api::Probe;
use super::demonstration::HOSTNAME;
use super::topology::{Name, Topology};

/// The header by which an origin says its name.
const ORIGIN: &str = "vectorgate-origin";

/// What came back through an edge.
pub struct Arrived {
    /// The status.
    pub status: u16,
    /// The origin that answered, if one did.
    pub origin: Option<String>,
    body: String,
}

impl fmt::Display for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.origin.as_deref().unwrap_or("the edge itself");
        let first = self.body.lines().next().unwrap_or_default().trim_end();
        write!(f, "{} from {from}: {first}", self.status)
    }
}

/// Sends a request through an edge.
///
/// # Errors
/// When nothing comes back.
pub fn through(topology: &Topology, edge: Name) -> Result<Arrived> {
    let probe = Probe::new(Duration::from_secs(10));
    let address = topology.http(edge);
    let request = Request::get(format!("http://{address}/v1/orders?page=2"))
        .header("host", HOSTNAME)
        .body(())?;
    let answer = probe
        .get(request)
        .with_context(|| format!("{edge} at {address} does not answer"))?;
    let origin = answer.header(ORIGIN).map(str::to_owned);
    Ok(Arrived {
        status: answer.status,
        origin,
        body: answer.body,
    })
}
