//! Identifiers: a known prefix, then 22 upper-case Crockford base-32 characters, of which the
//! first ten are the creation time in milliseconds and the rest is random.
//!
//! Time and randomness are given by the caller ([`Seed`]); nothing here draws them. To clients
//! identifiers are opaque: any `[0-9A-Za-z]{8,64}` after the right prefix parses. On disks and wires
//! those of our own making are packed; the rest, and all in JSON, are text.

pub(crate) mod packed;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use packed::{Packed, Read};

/// Crockford's base-32 alphabet (<https://www.crockford.com/base32.html>).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What an identifier is made of: drawn by the proposer, never inside the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Wall-clock milliseconds since the Unix epoch; the low 48 bits are used.
    pub unix_ms: u64,
    /// Random bits; the low 60 are used.
    pub random: u64,
}

/// Why a text is not an identifier of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an identifier that starts with `{expected}_`")]
pub struct ParseIdError {
    /// The prefix that was wanted, without the underscore.
    pub expected: &'static str,
}

fn render(prefix: &str, seed: Seed) -> String {
    let mut text = String::with_capacity(prefix.len() + 23);
    text.push_str(prefix);
    text.push('_');
    let time = seed.unix_ms & ((1 << 48) - 1);
    for position in (0..10).rev() {
        text.push(char::from(ALPHABET[(time >> (position * 5) & 31) as usize]));
    }
    for position in (0..12).rev() {
        text.push(char::from(
            ALPHABET[(seed.random >> (position * 5) & 31) as usize],
        ));
    }
    text
}

fn parse(prefix: &'static str, text: &str) -> Result<String, ParseIdError> {
    let error = ParseIdError { expected: prefix };
    let body = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| error.clone())?;
    if !(8..=64).contains(&body.len()) || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(error);
    }
    Ok(text.to_owned())
}

/// The time in an identifier of our own making; of another one, nothing.
fn unix_ms(text: &str) -> Option<u64> {
    let (_, body) = text.rsplit_once('_')?;
    let time = body.as_bytes().get(..10).filter(|_| body.len() == 22)?;
    time.iter().try_fold(0, |time, byte| {
        Some(time << 5 | u64::from(packed::digit(*byte)?))
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier from a time and random bits.
            #[must_use]
            pub fn new(seed: Seed) -> Self {
                Self(render($prefix, seed))
            }

            /// Reads an identifier.
            ///
            /// # Errors
            /// When the prefix differs or the body is not 8 to 64 letters and digits.
            pub fn parse(text: &str) -> Result<Self, ParseIdError> {
                parse($prefix, text).map(Self)
            }

            /// The whole text, prefix included.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// When it was made, in milliseconds since the Unix epoch, if it is one of ours.
            #[must_use]
            pub fn unix_ms(&self) -> Option<u64> {
                unix_ms(&self.0)
            }
        }

        impl Packed for $name {
            const BYTES: usize = packed::ID_BYTES;

            fn pack(&self) -> Option<Vec<u8>> {
                packed::pack_id(self.0.strip_prefix($prefix)?.strip_prefix('_')?)
            }

            fn unpack(bytes: &[u8]) -> Option<Self> {
                packed::unpack_id($prefix, bytes).map(Self)
            }

            fn text(&self) -> &str {
                &self.0
            }

            fn of_text(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                packed::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Read::new().deserialize(deserializer)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

ids! {
    /// An organisation, which owns workspaces.
    OrgId = "org";
    /// A workspace: the tenant that owns configuration.
    WorkspaceId = "ws";
    /// An environment of a workspace.
    EnvironmentId = "env";
    /// An API key's public identifier; never its secret.
    ApiKeyId = "key";
    /// A route.
    RouteId = "rt";
    /// A rule.
    RuleId = "rule";
    /// An upstream.
    UpstreamId = "up";
    /// One target of an upstream.
    TargetId = "tgt";
    /// A snapshot of a route.
    SnapshotId = "snap";
    /// One API request.
    RequestId = "req";
    /// An event, as clients see them.
    EventId = "evt";
    /// An entry of the audit log.
    AuditId = "aud";
    /// A webhook endpoint.
    WebhookEndpointId = "wh";
    /// One event's delivery to one webhook endpoint.
    WebhookDeliveryId = "whd";
    /// A certificate for clients of a hostname.
    CertificateId = "cert";
    /// A token by which an edge joins.
    EdgeTokenId = "etok";
    /// A cluster, as its edges know it.
    ClusterId = "cl";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract: D-01.
    #[test]
    fn an_identifier_has_22_characters_after_its_prefix_and_sorts_by_time() {
        let early = RuleId::new(Seed {
            unix_ms: 1_714_320_000_000,
            random: u64::MAX,
        });
        let late = RuleId::new(Seed {
            unix_ms: 1_714_320_000_001,
            random: 0,
        });
        assert_eq!(early.as_str().len(), "rule_".len() + 22);
        assert!(early < late);
        assert_eq!(early.unix_ms(), Some(1_714_320_000_000));
        let foreign = ["rule_01J2A8K6", "rule_lowercase0123456789ab"];
        for id in foreign {
            assert_eq!(RuleId::parse(id).unwrap().unix_ms(), None, "{id}");
        }
    }

    /// Contract: D-01.
    #[test]
    fn parsing_accepts_the_documented_samples_and_refuses_the_rest() {
        for good in ["rule_01HX9K3M7PQ6RSTV2W4N8A", "rule_01J2A8K6"] {
            assert_eq!(
                RuleId::parse(good).map(|id| id.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "",
            "rule",
            "rule_",
            "rule_short",
            "rt_01HX9K3M7PQ6RSTV2W4N8A",
            "rule_01HX9K3M7P/../x",
            "rule_ÄÄÄÄÄÄÄÄ",
        ] {
            assert!(RuleId::parse(bad).is_err(), "{bad}");
        }
    }
}
