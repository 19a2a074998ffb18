//! What an edge serves by, and how a manifest becomes it: read every route from the manifest's
//! tree, compile those that changed, swap all at once. Where chunks come from and what is told to
//! the nodes is the subscriber's matter; how a request is routed by it is the proxy's.

use std::time::Duration;

use domain::model::{Epoch, ManifestVersion};
use domain::tree::{ChunkSource, Hash};

/// Which manifest a configuration was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestId {
    /// The epoch, compared before the version.
    pub epoch: Epoch,
    /// The version.
    pub version: ManifestVersion,
    /// The root of the tree of routes.
    pub root: Hash,
}

/// What applying a manifest did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyReport {
    /// How long reading, compiling and swapping took.
    pub elapsed: Duration,
    /// How many routes the manifest holds.
    pub routes: usize,
    /// How many of them had to be compiled; the others are unchanged.
    pub compiled: usize,
}

/// Why a manifest was not applied. What ran before runs on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ApplyError {
    /// The whole story in one line, with the route and the rule it is about.
    pub reason: String,
}

/// Takes manifests into use. The subscriber and the start from disk call it; it is synchronous
/// and may take a second for very large configurations, so it is called off the serving threads.
pub trait Apply: Send + Sync {
    /// Compiles the manifest under `manifest.root` and puts it into use, all of it or nothing.
    /// Everything below the root must be in `source` already, verified against its hashes.
    ///
    /// # Errors
    /// When a chunk is missing or corrupt, or a route does not compile.
    fn apply(&self, manifest: ManifestId, source: &dyn ChunkSource) -> Result<ApplyReport, ApplyError>;

    /// What is in use; nothing before the first success.
    fn active(&self) -> Option<ManifestId>;
}
