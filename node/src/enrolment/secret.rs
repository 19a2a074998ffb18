//! The secrets of join tokens. One is made of the pepper, the token's identifier and a random salt, so
//! that a retry of the request that made it is answered with the same token although nobody has stored
//! it; and it is recognised by a keyed hash, which is all that the cluster stores.

use domain::id::EdgeTokenId;
use domain::model::{KeyHash, KeySalt};
use hmac::Mac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::{KeyRing, Pepper};

/// What the MAC is for that secrets are made with.
const SECRET_PURPOSE: &str = "vectorgate join token v1";

/// What the MAC is for that secrets are recognised by.
const HASH_PURPOSE: &str = "vectorgate join token hash v1";

impl Pepper {
    /// The secret that belongs to a token; always the same one.
    #[must_use]
    pub fn join_secret(&self, id: &EdgeTokenId, salt: &KeySalt) -> Zeroizing<[u8; 32]> {
        let mut keyed = self.derived(SECRET_PURPOSE);
        keyed.update(&salt.0);
        keyed.update(id.as_str().as_bytes());
        Zeroizing::new(keyed.finalize().into_bytes().into())
    }

    /// The hash by which the cluster knows a secret.
    #[must_use]
    pub fn join_hash(&self, secret: &[u8; 32]) -> KeyHash {
        let mut keyed = self.derived(HASH_PURPOSE);
        keyed.update(secret);
        KeyHash(keyed.finalize().into_bytes().into())
    }
}

impl KeyRing {
    /// The secret of a token that was given this hash when it was made; nothing, if that was under a pepper that this node has
    /// no more.
    #[must_use]
    pub fn join_secret(
        &self,
        (id, salt): (&EdgeTokenId, &KeySalt),
        hash: &KeyHash,
    ) -> Option<Zeroizing<[u8; 32]>> {
        let mut made = self
            .peppers()
            .map(|pepper| (pepper, pepper.join_secret(id, salt)));
        made.find_map(|(pepper, secret)| {
            let is_it = pepper.join_hash(&secret).0.ct_eq(&hash.0);
            bool::from(is_it).then_some(secret)
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;

    #[test]
    fn a_secret_follows_from_token_salt_and_pepper_and_does_not_show_in_its_hash() {
        let [ring, other] = [7, 8].map(|byte| KeyRing::new(&[byte; 32]).unwrap());
        let (ring, other) = (ring.active(), other.active());
        let id = |random| EdgeTokenId::new(Seed { unix_ms: 1, random });
        let secret = ring.join_secret(&id(1), &KeySalt([1; 16]));
        assert_eq!(secret, ring.join_secret(&id(1), &KeySalt([1; 16])));
        for another in [
            ring.join_secret(&id(2), &KeySalt([1; 16])),
            ring.join_secret(&id(1), &KeySalt([2; 16])),
            other.join_secret(&id(1), &KeySalt([1; 16])),
        ] {
            assert_ne!(secret, another);
        }
        let hash = ring.join_hash(&secret);
        assert_ne!(hash.0, *secret);
        assert_ne!(hash, other.join_hash(&secret));
    }

    #[test]
    fn a_secret_is_made_again_under_the_pepper_that_its_hash_is_of() {
        let (id, salt) = (
            EdgeTokenId::new(Seed {
                unix_ms: 1,
                random: 1,
            }),
            KeySalt([1; 16]),
        );
        let old = KeyRing::new(&[7; 32]).unwrap();
        let secret = old.active().join_secret(&id, &salt);
        let hash = old.active().join_hash(&secret);
        let both = format!("{}\n{}", "08".repeat(32), "07".repeat(32));
        let both = KeyRing::parse(&both).unwrap();
        assert_eq!(both.join_secret((&id, &salt), &hash), Some(secret));
        let new = KeyRing::new(&[8; 32]).unwrap();
        assert_eq!(new.join_secret((&id, &salt), &hash), None);
    }
}
