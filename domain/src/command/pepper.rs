//! Commands about what keys are hashed under. Hashing is done by the proposer, who has the peppers.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use super::{CreateApiKey, CreateEdgeToken, RollApiKey};
use crate::id::ApiKeyId;
use crate::model::{KeyHash, PepperId};

/// Has keys be hashed under this pepper from now on. The proposer has made sure that every member has it.
/// On nobody's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivatePepper {
    pub pepper: PepperId,
    /// The one before, as the proposer saw it: once it is another one, nothing happens.
    pub before: PepperId,
}

/// The same secrets, recognised by their hashes under the active pepper. On nobody's behalf: nothing changes that anybody
/// could see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveKeys {
    /// The pepper. If another one is active by now, nothing happens.
    pub pepper: PepperId,
    pub keys: Vec<MovedKey>,
}

/// A secret of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedKey {
    pub id: ApiKeyId,
    /// By what it was recognised. Once the key has no such secret, nothing happens to it.
    pub was: KeyHash,
    pub now: KeyHash,
}

/// Makes an API key or a join token, or rolls a key, with a secret that is hashed under a pepper that is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueKey {
    pub to: KeyIssue,
    pub pepper: PepperId,
}

/// What gets a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyIssue {
    CreateApiKey(CreateApiKey),
    RollApiKey(RollApiKey),
    CreateEdgeToken(CreateEdgeToken),
}
