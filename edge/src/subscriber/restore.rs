//! The start: back to serving by what is on disk, if its signature is believed.

use domain::id::EnvironmentId;
use domain::time::Timestamp;
use edge_protocol::signing::{Trust, Untrusted};

use crate::configuration::Apply;
use crate::store::{Pointer, Store, StoreError};

/// Takes the newest manifest on disk into use that can be used. One that cannot be used is
/// forgotten: if it is still current, a node offers it, and refusing it is then reported. The same
/// goes for one that the process crashed on again and again, if `breaker` says so. One that is not believed
/// stays: it may be whom to trust that is missing or wrong, and then it is good again at a later start.
pub(super) fn restore(
    store: &mut Store,
    (trust, followed): (Option<&Trust>, Option<&EnvironmentId>),
    applier: &dyn Apply,
    breaker: bool,
    now: Timestamp,
) -> Option<Pointer> {
    let kept: Vec<Pointer> = store.kept().cloned().collect();
    for newest in kept {
        if let Err(untrusted) = verify(trust, followed, &newest) {
            let word = untrusted.word();
            tracing::error!(manifest = %newest.manifest, word, %untrusted, "a configuration on disk is not believed");
            continue;
        }
        if breaker && !begin(store, Some(&newest), now) {
            continue;
        }
        match applier.apply(newest.manifest, &*store) {
            Ok(report) => {
                let manifest = newest.manifest;
                tracing::info!(%manifest, routes = report.routes, "serving by the configuration on disk");
                return Some(newest);
            }
            Err(error) => {
                tracing::error!(manifest = %newest.manifest, %error, "a configuration on disk cannot be used");
                if breaker {
                    warn(store.note_starts(|starts| starts.retract()).1);
                }
                withdraw(store, &newest);
            }
        }
    }
    if breaker {
        begin(store, None, now);
    }
    None
}

/// What is on the disk has to be what was believed when it was taken into use.
fn verify(
    trust: Option<&Trust>,
    followed: Option<&EnvironmentId>,
    kept: &Pointer,
) -> Result<(), Untrusted> {
    let trust = trust.ok_or(Untrusted::NoTrust)?;
    trust.verify_kept(followed.unwrap_or(&kept.environment_id), &kept.signed())
}

/// Writes down what the process is about to serve by. False if it is not to do that: then the
/// manifest is gone.
fn begin(store: &mut Store, newest: Option<&Pointer>, now: Timestamp) -> bool {
    let manifest = newest.map(|pointer| pointer.manifest);
    let (begun, error) = store.note_starts(|starts| starts.begin(manifest, now));
    warn(error);
    let (Err(refused), Some(newest)) = (begun, newest) else {
        return true;
    };
    tracing::error!(manifest = %newest.manifest, reason = refused.reason, "a configuration on disk is refused; serving by the one before");
    withdraw(store, newest);
    false
}

fn withdraw(store: &mut Store, pointer: &Pointer) {
    if let Some(error) = store.withdraw(&pointer.manifest) {
        tracing::warn!(%error, "it could not be removed either");
    }
}

/// Without the journal the edge serves all the same; it only knows less of its crashes.
pub(super) fn warn(error: Option<StoreError>) {
    if let Some(error) = error {
        tracing::warn!(%error, "the journal of starts cannot be written");
    }
}
