//! Certificates that edges show to clients. The private key is here as whoever proposed it has sealed it:
//! see [`SealedKey`].

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, CertificateId, EnvironmentId, WorkspaceId};
use crate::model::SealedKey;
use crate::time::{Revision, Timestamp};

/// A certificate with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its identifier.
    pub id: CertificateId,
    /// The workspace that owns it.
    pub workspace_id: WorkspaceId,
    /// The environment whose routes may show it.
    pub environment_id: EnvironmentId,
    /// Its label.
    pub name: String,
    /// What is shown, and what proves it.
    pub material: CertificateMaterial,
    /// Counts what was shown under this identifier, from 1.
    pub version: u32,
    /// Who made it.
    pub created_by: ApiKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// The entry that last changed it.
    pub revision: Revision,
}

/// A chain and its key. What stands in the chain was read by the proposer, who also saw that the key
/// is that of its first certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateMaterial {
    /// The chain in PEM, the certificate itself first.
    pub chain: String,
    /// The DNS names that it is for, in lower case, perhaps with one leading `*.` label.
    pub names: Vec<String>,
    /// From when on it holds.
    pub not_before: Timestamp,
    /// Until when it holds.
    pub not_after: Timestamp,
    /// The SHA-256 of the certificate itself, in hexadecimal.
    pub fingerprint: String,
    /// The private key.
    pub key: SealedKey,
}

impl Certificate {
    /// Whether clients that ask for a route's hostname would accept it.
    #[must_use]
    pub fn covers(&self, hostname: &str) -> bool {
        self.material.covers(hostname)
    }
}

impl CertificateMaterial {
    /// Whether clients that ask for a route's hostname would accept it. A wildcard covers exactly one
    /// label (RFC 6125, section 6.4.3), and so a route's wildcard by itself alone.
    #[must_use]
    pub fn covers(&self, hostname: &str) -> bool {
        let parent = hostname.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| {
            name == hostname
                || name
                    .strip_prefix("*.")
                    .is_some_and(|suffix| !hostname.starts_with("*.") && parent == Some(suffix))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label_and_a_routes_wildcard_needs_the_same() {
        let material = |names: &[&str]| CertificateMaterial {
            chain: String::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            not_before: Timestamp(0),
            not_after: Timestamp(1),
            fingerprint: String::new(),
            key: SealedKey {
                nonce: [0; 12],
                sealed: Vec::new(),
            },
        };
        for (names, hostname, covers) in [
            (&["api.example.net"][..], "api.example.net", true),
            (&["api.example.net"], "www.example.net", false),
            (&["other.example", "*.example.net"], "api.example.net", true),
            (&["*.example.net"], "example.net", false),
            (&["*.example.net"], "a.b.example.net", false),
            (&["*.example.net"], "*.example.net", true),
            (&["api.example.net"], "*.example.net", false),
            (&["*.net"], "*.example.net", false),
            (&[], "api.example.net", false),
        ] {
            assert_eq!(
                material(names).covers(hostname),
                covers,
                "{names:?} {hostname}"
            );
        }
    }
}
