//! A node must have every key that secrets of the cluster are sealed under, and the one that they are sealed under next: without
//! one it would fail when an edge asks for a certificate, or a webhook is to be signed. So it says so at the start, or as soon as it
//! has applied that there is such a key, and ends. What it finds it shows as a metric.
//!
//! That every member has a key before it is used is seen to by [`super::membership`].

use std::time::Duration;

use domain::model::KekId;
use raft_store::Reader;
use tokio::time::{Instant, sleep};

use crate::halt::{FatalReason, Halt};
use crate::keys::KeyRing;
use crate::metrics::ConsensusMetrics;
use crate::sealing::{self, Census};

/// How often is looked whether there is another key.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often all secrets are counted: a few milliseconds' work.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// Compares with what the local state says.
pub(super) fn check(reader: &Reader, keys: &KeyRing) -> Result<Census, FatalReason> {
    let census = reader.read(|view| Census::of(view));
    let census = census.map_err(FatalReason::Storage)?;
    let missing = census.missing(keys.keks());
    if missing.is_empty() {
        return Ok(census);
    }
    Err(FatalReason::Keks(missing.into_iter().collect()))
}

/// Compares again with each new key, and counts from time to time.
pub(super) async fn watch(reader: Reader, keys: KeyRing, metrics: ConsensusMetrics, halt: Halt) {
    let mut counted: Option<(Option<KekId>, Instant)> = None;
    loop {
        let Ok(active) = reader.read(|view| sealing::active(view)) else {
            return;
        };
        let is_fresh =
            |(of, at): (Option<KekId>, Instant)| of == active && at.elapsed() < COUNT_EVERY;
        if !counted.is_some_and(is_fresh) {
            match check(&reader, &keys) {
                Ok(census) => {
                    metrics.show_sealed(&census);
                    counted = Some((census.active, Instant::now()));
                }
                Err(reason) => return halt.fatal(&reason),
            }
        }
        sleep(LOOK_EVERY).await;
    }
}
