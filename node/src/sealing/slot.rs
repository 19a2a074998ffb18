//! What each kind of secret is bound to: under the pepper, as it has always been; in an envelope, each part with its
//! length before it, the field first, so that no two places have the same bytes.

use domain::id::{ClusterId, EnvironmentId, WebhookEndpointId, WorkspaceId};
use domain::model::{SigningKeyId, WebhookEndpoint};

use super::Belongs;

/// What the key is for that private keys are sealed with under the pepper.
const CERTIFICATE_PURPOSE: &str = "vectorgate certificate key v1";

/// Likewise for the private halves of signing keys.
const SIGNING_PURPOSE: &str = "vectorgate signing key v1";

/// What a webhook endpoint's secret belongs to.
#[derive(Clone, Copy, Debug)]
pub struct WebhookSlot<'a> {
    /// The workspace.
    pub workspace: &'a WorkspaceId,
    /// The environment.
    pub environment: &'a EnvironmentId,
    /// The endpoint.
    pub endpoint: &'a WebhookEndpointId,
}

impl<'a> WebhookSlot<'a> {
    /// Of an endpoint that is there.
    #[must_use]
    pub fn of(endpoint: &'a WebhookEndpoint) -> Self {
        Self {
            workspace: &endpoint.workspace_id,
            environment: &endpoint.environment_id,
            endpoint: &endpoint.id,
        }
    }
}

/// A place for a secret.
pub(super) struct Slot {
    purpose: &'static str,
    told: Vec<u8>,
    bound: Vec<u8>,
}

impl Slot {
    pub(super) fn certificate(belongs: Belongs<'_>) -> Self {
        let (environment, certificate) =
            (belongs.environment.as_str(), belongs.certificate.as_str());
        Self {
            purpose: CERTIFICATE_PURPOSE,
            told: format!("{environment}\n{certificate}\n{}", belongs.fingerprint).into_bytes(),
            bound: bound([
                "certificate.private_key",
                belongs.workspace.as_str(),
                environment,
                certificate,
                belongs.fingerprint,
            ]),
        }
    }

    pub(super) fn signing(cluster: &ClusterId, key: &SigningKeyId) -> Self {
        let key = key.to_string();
        Self {
            purpose: SIGNING_PURPOSE,
            told: format!("{cluster}\n{key}").into_bytes(),
            bound: bound(["signing_key.private_key", cluster.as_str(), &key]),
        }
    }

    /// Without a generation: whoever rotates a secret does not know yet which one it will be.
    pub(super) fn webhook(slot: WebhookSlot<'_>) -> Self {
        Self {
            // Nothing was ever sealed for it under the pepper.
            purpose: "",
            told: Vec::new(),
            bound: bound([
                "webhook_endpoint.secret",
                slot.workspace.as_str(),
                slot.environment.as_str(),
                slot.endpoint.as_str(),
            ]),
        }
    }

    /// The purpose of the key, and what is authenticated, under the pepper.
    pub(super) fn under_pepper(&self) -> (&str, &[u8]) {
        (self.purpose, &self.told)
    }

    /// What is authenticated in an envelope.
    pub(super) fn bound(&self) -> &[u8] {
        &self.bound
    }
}

fn bound<const N: usize>(parts: [&str; N]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}
