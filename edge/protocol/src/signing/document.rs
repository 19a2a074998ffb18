//! Signed things as JSON documents, for people and their files: whom to trust, and what was signed. Bytes are in
//! hexadecimal.

use domain::id::ClusterId;
use domain::model::{Epoch, SignatureBytes, SigningKeyId, SigningPublicKey, Voucher};
use serde::{Deserialize, Serialize};

use super::{TrustSet, TrustedKey};

/// Why a document says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not {expected}")]
pub struct BadDocument {
    /// The field.
    pub field: String,
    /// What it would have to be.
    pub expected: &'static str,
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustDocument {
    /// The cluster.
    pub cluster_id: String,
    /// What is of an earlier epoch is not followed.
    pub epoch: u64,
    /// Which of two documents is the newer one.
    pub serial: u64,
    /// The keys, in the order in which they were made.
    pub keys: Vec<TrustedKeyDocument>,
}

/// One key of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKeyDocument {
    /// Its name: the first half of the SHA-256 of its public half.
    pub key_id: String,
    /// Its public half.
    pub public_key: String,
    /// `active`, `trusted` or `retired`.
    pub state: String,
    /// The key before, which says that this is one of the cluster's, too.
    pub vouched_by: Option<String>,
    /// Its signature of that.
    pub voucher: Option<String>,
}

const RETIRED: &str = "retired";

impl TrustDocument {
    /// As a document; the key that signs is shown as such.
    #[must_use]
    pub fn of(set: &TrustSet, active: Option<SigningKeyId>) -> Self {
        let keys = set.keys.iter().map(|key| {
            let id = key.public.id();
            let state = match key.retired {
                true => RETIRED,
                false if active == Some(id) => "active",
                false => "trusted",
            };
            TrustedKeyDocument {
                key_id: id.to_string(),
                public_key: hex::encode(key.public.0),
                state: state.to_owned(),
                vouched_by: key.voucher.map(|voucher| voucher.by.to_string()),
                voucher: key
                    .voucher
                    .map(|voucher| hex::encode(voucher.signature.bytes())),
            }
        });
        Self {
            cluster_id: set.cluster_id.to_string(),
            epoch: set.epoch.0,
            serial: set.serial,
            keys: keys.collect(),
        }
    }

    /// What the document says.
    ///
    /// # Errors
    /// When a field is not what it has to be, or a key has another's name.
    pub fn set(&self) -> Result<TrustSet, BadDocument> {
        let keys = self.keys.iter().enumerate();
        let keys = keys.map(|(index, key)| key.key(&format!("keys[{index}]")));
        Ok(TrustSet {
            cluster_id: ClusterId::parse(&self.cluster_id)
                .map_err(|_| bad("cluster_id", "a cluster's identifier"))?,
            epoch: Epoch(self.epoch),
            serial: self.serial,
            keys: keys.collect::<Result<_, _>>()?,
        })
    }
}

impl TrustedKeyDocument {
    fn key(&self, at: &str) -> Result<TrustedKey, BadDocument> {
        let public = public_key(&format!("{at}.public_key"), &self.public_key)?;
        if self.key_id != public.id().to_string() {
            let field = format!("{at}.key_id");
            return Err(bad(&field, "the name of that public key"));
        }
        let voucher = match (&self.vouched_by, &self.voucher) {
            (Some(by), Some(signed)) => Some(Voucher {
                by: key_id(&format!("{at}.vouched_by"), by)?,
                signature: signature(&format!("{at}.voucher"), signed)?,
            }),
            _ => None,
        };
        Ok(TrustedKey {
            public,
            voucher,
            retired: self.state == RETIRED,
        })
    }
}

fn bad(field: &str, expected: &'static str) -> BadDocument {
    BadDocument {
        field: field.to_owned(),
        expected,
    }
}

fn key_id(field: &str, text: &str) -> Result<SigningKeyId, BadDocument> {
    SigningKeyId::parse(text).ok_or_else(|| bad(field, "32 hexadecimal digits"))
}

fn public_key(field: &str, text: &str) -> Result<SigningPublicKey, BadDocument> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| bad(field, "64 hexadecimal digits"))?;
    Ok(SigningPublicKey(bytes))
}

fn signature(field: &str, text: &str) -> Result<SignatureBytes, BadDocument> {
    let bytes = hex::decode(text).ok();
    let signature = bytes.and_then(|bytes| SignatureBytes::read(&bytes));
    signature.ok_or_else(|| bad(field, "128 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;
    use crate::signing::KeyPair;

    fn set() -> TrustSet {
        let [first, second] = [1, 2].map(|number| KeyPair::new(&[number; 32]).unwrap());
        let cluster_id = ClusterId::new(Seed {
            unix_ms: 1,
            random: 1,
        });
        let voucher = first.vouch(&cluster_id, &second.public());
        TrustSet {
            cluster_id,
            epoch: Epoch(2),
            serial: 3,
            keys: vec![
                TrustedKey {
                    public: first.public(),
                    voucher: None,
                    retired: true,
                },
                TrustedKey {
                    public: second.public(),
                    voucher: Some(voucher),
                    retired: false,
                },
            ],
        }
    }

    #[test]
    fn whom_to_trust_reads_back_from_its_document() {
        let active = set().keys[1].public.id();
        let document = TrustDocument::of(&set(), Some(active));
        let states: Vec<_> = document.keys.iter().map(|key| key.state.as_str()).collect();
        assert_eq!(states, ["retired", "active"]);
        assert_eq!(document.set(), Ok(set()));
        let document = TrustDocument::of(&set(), None);
        assert_eq!(document.keys[1].state, "trusted");
        assert_eq!(document.set(), Ok(set()));
    }

    #[test]
    fn a_document_that_says_something_else_is_refused_by_the_field() {
        let changes: [(fn(&mut TrustDocument), &str); 5] = [
            (|it| it.cluster_id = "env_00000001".to_owned(), "cluster_id"),
            (|it| it.keys[0].public_key.push('0'), "keys[0].public_key"),
            (|it| it.keys[0].key_id = "0".repeat(32), "keys[0].key_id"),
            (
                |it| it.keys[1].vouched_by = Some("x".to_owned()),
                "keys[1].vouched_by",
            ),
            (
                |it| it.keys[1].voucher = Some("00".to_owned()),
                "keys[1].voucher",
            ),
        ];
        for (change, field) in changes {
            let mut document = TrustDocument::of(&set(), None);
            change(&mut document);
            assert_eq!(document.set().unwrap_err().field, field);
        }
    }
}
