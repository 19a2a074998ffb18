//! API keys as the cluster knows them. Secrets never come here: a key is recognised by the keyed
//! hash of its text, and the text itself can be made again only with the cluster's pepper.
//! Who may manage keys is `decide`'s matter, what a request needs of its key the rim's.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ip_range::IpRange;
use super::scopes::Scopes;
use crate::id::{ApiKeyId, EnvironmentId, WorkspaceId};
use crate::time::Timestamp;

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// `vg_live_sk_`: full access to a live environment; manages its workspace.
    Live,
    /// `vg_test_sk_`: full access to a test environment; manages the test side of its workspace.
    Test,
    /// `vg_rk_`: what its [`Scopes`] leave of one or more environments; manages nothing.
    Restricted,
}

impl KeyKind {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Restricted => "restricted",
        }
    }
}

/// HMAC-SHA-256 of a key's whole text under the cluster's pepper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// Random bytes from which, with the pepper, a key's text is made. Neither is enough alone, so
/// that a copy of the state does not hold secrets, and a stored reply can still show the key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySalt(pub [u8; 16]);

impl fmt::Debug for KeySalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySalt(..)")
    }
}

/// The secret that a key had before it was rolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// By what it is recognised.
    pub hash: KeyHash,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// An API key as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public identifier.
    pub id: ApiKeyId,
    /// The workspace it belongs to.
    pub workspace_id: WorkspaceId,
    /// The environment it acts in unless a request names another one of its scope.
    pub environment_id: EnvironmentId,
    /// Its kind.
    pub kind: KeyKind,
    /// A human-readable label.
    pub name: String,
    /// By what it is recognised.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// What it is restricted to; nothing unless it is a restricted key.
    pub scopes: Scopes,
    /// From where it works; from everywhere, if there are none.
    pub ip_allowlist: BTreeSet<IpRange>,
    /// From when on it does not work any more.
    pub expires_at: Option<Timestamp>,
    /// The key that made it; none for those of bootstrap.
    pub created_by: Option<ApiKeyId>,
    /// When it was last changed, rolled or revoked.
    pub updated_at: Option<Timestamp>,
    /// From what its text is made; none for those of bootstrap, whose text was drawn.
    pub salt: Option<KeySalt>,
    /// The secret before this one, while it may still work.
    pub previous: Option<PreviousSecret>,
    /// When it was used, to within a few minutes.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// The environments that it may act in.
    pub fn environments(&self) -> impl Iterator<Item = &EnvironmentId> {
        let own = self
            .scopes
            .environments
            .is_empty()
            .then_some(&self.environment_id);
        own.into_iter().chain(&self.scopes.environments)
    }

    /// The hashes that it may be recognised by, whether they still work or not.
    pub fn hashes(&self) -> impl Iterator<Item = &KeyHash> {
        let previous = self.previous.as_ref().map(|previous| &previous.hash);
        std::iter::once(&self.hash).chain(previous)
    }

    /// Has the secret with the hash `was` be recognised by another one, and says whether there is such a secret.
    pub(crate) fn replace_hash(&mut self, was: &KeyHash, now: KeyHash) -> bool {
        let previous = self.previous.as_mut().map(|previous| &mut previous.hash);
        let mut hashes = std::iter::once(&mut self.hash).chain(previous);
        let found = hashes.find(|hash| **hash == *was);
        let is_there = found.is_some();
        if let Some(hash) = found {
            *hash = now;
        }
        is_there
    }

    /// From when on the secret with `hash` does not work any more; `None` is never.
    #[must_use]
    pub fn valid_until(&self, hash: &KeyHash) -> Option<Timestamp> {
        let overlap = self
            .previous
            .as_ref()
            .filter(|previous| previous.hash == *hash)
            .map(|previous| previous.expires_at);
        [self.expires_at, overlap].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_what_they_are_made_of_do_not_show_in_debug_output() {
        let shown = format!("{:?} {:?}", KeyHash([7; 32]), KeySalt([7; 16]));
        assert_eq!(shown, "KeyHash(..) KeySalt(..)");
    }
}
