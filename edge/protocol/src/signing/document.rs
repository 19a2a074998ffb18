//! Signed things as JSON documents, for people and their files: whom to trust, and what was signed. Bytes are in
//! hexadecimal.

use domain::id::{ClusterId, EnvironmentId, RouteId, SnapshotId};
use domain::model::{Epoch, SignatureBytes, SigningKeyId, SigningPublicKey, Voucher};
use domain::time::Timestamp;
use domain::tree::Hash;
use serde::{Deserialize, Serialize};

use super::{FORMAT, Scope, Signature, Statement, Trust, TrustSet, TrustedKey, Untrusted};

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
const ACTIVE: &str = "active";
const TRUSTED: &str = "trusted";

impl TrustDocument {
    /// As a document; the key that signs is shown as such.
    #[must_use]
    pub fn of(set: &TrustSet, active: Option<SigningKeyId>) -> Self {
        let keys = set.keys.iter().map(|key| {
            let id = key.public.id();
            let state = match key.retired {
                true => RETIRED,
                false if active == Some(id) => ACTIVE,
                false => TRUSTED,
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
            (None, None) => None,
            _ => {
                return Err(bad(
                    &format!("{at}.voucher"),
                    "the signature of `vouched_by`: both or neither are given",
                ));
            }
        };
        let retired = match self.state.as_str() {
            RETIRED => true,
            ACTIVE | TRUSTED => false,
            _ => {
                let field = format!("{at}.state");
                return Err(bad(&field, "`active`, `trusted` or `retired`"));
            }
        };
        Ok(TrustedKey {
            public,
            voucher,
            retired,
        })
    }
}

/// A statement with its signature, as the REST API gives it of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureDocument {
    /// What is signed.
    pub statement: StatementDocument,
    /// Its bytes.
    pub canonical: String,
    /// By which key.
    pub key_id: String,
    /// That key's public half.
    pub public_key: String,
    /// The signature.
    pub signature: String,
}

/// What is signed, part by part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementDocument {
    /// The version of the bytes.
    pub format: u8,
    /// The cluster.
    pub cluster_id: String,
    /// The environment.
    pub environment_id: String,
    /// `environment` or `route`.
    pub scope: String,
    /// The route, or nothing.
    pub route_id: String,
    /// The snapshot, or nothing.
    pub snapshot_id: String,
    /// The epoch.
    pub epoch: u64,
    /// The version.
    pub version: u64,
    /// What was before, as `sha256:` and digits.
    pub previous_hash: String,
    /// The content root, likewise.
    pub content_hash: String,
    /// When it became current, in Unix milliseconds.
    pub at_ms: u64,
}

/// Why a document proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// A field is not what it has to be.
    #[error(transparent)]
    Document(#[from] BadDocument),
    /// The fields and the bytes say different things.
    #[error(
        "the statement and the canonical bytes differ from byte {place} on, which belongs to {part}"
    )]
    Differs {
        /// The first byte.
        place: usize,
        /// What it belongs to.
        part: &'static str,
    },
    /// It is not believed.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
}

impl SignatureDocument {
    /// What is stated, if the key in the document has signed it, and if that is one of those given.
    ///
    /// # Errors
    /// When any of it is not so, by the field or byte that is wrong.
    pub fn verify(&self, trusted: Option<&TrustSet>) -> Result<Statement, Unproven> {
        let statement = self.statement.read()?;
        let bytes =
            hex::decode(&self.canonical).map_err(|_| bad("canonical", "bytes in hexadecimal"))?;
        let expected = statement.bytes();
        if bytes != expected {
            let same = bytes.iter().zip(&expected).take_while(|(a, b)| a == b);
            let place = same.count();
            let part = statement.part_at(place).unwrap_or("what follows the time");
            return Err(Unproven::Differs { place, part });
        }
        let public = public_key("public_key", &self.public_key)?;
        let id = key_id("key_id", &self.key_id)?;
        if public.id() != id {
            return Err(bad("key_id", "the name of the public key").into());
        }
        let signature = Signature {
            key: id,
            bytes: signature("signature", &self.signature)?,
        };
        let of_itself = TrustSet {
            cluster_id: statement.cluster_id.clone(),
            epoch: statement.epoch,
            serial: 0,
            keys: vec![TrustedKey {
                public,
                voucher: None,
                retired: false,
            }],
        };
        let trust = Trust::fixed(trusted.cloned().unwrap_or(of_itself));
        trust.verify_statement(&statement, signature)?;
        Ok(statement)
    }
}

impl StatementDocument {
    fn read(&self) -> Result<Statement, BadDocument> {
        if self.format != FORMAT {
            return Err(bad("statement.format", "1, the only one that there is"));
        }
        let scope = match self.scope.as_str() {
            "environment" => Scope::Environment,
            "route" => Scope::Route {
                route_id: RouteId::parse(&self.route_id)
                    .map_err(|_| bad("statement.route_id", "a route's identifier"))?,
                snapshot_id: SnapshotId::parse(&self.snapshot_id)
                    .map_err(|_| bad("statement.snapshot_id", "a snapshot's identifier"))?,
            },
            _ => return Err(bad("statement.scope", "environment or route")),
        };
        Ok(Statement {
            cluster_id: ClusterId::parse(&self.cluster_id)
                .map_err(|_| bad("statement.cluster_id", "a cluster's identifier"))?,
            environment_id: EnvironmentId::parse(&self.environment_id)
                .map_err(|_| bad("statement.environment_id", "an environment's identifier"))?,
            scope,
            epoch: Epoch(self.epoch),
            version: self.version,
            previous: hash("statement.previous_hash", &self.previous_hash)?,
            root: hash("statement.content_hash", &self.content_hash)?,
            at: Timestamp(self.at_ms),
        })
    }
}

fn hash(field: &str, text: &str) -> Result<Hash, BadDocument> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("sha256:");
    let read = digits.and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok());
    read.map(|()| Hash(bytes))
        .ok_or_else(|| bad(field, "sha256: and 64 hexadecimal digits"))
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

    type Change<T> = fn(&mut T);

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
        let changes: [(Change<TrustDocument>, &str); 7] = [
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
            (|it| it.keys[1].voucher = None, "keys[1].voucher"),
            (
                |it| it.keys[0].state = "Retired".to_owned(),
                "keys[0].state",
            ),
        ];
        for (change, field) in changes {
            let mut document = TrustDocument::of(&set(), None);
            change(&mut document);
            assert_eq!(document.set().unwrap_err().field, field);
        }
    }

    /// A snapshot as the API shows its signature.
    fn signed(by: u8) -> SignatureDocument {
        let key = KeyPair::new(&[by; 32]).unwrap();
        let statement = StatementDocument {
            format: 1,
            cluster_id: set().cluster_id.to_string(),
            environment_id: "env_00000001".to_owned(),
            scope: "route".to_owned(),
            route_id: "rt_00000001".to_owned(),
            snapshot_id: "snap_00000001".to_owned(),
            epoch: 2,
            version: 3,
            previous_hash: format!("sha256:{}", "cd".repeat(32)),
            content_hash: format!("sha256:{}", "ab".repeat(32)),
            at_ms: 4,
        };
        let bytes = statement.read().unwrap().bytes();
        SignatureDocument {
            statement,
            canonical: hex::encode(&bytes),
            key_id: key.id().to_string(),
            public_key: hex::encode(key.public().0),
            signature: hex::encode(key.sign(&bytes).bytes.bytes()),
        }
    }

    #[test]
    fn a_document_proves_what_it_states_by_a_trusted_key() {
        let statement = signed(2).verify(Some(&set())).unwrap();
        assert_eq!(statement.version, 3);
        // By itself it proves that nothing was changed, and not by whom it is.
        assert_eq!(signed(9).verify(None), Ok(statement));
        let word = |unproven| match unproven {
            Err(Unproven::Untrusted(untrusted)) => untrusted.word(),
            other => panic!("{other:?}"),
        };
        assert_eq!(word(signed(9).verify(Some(&set()))), "unknown_key");
        assert_eq!(word(signed(1).verify(Some(&set()))), "retired_key");
        let elsewhere = TrustSet {
            cluster_id: ClusterId::parse("cl_00000009").unwrap(),
            ..set()
        };
        assert_eq!(word(signed(2).verify(Some(&elsewhere))), "foreign_cluster");
        let mut other = signed(2);
        other.signature = signed(1).signature;
        assert_eq!(word(other.verify(Some(&set()))), "bad_signature");
    }

    #[test]
    fn what_was_changed_is_named() {
        let changes: [(Change<SignatureDocument>, &str); 7] = [
            (|it| it.statement.version = 4, "which belongs to version"),
            (|it| it.statement.epoch = 1, "which belongs to epoch"),
            (|it| it.statement.at_ms = 5, "which belongs to at"),
            (
                |it| it.statement.route_id.push('0'),
                "which belongs to route_id",
            ),
            (
                |it| it.statement.content_hash = it.statement.previous_hash.clone(),
                "which belongs to root",
            ),
            (|it| it.key_id = "0".repeat(32), "key_id is not"),
            (
                |it| it.statement.scope = "x".to_owned(),
                "statement.scope is not",
            ),
        ];
        for (change, expect) in changes {
            let mut document = signed(2);
            change(&mut document);
            let unproven = document.verify(Some(&set())).unwrap_err().to_string();
            assert!(unproven.contains(expect), "{unproven}");
        }
        let bytes = hex::decode(signed(2).canonical).unwrap();
        let statement = signed(2).statement.read().unwrap();
        for at in 0..bytes.len() {
            let mut document = signed(2);
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            document.canonical = hex::encode(bytes);
            let part = statement.part_at(at).unwrap();
            let expect = Unproven::Differs { place: at, part };
            assert_eq!(document.verify(Some(&set())), Err(expect));
        }
    }
}
