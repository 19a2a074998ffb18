//! Edges that were let in by a join token: the tokens, and who came by them. What an edge says of itself
//! while it is connected is not here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::api_key::{KeyHash, KeySalt};
use crate::id::{ApiKeyId, EdgeTokenId, EnvironmentId, WorkspaceId};
use crate::time::{Revision, Timestamp};

/// How long a join token works: a quarter of an hour.
pub const EDGE_TOKEN_MS: u64 = 15 * 60 * 1000;

/// How long an edge that came by a token is known after it was turned away: 30 days. A certificate of the authority for edges lasts a
/// week at most, and nobody renews it by then.
pub const REVOKED_EDGE_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What a token makes of the edge that comes by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeBinding {
    /// Which edge may come; any that is not there yet, if none is named.
    pub edge_id: Option<String>,
    /// Where it is.
    pub region: String,
    /// Labels for people.
    pub labels: BTreeMap<String, String>,
}

/// A join token. Its text is made of the salt and the cluster's pepper, and recognised by a keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeToken {
    /// Its identifier.
    pub id: EdgeTokenId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The environment whose configuration the edge gets.
    pub environment_id: EnvironmentId,
    /// By what it is recognised.
    pub hash: KeyHash,
    /// From what its text is made.
    pub salt: KeySalt,
    /// What it makes of an edge.
    pub binding: EdgeBinding,
    /// Who made it.
    pub created_by: ApiKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it does not work any more.
    pub expires_at: Timestamp,
    /// Who came by it. It works once.
    pub used: Option<EdgeTokenUse>,
}

/// The one use of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeTokenUse {
    /// The edge.
    pub edge_id: String,
    /// When.
    pub at: Timestamp,
}

/// An Ed25519 public key: its holder is the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgePublicKey(pub [u8; 32]);

/// What the cluster has decided of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeRecord {
    /// Its name, which is unique in its environment.
    pub edge_id: String,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The environment whose configuration it gets.
    pub environment_id: EnvironmentId,
    /// How it came; nothing of an edge that has its certificate from somebody else.
    pub enrolment: Option<EdgeEnrolment>,
    /// Since when it gets nothing any more, for good.
    pub revoked_at: Option<Timestamp>,
    /// The entry that last wrote it.
    pub revision: Revision,
}

/// How an edge came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeEnrolment {
    /// By which token.
    pub token_id: EdgeTokenId,
    /// Its key.
    pub key: EdgePublicKey,
    /// Where it is.
    pub region: String,
    /// Labels for people.
    pub labels: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}

impl EdgeToken {
    /// Whether somebody may still come by it.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.used.is_none() && at < self.expires_at
    }
}

impl EdgeRecord {
    /// Whether it need not be known any more: it was turned away so long ago that no certificate holds any more by which it came.
    /// Of one that somebody else issued nobody here knows when it ends, so such an edge is known for ever.
    #[must_use]
    pub fn is_forgotten(&self, at: Timestamp) -> bool {
        let ends = |revoked: Timestamp| revoked.0.saturating_add(REVOKED_EDGE_KEPT_MS);
        self.enrolment.is_some() && self.revoked_at.is_some_and(|revoked| ends(revoked) <= at.0)
    }

    /// Whether the holder of `key` is the edge: one that never came by a token is whoever has a
    /// certificate for it.
    #[must_use]
    pub fn admits(&self, key: Option<&EdgePublicKey>) -> bool {
        let known = self.enrolment.as_ref().map(|enrolment| &enrolment.key);
        self.revoked_at.is_none() && (known.is_none() || known == key)
    }
}
