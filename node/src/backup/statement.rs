//! What a node says of the rows that it told, signed with the key that edges know its cluster by: that the
//! cluster with this identifier, in this epoch, had exactly this state at this revision.
//!
//! ```text
//! purpose     "vectorgate backup"
//! format      1 byte: FORMAT
//! cluster     text
//! epoch       8 bytes
//! revision    8 bytes
//! time        8 bytes: Unix milliseconds
//! node        8 bytes
//! rows        8 bytes
//! bytes       8 bytes
//! state       32 bytes: the state's hash
//! ```
//!
//! Each part has its length before it, in 4 bytes; all numbers are big-endian.

use domain::model::{SignatureBytes, SigningPublicKey};
use edge_protocol::signing::KeyPair;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

const PURPOSE: &[u8] = b"vectorgate backup";

/// The version of the bytes.
const FORMAT: u8 = 1;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The cluster.
    pub cluster_id: String,
    /// Its epoch.
    pub epoch: u64,
    /// The last entry that the state has.
    pub revision: u64,
    /// When it was told, in Unix milliseconds, by the node's clock.
    pub taken_at_ms: u64,
    /// Which node told it.
    pub node: u64,
    /// How many rows there are.
    pub rows: u64,
    /// How many bytes they are.
    pub bytes: u64,
    /// The state's hash.
    pub state_sha256: String,
}

/// A statement with its signature, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// What is signed.
    pub statement: Statement,
    /// The key's name.
    pub key_id: String,
    /// The key's public half.
    pub public_key: String,
    /// The signature.
    pub signature: String,
}

impl Statement {
    /// The bytes that are signed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let number = |number: u64| number.to_be_bytes().to_vec();
        let parts = [
            PURPOSE.to_vec(),
            vec![FORMAT],
            self.cluster_id.as_bytes().to_vec(),
            number(self.epoch),
            number(self.revision),
            number(self.taken_at_ms),
            number(self.node),
            number(self.rows),
            number(self.bytes),
            self.state_sha256.as_bytes().to_vec(),
        ];
        let mut bytes = Vec::with_capacity(256);
        for part in parts {
            // No part is nearly as long.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// Signs it.
    #[must_use]
    pub fn sign(self, key: &KeyPair) -> SignedStatement {
        let signature = key.sign(&self.bytes());
        SignedStatement {
            key_id: signature.key.to_string(),
            public_key: hex::encode(key.public().0),
            signature: hex::encode(signature.bytes.bytes()),
            statement: self,
        }
    }
}

impl SignedStatement {
    /// The key that signed it, if it did. Whether that is a key to believe is another matter.
    #[must_use]
    pub fn signer(&self) -> Option<SigningPublicKey> {
        let mut public = [0; 32];
        hex::decode_to_slice(&self.public_key, &mut public).ok()?;
        let public = SigningPublicKey(public);
        let signature = SignatureBytes::read(&hex::decode(&self.signature).ok()?)?;
        let key = UnparsedPublicKey::new(&ED25519, &public.0);
        let bytes = self.statement.bytes();
        key.verify(&bytes, &signature.bytes()).ok()?;
        (public.id().to_string() == self.key_id).then_some(public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            cluster_id: "cl_0".to_owned(),
            epoch: 1,
            revision: 2,
            taken_at_ms: 3,
            node: 4,
            rows: 5,
            bytes: 6,
            state_sha256: "07".repeat(32),
        }
    }

    #[test]
    fn a_signature_is_of_everything_that_is_said() {
        let key = KeyPair::new(&[1; 32]).unwrap();
        let signed = statement().sign(&key);
        assert_eq!(signed.signer(), Some(key.public()));
        let changes: [fn(&mut SignedStatement); 11] = [
            |it| it.statement.cluster_id.push('0'),
            |it| it.statement.epoch += 1,
            |it| it.statement.revision += 1,
            |it| it.statement.taken_at_ms += 1,
            |it| it.statement.node += 1,
            |it| it.statement.rows += 1,
            |it| it.statement.bytes += 1,
            |it| it.statement.state_sha256.replace_range(0..1, "1"),
            |it| it.key_id.replace_range(0..1, "x"),
            |it| it.public_key = hex::encode([2; 32]),
            |it| it.signature = hex::encode([2; 64]),
        ];
        for change in changes {
            let mut other = signed.clone();
            change(&mut other);
            assert_eq!(other.signer(), None, "{other:?}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_format_1() {
        let bytes = statement().bytes();
        assert_eq!(bytes.len(), 10 * 4 + 17 + 1 + 4 + 6 * 8 + 64);
        assert_eq!(
            hex::encode(&bytes[..34]),
            "00000011766563746f7267617465206261636b757000000001010000000463\
             6c5f30"
        );
    }
}
