//! What hosts are called on the simulated network.

/// The origin that edges send requests to.
pub const ORIGIN: &str = "origin";

/// The node that edges trust and that serves what is bad.
pub const ROGUE: &str = "rogue";

/// Where the edges live that have no host of their own.
pub const HERD: &str = "herd";

/// Where a scenario's script asks from.
pub const SCRIPT: &str = "script";

/// Where edges reach a node.
pub const PUBLISHER_PORT: u16 = 7300;

/// Where nodes reach a node.
pub const INTERNAL_PORT: u16 = 7200;

/// A node, by index from 0.
#[must_use]
pub fn node(index: usize) -> String {
    format!("node-{}", index + 1)
}

/// An edge, by index from 0: its name, and its host where it has one of its own.
#[must_use]
pub fn edge(index: usize) -> String {
    format!("edge-{}", index + 1)
}

/// A receiver of webhooks, by index from 0.
#[must_use]
pub fn receiver(index: usize) -> String {
    format!("receiver-{}", index + 1)
}
