//! Secrets that the cluster must keep to use them again, which a hash would not allow: private keys of
//! certificates and of what configuration is signed with, and what signs webhooks. The replicated state has them sealed, so
//! that neither the disks nor their backups tell them. What a secret belongs to is sealed with it: moved to
//! another object's row it does not open.
//!
//! ```text
//! kek        the keys that secrets are sealed under, and where they come from; program: one that gives them
//! envelope   how a secret is sealed under one of them
//! pepper     how it is sealed where there are none; such secrets open for ever
//! slot       what each kind of secret is bound to
//! census     how many secrets are sealed under which key
//! rewrap     the same secrets under another key
//! ```
//!
//! Under which key is sealed stands in the replicated state, so that a node seals under none that others lack; who
//! puts it there, and has what is there sealed anew, is [`crate::consensus`].

mod census;
mod envelope;
mod kek;
mod pepper;
mod program;
pub(crate) mod rewrap;
mod slot;

use domain::id::{CertificateId, ClusterId, EnvironmentId, WorkspaceId};
use domain::model::{
    Certificate, KekId, Seal, SealedKey, SecretGeneration, Signing, SigningPublicKey,
    WebhookEndpoint,
};
use domain::query;
use domain::rows::View;
use platform::Entropy;
use zeroize::Zeroizing;

pub use census::{Census, SealedCount, SealedUnder};
pub use kek::{KEK_BYTES, KEK_TEXT_BYTES_MAX, KEKS_MAX, KekError, KekRing};
pub use program::ProgramError;
pub use slot::WebhookSlot;

use crate::keys::{KeyRing, Secret};
use slot::Slot;

/// A secret does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// It was sealed for another place or under another pepper, or is damaged.
    #[error("a sealed secret does not open")]
    Refused,
    /// This node lacks the key.
    #[error(
        "a secret is sealed under the key {0}, which security.kek_file or security.kek_command lacks"
    )]
    Lacks(KekId),
    /// A later release sealed it.
    #[error("a secret is sealed in a format that this release does not know")]
    Unknown,
}

/// What a private key belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Belongs<'a> {
    /// The workspace.
    pub workspace: &'a WorkspaceId,
    /// The environment.
    pub environment: &'a EnvironmentId,
    /// The certificate's identifier.
    pub certificate: &'a CertificateId,
    /// The certificate's own hash.
    pub fingerprint: &'a str,
}

impl<'a> Belongs<'a> {
    fn of(certificate: &'a Certificate) -> Self {
        Self {
            workspace: &certificate.workspace_id,
            environment: &certificate.environment_id,
            certificate: &certificate.id,
            fingerprint: &certificate.material.fingerprint,
        }
    }
}

/// Under which key secrets are sealed now, as the replicated state says; nothing is the pepper.
pub fn active(view: &(impl View + ?Sized)) -> Option<KekId> {
    query::sealing(view).map(|sealing| sealing.active)
}

impl KeyRing {
    /// Seals a certificate's private key, under the key that is [`active`].
    ///
    /// # Errors
    /// When this node lacks that key.
    pub fn seal(
        &self,
        under: Option<KekId>,
        belongs: Belongs<'_>,
        key: &str,
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        self.seal_bytes(under, &Slot::certificate(belongs), key.as_bytes(), entropy)
    }

    /// Opens a certificate's private key.
    ///
    /// # Errors
    /// When it was sealed for another certificate, or under a key or a pepper that this node lacks.
    pub fn open(&self, certificate: &Certificate) -> Result<Zeroizing<String>, Unopened> {
        let slot = Slot::certificate(Belongs::of(certificate));
        text(&self.open_bytes(&slot, &certificate.material.key)?)
    }

    /// Seals the private half of a signing key, under the key that is [`active`].
    ///
    /// # Errors
    /// When this node lacks that key.
    pub fn seal_signing_key(
        &self,
        under: Option<KekId>,
        cluster: &ClusterId,
        (public, private): (&SigningPublicKey, &[u8]),
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        self.seal_bytes(
            under,
            &Slot::signing(cluster, &public.id()),
            private,
            entropy,
        )
    }

    /// Opens the private half of the key that signs.
    ///
    /// # Errors
    /// When it was sealed for another cluster or key, or under a key or a pepper that this node lacks.
    pub fn open_signing_key(&self, signing: &Signing) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let slot = Slot::signing(&signing.cluster_id, &signing.active);
        self.open_bytes(&slot, &signing.private)
    }

    /// Seals a webhook endpoint's secret under a key-encryption key.
    ///
    /// # Errors
    /// When this node lacks that key.
    pub fn seal_webhook_secret(
        &self,
        under: KekId,
        slot: WebhookSlot<'_>,
        secret: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        let secret = secret.reveal().as_bytes();
        self.seal_bytes(Some(under), &Slot::webhook(slot), secret, entropy)
    }

    /// A secret of a webhook endpoint: opened where it is kept, derived of the pepper where it is not. Ask for one that
    /// signs ([`query::signing_generations`]): older ones are not kept.
    ///
    /// # Errors
    /// When it was sealed for another endpoint, or under a key that this node lacks.
    pub fn webhook_secret(
        &self,
        view: &(impl View + ?Sized),
        endpoint: &WebhookEndpoint,
        generation: SecretGeneration,
    ) -> Result<Secret, Unopened> {
        let Some(sealed) = query::webhook_secret(view, endpoint, generation) else {
            return Ok(self.derived_webhook_secret(endpoint.id.as_str(), generation.0));
        };
        let slot = Slot::webhook(WebhookSlot::of(endpoint));
        let opened = text(&self.open_bytes(&slot, &sealed)?)?;
        Ok(Secret::new(opened))
    }

    fn seal_bytes(
        &self,
        under: Option<KekId>,
        slot: &Slot,
        secret: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        let Some(id) = under else {
            return pepper::seal(self, slot.under_pepper(), secret, entropy);
        };
        let kek = self.keks().get(id).ok_or(Unopened::Lacks(id))?;
        envelope::seal(kek, slot.bound(), secret, entropy)
    }

    fn open_bytes(&self, slot: &Slot, sealed: &SealedKey) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        match sealed.seal() {
            Seal::Pepper => pepper::open(self, slot.under_pepper(), sealed),
            Seal::Kek(envelope) => {
                let id = envelope.kek;
                let kek = self.keks().get(id).ok_or(Unopened::Lacks(id))?;
                envelope::open(kek, slot.bound(), sealed.nonce, envelope)
            }
            Seal::Unknown => Err(Unopened::Unknown),
        }
    }

    /// The same secret under another key-encryption key.
    fn rewrap_bytes(
        &self,
        to: KekId,
        slot: &Slot,
        sealed: &SealedKey,
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        let Seal::Kek(envelope) = sealed.seal() else {
            let secret = self.open_bytes(slot, sealed)?;
            return self.seal_bytes(Some(to), slot, &secret, entropy);
        };
        let from = envelope.kek;
        let from = self.keks().get(from).ok_or(Unopened::Lacks(from))?;
        let to = self.keks().get(to).ok_or(Unopened::Lacks(to))?;
        envelope::rewrap((from, to), slot.bound(), sealed.nonce, envelope, entropy)
    }
}

fn text(opened: &[u8]) -> Result<Zeroizing<String>, Unopened> {
    let text = std::str::from_utf8(opened).map_err(|_| Unopened::Refused)?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
