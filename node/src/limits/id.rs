//! What a window is of: an API key, or a route whose rules are changed. Windows are known by a hash,
//! so that all of them have one size in memory and between nodes.

use domain::id::{ApiKeyId, EnvironmentId, RouteId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Half of a SHA-256, so that nobody can make an identifier that shares somebody else's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WindowId(u128);

impl WindowId {
    /// The window of all requests with a key.
    pub(crate) fn of_key(key: &ApiKeyId) -> Self {
        Self::hashed(&["key", key.as_str()])
    }

    /// The window of changes to a route's rules.
    pub(crate) fn of_route(environment: &EnvironmentId, route: &RouteId) -> Self {
        Self::hashed(&["route", environment.as_str(), route.as_str()])
    }

    /// Both halves, for hashing further: each is as good as random.
    pub(super) fn halves(self) -> [u64; 2] {
        let low = u64::try_from(self.0 & u128::from(u64::MAX)).unwrap_or(0);
        [low, u64::try_from(self.0 >> 64).unwrap_or(0)]
    }

    fn hashed(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(u128::from_be_bytes(half))
    }
}
