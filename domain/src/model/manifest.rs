//! Per environment, what edges follow: a version and the root of the tree that maps each route
//! to its active snapshot.

use serde::{Deserialize, Serialize};

use crate::id::EnvironmentId;
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// Raised when a cluster is restored, so that edges follow it although versions went back.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// A manifest's counter within an epoch; it only grows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ManifestVersion(pub u64);

/// The current manifest of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Whose it is.
    pub environment_id: EnvironmentId,
    /// The epoch, compared before the version.
    pub epoch: Epoch,
    /// The version.
    pub version: ManifestVersion,
    /// The root chunk of the tree of routes; [`Hash::EMPTY_TREE`] where nothing is published.
    pub root: Hash,
    /// When it became current.
    pub updated_at: Timestamp,
    /// The entry that made it.
    pub revision: Revision,
}
