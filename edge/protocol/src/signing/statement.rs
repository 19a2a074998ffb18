//! What is signed, as bytes: each part with its length before it, so that no two statements have the same
//! bytes, and a purpose in front, so that they are those of nothing else.
//!
//! ```text
//! purpose      "vectorgate signed configuration"
//! format       1 byte: FORMAT
//! cluster      text
//! environment  text
//! scope        "environment", or "route"
//! route        text, empty for an environment
//! snapshot     text, empty for an environment
//! epoch        8 bytes
//! version      8 bytes
//! previous     32 bytes
//! root         32 bytes
//! time         8 bytes: Unix milliseconds
//! ```
//!
//! A length has 4 bytes; all numbers are big-endian.

use domain::id::{ClusterId, EnvironmentId, RouteId, SnapshotId};
use domain::model::Epoch;
use domain::time::Timestamp;
use domain::tree::Hash;

/// The version of the bytes.
pub const FORMAT: u8 = 1;

const PURPOSE: &[u8] = b"vectorgate signed configuration";

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that an environment's edges follow: a manifest.
    Environment,
    /// One published version of a route.
    Route {
        /// The route.
        route_id: RouteId,
        /// The snapshot.
        snapshot_id: SnapshotId,
    },
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The cluster that says it.
    pub cluster_id: ClusterId,
    /// The environment that it is about.
    pub environment_id: EnvironmentId,
    /// What of the environment.
    pub scope: Scope,
    /// The epoch, which goes before the version.
    pub epoch: Epoch,
    /// The version of the manifest, or of the route's snapshot.
    pub version: u64,
    /// Of a manifest, the link of the one before; of a snapshot, the content root of the one before.
    pub previous: Hash,
    /// The content root.
    pub root: Hash,
    /// When it became current.
    pub at: Timestamp,
}

impl Statement {
    /// The bytes that are signed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        join(self.parts().iter().map(|(_, part)| &part[..]))
    }

    /// Each part with its name, in the order of the bytes.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, Vec<u8>); 12] {
        let (scope, route, snapshot) = match &self.scope {
            Scope::Environment => ("environment", "", ""),
            Scope::Route {
                route_id,
                snapshot_id,
            } => ("route", route_id.as_str(), snapshot_id.as_str()),
        };
        let number = |number: u64| number.to_be_bytes().to_vec();
        let text = |text: &str| text.as_bytes().to_vec();
        [
            ("purpose", PURPOSE.to_vec()),
            ("format", vec![FORMAT]),
            ("cluster_id", text(self.cluster_id.as_str())),
            ("environment_id", text(self.environment_id.as_str())),
            ("scope", text(scope)),
            ("route_id", text(route)),
            ("snapshot_id", text(snapshot)),
            ("epoch", number(self.epoch.0)),
            ("version", number(self.version)),
            ("previous", self.previous.0.to_vec()),
            ("root", self.root.0.to_vec()),
            ("at", number(self.at.0)),
        ]
    }

    /// The name of the part that the byte at a place belongs to, its length included.
    #[must_use]
    pub fn part_at(&self, place: usize) -> Option<&'static str> {
        let mut end = 0;
        self.parts().into_iter().find_map(|(name, part)| {
            end += LENGTH_BYTES + part.len();
            (place < end).then_some(name)
        })
    }
}

const LENGTH_BYTES: usize = 4;

/// Parts one after another, each with its length before it.
pub(super) fn join<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    for part in parts {
        // No part is nearly as long.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
