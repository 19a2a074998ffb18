//! Which manifest is meant: epoch, version and root, without what stands in it.

use std::fmt;

use domain::model::{Epoch, Manifest, ManifestVersion};
use domain::tree::Hash;
use injection::{Mutant, mutant};
use serde::{Deserialize, Serialize};

/// A manifest by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRef {
    /// The epoch, compared first.
    pub epoch: Epoch,
    /// The version, compared within an epoch.
    pub version: ManifestVersion,
    /// The root of the tree of routes.
    pub root: Hash,
}

/// How an offered manifest stands to the one that is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be followed.
    Newer,
    /// The same one.
    Same,
    /// Never to be followed.
    Older,
    /// The same epoch and version with another root: two histories; never to be followed.
    Conflicting,
}

impl ManifestRef {
    /// How `self` stands to `applied`; anything is newer than nothing.
    #[must_use]
    pub fn standing(&self, applied: Option<&Self>) -> Standing {
        let Some(applied) = applied else {
            return Standing::Newer;
        };
        match (self.epoch, self.version).cmp(&(applied.epoch, applied.version)) {
            std::cmp::Ordering::Greater => Standing::Newer,
            std::cmp::Ordering::Less if mutant::active(Mutant::OlderAccepted) => Standing::Newer,
            std::cmp::Ordering::Less => Standing::Older,
            std::cmp::Ordering::Equal if self.root == applied.root => Standing::Same,
            std::cmp::Ordering::Equal => Standing::Conflicting,
        }
    }
}

impl From<&Manifest> for ManifestRef {
    fn from(manifest: &Manifest) -> Self {
        Self {
            epoch: manifest.epoch,
            version: manifest.version,
            root: manifest.root,
        }
    }
}

impl fmt::Display for ManifestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.version.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(epoch: u64, version: u64, root: u8) -> ManifestRef {
        ManifestRef {
            epoch: Epoch(epoch),
            version: ManifestVersion(version),
            root: Hash([root; 32]),
        }
    }

    #[test]
    fn epoch_goes_before_version_and_a_root_never_changes_within_a_version() {
        let applied = manifest(2, 7, 1);
        for (offered, expect) in [
            (manifest(2, 8, 1), Standing::Newer),
            (manifest(3, 0, 1), Standing::Newer),
            (manifest(2, 7, 1), Standing::Same),
            (manifest(2, 7, 2), Standing::Conflicting),
            (manifest(2, 6, 2), Standing::Older),
            (manifest(1, 99, 2), Standing::Older),
        ] {
            assert_eq!(offered.standing(Some(&applied)), expect, "{offered}");
        }
        assert_eq!(manifest(0, 0, 0).standing(None), Standing::Newer);
    }
}
