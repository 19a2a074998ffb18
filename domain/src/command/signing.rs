//! Changes of the keys that configuration is signed with.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::ClusterId;
use crate::model::{SealedKey, SigningKeyId, SigningPublicKey, Voucher};

/// Changes with which keys the cluster signs. On nobody's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSigningKeys {
    pub change: SigningChange,
}

/// What is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningChange {
    /// The cluster begins to sign. One that does already goes on as it was.
    Found {
        cluster_id: ClusterId,
        key: NewSigningKey,
    },
    /// Another key signs from now on. The one that the voucher is by has to be the one that signs now.
    Rotate {
        key: NewSigningKey,
        voucher: Voucher,
    },
    /// Nothing is believed any more that this key signed.
    Retire { key: SigningKeyId },
}

/// A key that was drawn by the proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSigningKey {
    pub public: SigningPublicKey,
    pub private: SealedKey,
}
