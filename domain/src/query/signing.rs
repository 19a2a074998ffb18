//! How the cluster signs, and with which keys it did.

use crate::model::{Epoch, Signing, SigningKey};
use crate::rows::View;
use crate::schema::{SIGNING, SIGNING_KEYS};

/// How the cluster signs; nothing before it begins to.
pub fn signing(view: &(impl View + ?Sized)) -> Option<Signing> {
    SIGNING.get(view, ())
}

/// The public parts of all keys that are remembered, in the order in which they were made: a key comes after
/// the one that vouches for it, also where both were made in the same millisecond of the log.
pub fn signing_keys(view: &(impl View + ?Sized)) -> Vec<SigningKey> {
    let rows = SIGNING_KEYS.walk(view, SIGNING_KEYS.all());
    let mut left: Vec<SigningKey> = rows.map(|(_, key)| key).collect();
    left.sort_by_key(|key| (key.created_at, key.public.id()));
    let mut keys = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |key: &SigningKey| {
            let by = key.voucher.as_ref().map(|voucher| voucher.by);
            by.is_some_and(|by| left.iter().any(|other| other.public.id() == by))
        };
        // Nobody waits for a key that waits for him, so that one is always found.
        let next = left.iter().position(|key| !waits(key)).unwrap_or(0);
        keys.push(left.remove(next));
    }
    keys
}

/// The epoch of what is published now.
pub fn epoch(view: &(impl View + ?Sized)) -> Epoch {
    signing(view).map_or(Epoch(1), |signing| signing.epoch)
}
