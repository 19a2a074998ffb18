//! Certificates for an edge, with their private keys: a second stream that the edge opens on the same
//! connection, once it shows any. Chunks are cached, kept and handed to every edge of an environment;
//! keys go to the edges that ask for them, and are kept by these alone.
//!
//! ```text
//! edge                                        node
//!  │ Wanted [(certificate, version it has)] ──▶ │  again whenever its routes show others
//!  │ ◀── Certificate {version, chain, key}      │  for each that it lacks or has an older one of,
//!  │ ◀── Gone {certificate}                     │  at once and whenever that changes
//! ```

use std::fmt;

use domain::id::CertificateId;
use serde::{Deserialize, Serialize};

use crate::message::Bounded;

/// Certificates that an edge shows: more than an environment may have.
pub const WANTED_MAX: usize = 256;

/// A chain or a key, in bytes of PEM: as the API takes them.
pub const PEM_BYTES_MAX: usize = 64 * 1024;

/// The certificates that an edge shows, with the version that it has of each; 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted(pub Vec<(CertificateId, u32)>);

/// What a node says of one that is wanted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// Here it is.
    Certificate {
        /// Which.
        id: CertificateId,
        /// Which of those that had the identifier.
        version: u32,
        /// The chain in PEM.
        chain: String,
        /// The private key in PEM.
        key: String,
    },
    /// It was removed.
    Gone(CertificateId),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { id, version, .. } => f
                .debug_struct("Certificate")
                .field("id", id)
                .field("version", version)
                .finish_non_exhaustive(),
            Self::Gone(id) => f.debug_tuple("Gone").field(id).finish(),
        }
    }
}

impl Bounded for Wanted {
    fn check(&self) -> Result<(), &'static str> {
        if self.0.len() > WANTED_MAX {
            return Err("too many certificates are wanted");
        }
        Ok(())
    }
}

impl Bounded for Given {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Certificate { chain, key, .. } if chain.len().max(key.len()) > PEM_BYTES_MAX => {
                Err("a certificate is too large")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;
    use crate::frame::{Decoder, encode};

    fn id() -> CertificateId {
        CertificateId::new(Seed {
            unix_ms: 1,
            random: 2,
        })
    }

    fn given(key: &str) -> Given {
        Given::Certificate {
            id: id(),
            version: 3,
            chain: "chain".to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn messages_have_their_bytes() {
        let wanted = Wanted(vec![(id(), 300)]);
        let gone = Given::Gone(id());
        let hex = |bytes: Vec<u8>| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let packed = hex(postcard::to_stdvec(&id()).unwrap());
        for (bytes, expect) in [
            (encode(&wanted).unwrap(), format!("01{packed}ac02")),
            (
                encode(&given("key")).unwrap(),
                format!("00{packed}03 05636861696e 036b6579").replace(' ', ""),
            ),
            (encode(&gone).unwrap(), format!("01{packed}")),
        ] {
            let length = expect.len() / 2 + 1;
            assert_eq!(hex(bytes), format!("{length:08x}01{expect}"));
        }
    }

    #[test]
    fn what_is_too_much_is_refused_and_a_key_does_not_show() {
        let mut decoder = Decoder::default();
        decoder.push(&encode(&Wanted(vec![(id(), 0); WANTED_MAX + 1])).unwrap());
        assert!(decoder.next_message::<Wanted>().is_err());
        let mut decoder = Decoder::default();
        decoder.push(&encode(&given(&"x".repeat(PEM_BYTES_MAX + 1))).unwrap());
        assert!(decoder.next_message::<Given>().is_err());
        assert!(!format!("{:?}", given("the key itself")).contains("itself"));
    }
}
