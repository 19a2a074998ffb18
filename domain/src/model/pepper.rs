//! Peppers as the cluster knows them: by name. What API keys and join tokens are recognised by is hashed under one, which
//! is in no state. A name is a part of what recognises the pepper, so that whoever names one has it, and that the name of the
//! first one, which every cluster began with, follows from what bootstrap wrote.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::api_key::KeyHash;
use crate::time::Timestamp;

/// The name of a pepper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PepperId(pub [u8; 8]);

impl PepperId {
    /// The name of the pepper that this value recognises.
    #[must_use]
    pub fn of(KeyHash(check): &KeyHash) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&check[..8]);
        Self(id)
    }

    /// From bytes, if they are eight.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PepperId({self})")
    }
}

/// Under which pepper the cluster hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peppering {
    /// The pepper.
    pub active: PepperId,
    /// Since when.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_beginning_of_what_recognises_the_pepper() {
        let mut check = KeyHash([7; 32]);
        check.0[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let id = PepperId::of(&check);
        assert_eq!(id.to_string(), "0102030405060708");
        assert_eq!(PepperId::read(&check.0[..8]), Some(id));
        assert_eq!(PepperId::read(&check.0), None);
    }
}
