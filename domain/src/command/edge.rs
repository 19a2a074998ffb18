//! Commands about edges: join tokens, coming by them, and being turned away.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::{EdgeTokenId, EnvironmentId};
use crate::model::{EdgeBinding, EdgePublicKey, KeyHash, KeySalt};

/// Makes a join token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateEdgeToken {
    pub id: EdgeTokenId,
    pub hash: KeyHash,
    pub salt: KeySalt,
    pub binding: EdgeBinding,
}

/// Removes a join token, used or not. Whoever came by it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteEdgeToken {
    pub id: EdgeTokenId,
}

/// Lets in an edge that shows a token, on behalf of whoever made that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolEdge {
    pub token_id: EdgeTokenId,
    /// Recognises the token.
    pub hash: KeyHash,
    pub edge_id: String,
    pub key: EdgePublicKey,
}

/// Turns an edge away for good; repeating it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeEdge {
    pub edge_id: String,
}

/// Forgets edges that were turned away so long ago that none of their certificates holds any more. On nobody's behalf; those for
/// which it is too early stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetEdges {
    pub environment_id: EnvironmentId,
    pub edges: Vec<String>,
}
