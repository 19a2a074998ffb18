//! Where nodes are, as far as this edge knows. One list rules whom it follows and whom it asks for a certificate: the nodes of its settings,
//! always and first, and behind them those that a node last told of.

use std::sync::Arc;

use edge_protocol::backoff::NODES_MAX;
use parking_lot::Mutex;

/// Nodes as `host:port`. Clones share what nodes tell.
#[derive(Clone, Debug, Default)]
pub struct KnownNodes {
    configured: Arc<[String]>,
    told: Arc<Mutex<Vec<String>>>,
}

impl KnownNodes {
    /// The nodes of the settings, and those that a node told of before.
    #[must_use]
    pub fn new(configured: Vec<String>, told: Vec<String>) -> Self {
        Self {
            configured: configured.into(),
            told: Arc::new(Mutex::new(told)),
        }
    }

    /// A node tells where nodes are now. One that tells of none knows nothing.
    pub fn tell(&self, nodes: &[String]) {
        if !nodes.is_empty() {
            *self.told.lock() = nodes.to_vec();
        }
    }

    /// All of them, each once, in the order in which they are asked.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let told = self.told.lock();
        let mut all: Vec<String> = Vec::new();
        for node in self.configured.iter().chain(told.iter()) {
            if all.len() < NODES_MAX && !all.contains(node) {
                all.push(node.clone());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nodes: &[&str]) -> Vec<String> {
        nodes.iter().map(|&node| node.to_owned()).collect()
    }

    #[test]
    fn those_of_the_settings_come_first_and_those_that_were_told_last_behind_them() {
        let nodes = KnownNodes::new(names(&["c", "a"]), names(&["a", "b"]));
        let shared = nodes.clone();
        assert_eq!(nodes.all(), ["c", "a", "b"]);
        shared.tell(&names(&["a", "d", "d"]));
        assert_eq!(nodes.all(), ["c", "a", "d"]);
        shared.tell(&[]);
        assert_eq!(nodes.all(), ["c", "a", "d"]);
        let alone = KnownNodes::new(Vec::new(), names(&["b"]));
        assert_eq!(alone.all(), ["b"]);
    }

    #[test]
    fn there_are_not_more_than_an_edge_keeps() {
        let many: Vec<_> = (0..=NODES_MAX).map(|number| number.to_string()).collect();
        assert_eq!(KnownNodes::new(many, Vec::new()).all().len(), NODES_MAX);
    }
}
