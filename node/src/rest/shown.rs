//! A secret that is shown, and by what it is known. While the pepper is being changed that may be its hash under an
//! earlier one. Who is behind it, and whether it is good, is `auth`'s matter.

use domain::model::{KeyHash, PepperId};

use crate::control_plane::ReadError;
use crate::keys::{KeyRing, PresentedKey};

/// By what a secret is known. The two hashes differ where the key is still known by one under an earlier pepper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recognised {
    /// Its hash under the pepper that was the active one when it was shown.
    pub(crate) shown: KeyHash,
    /// The hash that the cluster has of it.
    pub(crate) stored: KeyHash,
    /// That pepper.
    pub(crate) pepper: PepperId,
}

/// A secret with what it may be known by. Looking for the hash under the active pepper costs one MAC; the others are asked for
/// only where that is not known, and there are others only while the pepper is being changed.
pub(super) struct Shown<'a> {
    /// Under the active pepper.
    hash: KeyHash,
    /// That one.
    pepper: PepperId,
    or: Or<'a>,
}

/// What else it may be known by.
enum Or<'a> {
    /// This.
    Known(KeyHash),
    /// Its hashes under the other peppers.
    Hashed(&'a KeyRing, PresentedKey<'a>),
}

impl<'a> Shown<'a> {
    /// A key that is shown.
    pub(super) fn of(keys: &'a KeyRing, key: PresentedKey<'a>) -> Self {
        let pepper = keys.active();
        Self {
            hash: pepper.hash(key),
            pepper: pepper.id(),
            or: Or::Hashed(keys, key),
        }
    }

    /// One that was recognised before.
    pub(super) fn again(key: &Recognised) -> Self {
        Self {
            hash: key.shown,
            pepper: key.pepper,
            or: Or::Known(key.stored),
        }
    }

    /// Its hash under the pepper that was the active one when it was shown.
    pub(super) fn hash(&self) -> KeyHash {
        self.hash
    }

    /// How it was recognised.
    pub(super) fn recognised(&self, stored: KeyHash) -> Recognised {
        Recognised {
            shown: self.hash,
            stored,
            pepper: self.pepper,
        }
    }

    /// The first of its hashes that `find` finds something by, with what that is.
    pub(super) fn find<T>(
        &self,
        mut find: impl FnMut(&KeyHash) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<(KeyHash, T)>, ReadError> {
        if let Some(found) = find(&self.hash)? {
            return Ok(Some((self.hash, found)));
        }
        match self.or {
            Or::Known(hash) => Ok(find(&hash)?.map(|found| (hash, found))),
            Or::Hashed(keys, key) => {
                // What is active may be another one by now; looking for that one twice does no harm.
                for pepper in keys.peppers().filter(|pepper| pepper.id() != self.pepper) {
                    let hash = pepper.hash(key);
                    if let Some(found) = find(&hash)? {
                        return Ok(Some((hash, found)));
                    }
                }
                Ok(None)
            }
        }
    }
}
