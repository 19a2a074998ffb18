//! Source: a cluster that signs does so with a key that it knows and has not retired; of all keys, the
//! first alone has nobody who vouches for it, and there are no more than may be.

use super::ensure;
use super::state::State;
use crate::model::SIGNING_KEYS_MAX;
use crate::query;

pub(super) fn check(state: &State) -> Result<(), String> {
    let keys = query::signing_keys(&state.rows);
    let Some(signing) = query::signing(&state.rows) else {
        return ensure(keys.is_empty(), || {
            "there are signing keys, and nothing is signed".to_owned()
        });
    };
    let active = keys.iter().find(|key| key.public.id() == signing.active);
    ensure(active.is_some_and(|key| key.retired_at.is_none()), || {
        format!("the key {} signs and is not trusted", signing.active)
    })?;
    let unvouched = keys.iter().filter(|key| key.voucher.is_none()).count();
    ensure(unvouched <= 1 && keys.len() <= SIGNING_KEYS_MAX, || {
        format!("{unvouched} of {} signing keys have no voucher", keys.len())
    })
}
