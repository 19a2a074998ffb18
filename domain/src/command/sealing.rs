//! Commands about how secrets are sealed. What is sealed was sealed by the proposer.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use super::{CreateWebhookEndpoint, RotateWebhookSecret};
use crate::model::{KekId, SealedKey, SecretPlace};
use crate::tree::Hash;

/// Has secrets be sealed under this key from now on. The proposer has made sure that every member has it.
/// On nobody's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivateKek {
    pub key: KekId,
    /// The one before, as the proposer saw it: once it is another one, nothing happens.
    pub before: Option<KekId>,
}

/// The same secrets, sealed under another key. On nobody's behalf: nothing changes that anybody could see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrapSecrets {
    pub secrets: Vec<RewrappedSecret>,
}

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrappedSecret {
    pub place: SecretPlace,
    /// The digest of what stood there when it was read; nothing where nothing did. Once it is something else,
    /// that stays.
    pub was: Option<Hash>,
    pub now: SealedKey,
}

/// Makes a webhook endpoint, or gives it a new secret, with a secret that was drawn and sealed by the
/// proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueWebhookSecret {
    pub to: SecretIssue,
    pub secret: SealedKey,
}

/// Whom a webhook secret is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretIssue {
    Create(CreateWebhookEndpoint),
    Rotate(RotateWebhookSecret),
}
