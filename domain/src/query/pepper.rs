//! Under which pepper keys are hashed: from now on, and each of those that are there.

use std::collections::BTreeMap;

use super::access::{log_time, pepper_check};
use crate::model::{KeyHash, PepperId, Peppering};
use crate::rows::View;
use crate::schema::{API_KEYS, EDGE_TOKENS, HASH_PEPPERS, PEPPERING};

/// Under which pepper keys are hashed; nothing while that is the first one.
pub fn peppering(view: &(impl View + ?Sized)) -> Option<Peppering> {
    PEPPERING.get(view, ())
}

/// The pepper that keys are hashed under; nothing before there is a workspace.
pub fn active_pepper(view: &(impl View + ?Sized)) -> Option<PepperId> {
    let later = peppering(view).map(|peppering| peppering.active);
    later.or_else(|| first_pepper(view))
}

/// The pepper that the cluster began with.
fn first_pepper(view: &(impl View + ?Sized)) -> Option<PepperId> {
    pepper_check(view).as_ref().map(PepperId::of)
}

/// How many secrets are recognised under a pepper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PepperUse {
    /// Of API keys. One that was rolled has two until the overlap ends.
    pub api_keys: u64,
    /// Of join tokens.
    pub join_tokens: u64,
}

impl PepperUse {
    /// Of both.
    #[must_use]
    pub fn total(self) -> u64 {
        self.api_keys + self.join_tokens
    }
}

/// How many secrets that work are recognised under each pepper. It costs a look at each key and token there is.
pub fn pepper_uses(view: &(impl View + ?Sized)) -> BTreeMap<PepperId, PepperUse> {
    let mut uses = BTreeMap::<_, PepperUse>::new();
    let Some(first) = first_pepper(view) else {
        return uses;
    };
    // Hashes have names only since there was another pepper.
    let has_names = peppering(view).is_some();
    let named = |hash: &KeyHash| {
        let named = has_names.then(|| HASH_PEPPERS.get(view, (hash,)));
        named.flatten().unwrap_or(first)
    };
    let now = log_time(view);
    for (_, key) in API_KEYS.walk(view, API_KEYS.all()) {
        let works = |hash: &&KeyHash| key.valid_until(hash).is_none_or(|until| now < until);
        if key.revoked_at.is_none() {
            for hash in key.hashes().filter(works) {
                uses.entry(named(hash)).or_default().api_keys += 1;
            }
        }
    }
    for (_, token) in EDGE_TOKENS.walk(view, EDGE_TOKENS.all()) {
        if token.is_open(now) {
            uses.entry(named(&token.hash)).or_default().join_tokens += 1;
        }
    }
    uses
}
