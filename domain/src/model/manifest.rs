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
    /// The [link](Self::link) of the one before, so that the last one stands for all; zeros of the first.
    pub previous: Hash,
}

/// What links are of, and of nothing else.
const LINK_PURPOSE: &[u8] = b"vectorgate manifest link v1";

impl Manifest {
    /// What the next manifest says of this one: a hash of all that a client can see of it.
    #[must_use]
    pub fn link(&self) -> Hash {
        let environment = self.environment_id.as_str().as_bytes();
        let length = u32::try_from(environment.len()).unwrap_or(u32::MAX);
        let parts: [&[u8]; 8] = [
            LINK_PURPOSE,
            &length.to_be_bytes(),
            environment,
            &self.epoch.0.to_be_bytes(),
            &self.version.0.to_be_bytes(),
            &self.previous.0,
            &self.root.0,
            &self.updated_at.0.to_be_bytes(),
        ];
        Hash::of(&parts.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seed;

    fn manifest() -> Manifest {
        let seed = Seed {
            unix_ms: 1,
            random: 2,
        };
        Manifest {
            environment_id: EnvironmentId::new(seed),
            epoch: Epoch(1),
            version: ManifestVersion(2),
            root: Hash([3; 32]),
            updated_at: Timestamp(4),
            revision: Revision(5),
            previous: Hash([6; 32]),
        }
    }

    #[test]
    fn a_link_is_of_everything_that_is_published_and_keeps_its_bytes() {
        let link = manifest().link();
        assert_eq!(
            link.to_string(),
            "4e14a9859c2c1bf635a7b323994b8e86ebd2f8ff80e748edbbebc074703aa892"
        );
        let others: [fn(&mut Manifest); 6] = [
            |manifest| {
                manifest.environment_id = EnvironmentId::new(Seed {
                    unix_ms: 1,
                    random: 3,
                });
            },
            |manifest| manifest.epoch.0 += 1,
            |manifest| manifest.version.0 += 1,
            |manifest| manifest.root.0[31] ^= 1,
            |manifest| manifest.updated_at.0 += 1,
            |manifest| manifest.previous.0[0] ^= 1,
        ];
        for change in others {
            let mut other = manifest();
            change(&mut other);
            assert_ne!(other.link(), link, "{other:?}");
        }
    }
}
