//! Secrets that the cluster must keep to use them again, which a hash would not allow: private keys of
//! certificates, and of what configuration is signed with. They are sealed with AES-256-GCM under a key that is made of the pepper, so that
//! neither the disks nor their backups tell them. What a secret belongs to is sealed with it: moved to
//! another object's row it does not open.

use domain::id::{CertificateId, ClusterId, EnvironmentId};
use domain::model::{Certificate, SealedKey, Signing, SigningKeyId, SigningPublicKey};
use hmac::Mac;
use platform::Entropy;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::KeyRing;

/// What the key is for that private keys are sealed with.
const PURPOSE: &str = "vectorgate certificate key v1";

/// Likewise for the private halves of signing keys.
const SIGNING_PURPOSE: &str = "vectorgate signing key v1";

/// A secret does not open: it was sealed under another pepper, for another object, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed private key does not open")]
pub struct Unopened;

/// What a private key belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Belongs<'a> {
    /// The environment.
    pub environment: &'a EnvironmentId,
    /// The certificate's identifier.
    pub certificate: &'a CertificateId,
    /// The certificate's own hash.
    pub fingerprint: &'a str,
}

impl Belongs<'_> {
    fn told(&self) -> Vec<u8> {
        format!(
            "{}\n{}\n{}",
            self.environment, self.certificate, self.fingerprint
        )
        .into_bytes()
    }
}

impl KeyRing {
    /// Seals a private key.
    ///
    /// # Errors
    /// Never, for keys that fit into memory.
    pub fn seal(
        &self,
        belongs: Belongs<'_>,
        key: &str,
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        self.seal_bytes(PURPOSE, belongs.told(), key.as_bytes(), entropy)
    }

    /// Opens a certificate's private key.
    ///
    /// # Errors
    /// When it was sealed under another pepper or for another certificate.
    pub fn open(&self, certificate: &Certificate) -> Result<Zeroizing<String>, Unopened> {
        let belongs = Belongs {
            environment: &certificate.environment_id,
            certificate: &certificate.id,
            fingerprint: &certificate.material.fingerprint,
        };
        let opened = self.open_bytes(PURPOSE, belongs.told(), &certificate.material.key)?;
        let text = std::str::from_utf8(&opened).map_err(|_| Unopened)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Seals the private half of a signing key.
    ///
    /// # Errors
    /// Never.
    pub fn seal_signing_key(
        &self,
        cluster: &ClusterId,
        public: &SigningPublicKey,
        private: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        let told = told_of_signing(cluster, &public.id());
        self.seal_bytes(SIGNING_PURPOSE, told, private, entropy)
    }

    /// Opens the private half of the key that signs.
    ///
    /// # Errors
    /// When it was sealed under another pepper, or for another cluster or key.
    pub fn open_signing_key(&self, signing: &Signing) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let told = told_of_signing(&signing.cluster_id, &signing.active);
        self.open_bytes(SIGNING_PURPOSE, told, &signing.private)
    }

    fn seal_bytes(
        &self,
        purpose: &str,
        told: Vec<u8>,
        secret: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<SealedKey, Unopened> {
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce);
        let mut sealed = secret.to_vec();
        let outcome = self.sealer(purpose)?.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(told),
            &mut sealed,
        );
        if outcome.is_err() {
            sealed.zeroize();
            return Err(Unopened);
        }
        Ok(SealedKey { nonce, sealed })
    }

    fn open_bytes(
        &self,
        purpose: &str,
        told: Vec<u8>,
        SealedKey { nonce, sealed }: &SealedKey,
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let mut bytes = Zeroizing::new(sealed.clone());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .sealer(purpose)?
            .open_in_place(nonce, Aad::from(told), &mut bytes);
        let length = opened.map_err(|_| Unopened)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    fn sealer(&self, purpose: &str) -> Result<LessSafeKey, Unopened> {
        let mut key: [u8; 32] = self.derived(purpose).finalize().into_bytes().into();
        let sealer = UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new);
        key.zeroize();
        sealer.map_err(|_| Unopened)
    }
}

fn told_of_signing(cluster: &ClusterId, key: &SigningKeyId) -> Vec<u8> {
    format!("{cluster}\n{key}").into_bytes()
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed, WorkspaceId};
    use domain::model::CertificateMaterial;
    use domain::time::{Revision, Timestamp};
    use platform::SystemEntropy;

    use super::*;

    fn seed(random: u64) -> Seed {
        Seed { unix_ms: 1, random }
    }

    fn certificate(number: u64, ring: &KeyRing, key: &str) -> Certificate {
        let (id, environment_id) = (
            CertificateId::new(seed(number)),
            EnvironmentId::new(seed(1)),
        );
        let belongs = Belongs {
            environment: &environment_id,
            certificate: &id,
            fingerprint: "ab",
        };
        let key = ring.seal(belongs, key, &SystemEntropy).unwrap();
        Certificate {
            id,
            workspace_id: WorkspaceId::new(seed(1)),
            environment_id,
            name: String::new(),
            material: CertificateMaterial {
                chain: String::new(),
                names: Vec::new(),
                not_before: Timestamp(0),
                not_after: Timestamp(0),
                fingerprint: "ab".to_owned(),
                key,
            },
            version: 1,
            created_by: ApiKeyId::new(seed(1)),
            created_at: Timestamp(0),
            updated_at: None,
            revision: Revision(0),
        }
    }

    #[test]
    fn a_key_opens_where_it_belongs_and_nowhere_else() {
        let ring = KeyRing::new(&[7; 32]).unwrap();
        let (one, other) = (
            certificate(1, &ring, "the first key"),
            certificate(2, &ring, "the other key"),
        );
        assert_eq!(*ring.open(&one).unwrap(), "the first key");
        let swapped = Certificate {
            material: other.material.clone(),
            ..one.clone()
        };
        assert!(ring.open(&swapped).is_err());
        let mut renamed = one.clone();
        renamed.material.fingerprint = "cd".to_owned();
        assert!(ring.open(&renamed).is_err());
        assert!(KeyRing::new(&[8; 32]).unwrap().open(&one).is_err());
        let mut damaged = one;
        damaged.material.key.sealed[3] ^= 1;
        assert!(ring.open(&damaged).is_err());
    }

    #[test]
    fn what_is_sealed_does_not_show_and_is_never_sealed_alike() {
        let ring = KeyRing::new(&[7; 32]).unwrap();
        let (one, again) = (
            certificate(1, &ring, "the first key"),
            certificate(1, &ring, "the first key"),
        );
        let holds = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"first");
        assert!(!holds(&one.material.key.sealed));
        assert_ne!(one.material.key, again.material.key);
    }

    #[test]
    fn a_signing_key_opens_for_its_cluster_and_name_alone() {
        let ring = KeyRing::new(&[7; 32]).unwrap();
        let (cluster, public) = (ClusterId::new(seed(1)), SigningPublicKey([3; 32]));
        let private = ring
            .seal_signing_key(&cluster, &public, &[9; 32], &SystemEntropy)
            .unwrap();
        let signing = Signing {
            cluster_id: cluster,
            epoch: domain::model::Epoch(1),
            serial: 1,
            active: public.id(),
            private,
        };
        assert_eq!(ring.open_signing_key(&signing).unwrap()[..], [9; 32]);
        let other = Signing {
            cluster_id: ClusterId::new(seed(2)),
            ..signing.clone()
        };
        assert!(ring.open_signing_key(&other).is_err());
        let other = Signing {
            active: SigningPublicKey([4; 32]).id(),
            ..signing.clone()
        };
        assert!(ring.open_signing_key(&other).is_err());
        let stranger = KeyRing::new(&[8; 32]).unwrap();
        assert!(stranger.open_signing_key(&signing).is_err());
    }
}
