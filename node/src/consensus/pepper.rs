//! A node must have the pepper that the cluster's keys are hashed under: with another one it would refuse every new key, so it
//! does not serve. Bootstrap leaves in the state what recognises the first one, and the log names each that comes after it. What is
//! still hashed under an earlier one the node counts, shows as a metric, and says if it lacks the pepper: those keys it refuses.
//!
//! That every member has a pepper before it is used is seen to by [`super::membership`].

use std::collections::BTreeMap;
use std::time::Duration;

use domain::model::PepperId;
use domain::query::{self, PepperUse};
use raft_store::Reader;
use tokio::time::{Instant, sleep};

use crate::halt::{FatalReason, Halt};
use crate::keys::{KeyRing, LacksPepper};
use crate::metrics::ConsensusMetrics;

/// How often is looked whether there is another pepper.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often all keys are counted, once the pepper was ever changed: some milliseconds' work.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// What is hashed under which pepper; nothing while all is under the first.
type Uses = Option<BTreeMap<PepperId, PepperUse>>;

/// Takes the pepper that the local state names; a state from before bootstrap names none.
pub(super) fn check(reader: &Reader, keys: &KeyRing) -> Result<(), FatalReason> {
    follow(reader, keys).map(drop)
}

fn follow(reader: &Reader, keys: &KeyRing) -> Result<Option<PepperId>, FatalReason> {
    let followed = reader.read(|view| keys.follow(view));
    let followed = followed.map_err(FatalReason::Storage)?;
    followed.map_err(|LacksPepper(id)| FatalReason::Pepper(id))
}

/// Takes each that comes to be named, and counts from time to time.
pub(super) async fn watch(reader: Reader, keys: KeyRing, metrics: ConsensusMetrics, halt: Halt) {
    let mut applied = reader.applied();
    let mut counted: Option<(Option<PepperId>, Instant)> = None;
    let mut missing = Vec::new();
    loop {
        let active = match follow(&reader, &keys) {
            Ok(active) => active,
            Err(reason) => return halt.fatal(&reason),
        };
        if active.is_none() {
            // On the first start it is named long after.
            if applied.changed().await.is_err() {
                return;
            }
            continue;
        }
        let is_fresh =
            |(of, at): (Option<PepperId>, Instant)| of == active && at.elapsed() < COUNT_EVERY;
        if !counted.is_some_and(is_fresh) {
            let uses = match reader.read(count) {
                Ok(uses) => uses,
                Err(fault) => return halt.fatal(&FatalReason::Storage(fault)),
            };
            if let Some(uses) = &uses {
                metrics.show_peppered(uses);
            }
            say_missing(&keys, uses, &mut missing);
            counted = Some((active, Instant::now()));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn count(view: &dyn domain::rows::View) -> Uses {
    query::peppering(view).map(|_| query::pepper_uses(view))
}

/// Says what is hashed under peppers that this node lacks, whenever those are others than before.
fn say_missing(keys: &KeyRing, uses: Uses, said: &mut Vec<PepperId>) {
    let uses = uses.unwrap_or_default().into_iter();
    let missing: Vec<_> = uses.filter(|(id, _)| !keys.has_pepper(*id)).collect();
    let ids: Vec<_> = missing.iter().map(|(id, _)| *id).collect();
    if *said == ids {
        return;
    }
    *said = ids;
    for (pepper, uses) in missing {
        tracing::error!(
            %pepper,
            api_keys = uses.api_keys,
            join_tokens = uses.join_tokens,
            "keys are hashed under a pepper that security.pepper_file lacks, and are refused here: give it back, or \
             roll those keys"
        );
    }
}
