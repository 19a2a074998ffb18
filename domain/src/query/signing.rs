//! How the cluster signs, and with which keys it did.

use crate::model::{Epoch, Signing, SigningKey};
use crate::rows::View;
use crate::schema::{SIGNING, SIGNING_KEYS};

/// How the cluster signs; nothing before it begins to.
pub fn signing(view: &(impl View + ?Sized)) -> Option<Signing> {
    SIGNING.get(view, ())
}

/// The public parts of all keys that are remembered, in the order in which they were made.
pub fn signing_keys(view: &(impl View + ?Sized)) -> Vec<SigningKey> {
    let rows = SIGNING_KEYS.walk(view, SIGNING_KEYS.all());
    let mut keys: Vec<SigningKey> = rows.map(|(_, key)| key).collect();
    keys.sort_by_key(|key| (key.created_at, key.public.id()));
    keys
}

/// The epoch of what is published now.
pub fn epoch(view: &(impl View + ?Sized)) -> Epoch {
    signing(view).map_or(Epoch(1), |signing| signing.epoch)
}
