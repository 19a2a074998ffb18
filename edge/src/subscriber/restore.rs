//! The start: back to serving by what is on disk.

use crate::configuration::Apply;
use crate::store::{Pointer, Store};

/// Takes the newest manifest on disk into use that can be used. One that cannot be used is
/// forgotten: if it is still current, a node offers it, and refusing it is then reported.
pub(super) fn restore(store: &mut Store, applier: &dyn Apply) -> Option<Pointer> {
    loop {
        let newest = store.kept().next().cloned()?;
        match applier.apply(newest.manifest, &*store) {
            Ok(report) => {
                let manifest = newest.manifest;
                tracing::info!(%manifest, routes = report.routes, "serving by the configuration on disk");
                return Some(newest);
            }
            Err(error) => {
                tracing::error!(manifest = %newest.manifest, %error, "a configuration on disk cannot be used");
                if let Some(error) = store.withdraw(&newest.manifest) {
                    tracing::warn!(%error, "it could not be removed either");
                }
            }
        }
    }
}
