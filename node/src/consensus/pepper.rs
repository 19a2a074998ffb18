//! The pepper must be the one that the cluster's keys were hashed under. Bootstrap leaves a check
//! value in the state; a node with another pepper would refuse every key, so it does not serve.

use domain::query;
use raft_store::Reader;

use crate::halt::{FatalReason, Halt};
use crate::keys::KeyRing;

/// Compares with what the local state says; a state from before bootstrap says nothing.
pub(super) fn check(reader: &Reader, keys: &KeyRing) -> Result<(), FatalReason> {
    known(reader, keys).map(|_| ())
}

/// Whether the check value is there. An error means that it is another pepper's.
fn known(reader: &Reader, keys: &KeyRing) -> Result<bool, FatalReason> {
    match reader.read(|view| query::pepper_check(view)) {
        Ok(Some(check)) if !keys.matches(&check) => Err(FatalReason::Pepper),
        Ok(check) => Ok(check.is_some()),
        Err(fault) => Err(FatalReason::Storage(fault)),
    }
}

/// Compares as soon as the state says it: on the first start that is long after.
pub(super) async fn watch(reader: Reader, keys: KeyRing, halt: Halt) {
    let mut applied = reader.applied();
    loop {
        applied.borrow_and_update();
        match known(&reader, &keys) {
            Ok(true) => return,
            Ok(false) => {}
            Err(reason) => return halt.fatal(&reason),
        }
        if applied.changed().await.is_err() {
            return;
        }
    }
}
