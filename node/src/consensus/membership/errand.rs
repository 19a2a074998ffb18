//! What the node that leads does for the membership by itself: it finishes what an earlier leader, or
//! it itself, left half done, and hands leadership over to the preferred region.
//!
//! Two things can be left half done. A *joint membership*: openraft changes voters in two entries, and
//! goes no further than the first when its leader dies in between:
//!
//! 1. leader A appends the joint membership, a quorum stores it
//! 2. A dies
//! 3. B is elected, commits the joint membership, and nobody proposes the final one: every
//!    election needs both quorums from now on
//!
//! It is led to where it goes. And a *removal*: the number is retired first, and whoever leads removes
//! members whose numbers are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use raft_store::types::NodeId;
use tokio::time::{Instant, sleep};

use super::plan::{self, Plan, Step};
use super::preference::Preference;
use super::request::ClusterError;
use super::steward::Steward;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks for ever, and does nothing while another node leads or this one is leaving.
pub(crate) async fn run(steward: Steward, draining: Arc<AtomicBool>) {
    let mut preference = Preference::default();
    let mut said = String::new();
    let started = Instant::now();
    loop {
        sleep(LOOK_EVERY).await;
        let leads = steward.leads() && !draining.load(Ordering::SeqCst);
        let view = steward.view().ok().filter(|_| leads);
        let preferred = preference.look(started.elapsed(), view.as_ref().map(|(view, _)| view));
        if !leads {
            continue;
        }
        let done = match finish(&steward).await {
            Ok(true) => Ok(()),
            Ok(false) => match preferred {
                Some(to) => move_to(&steward, to).await,
                None => Ok(()),
            },
            Err(error) => Err(error),
        };
        let reason = done
            .err()
            .map_or_else(String::new, |error| error.to_string());
        if !reason.is_empty() && reason != said {
            tracing::warn!(
                reason,
                "what is left to be done for the membership has to wait"
            );
        }
        said = reason;
    }
}

async fn move_to(steward: &Steward, to: NodeId) -> Result<(), ClusterError> {
    let Ok(_turn) = steward.take_turn("moving leadership to the preferred region".to_owned())
    else {
        return Ok(());
    };
    tracing::info!(to, "moving leadership to the preferred region");
    steward.hand_over(to).await
}

/// Finishes what was left, and says whether there was anything.
async fn finish(steward: &Steward) -> Result<bool, ClusterError> {
    if let Some(voters) = target_of_joint(steward) {
        let Ok(_turn) = steward.take_turn("finishing a change of the membership".to_owned()) else {
            return Ok(true);
        };
        tracing::warn!(?voters, "finishing an interrupted membership change");
        // Voters that are not in the target stay as learners, which is what can be undone.
        let finished = steward.parts.raft.change_membership(voters, true).await;
        return match finished {
            Ok(_) => Ok(true),
            Err(error) => Err(ClusterError::Unavailable {
                reason: error.to_string(),
            }),
        };
    }
    let (view, guard) = steward.view()?;
    let Some(next) = plan::interrupted(&view).filter(|_| !view.unfinished) else {
        return Ok(false);
    };
    let Ok(_turn) = steward.take_turn("finishing a removal".to_owned()) else {
        return Ok(true);
    };
    match next? {
        Plan::HandOverFirst(to) => steward.hand_over(to).await?,
        Plan::Step(Step::Remove(id)) => {
            tracing::warn!(id, "finishing an interrupted removal");
            steward.take_out(id, guard).await?;
        }
        Plan::Step(_) | Plan::Nothing(_) => {}
    }
    Ok(true)
}

/// The voters that an interrupted change was going to, where there is one. Not before the joint
/// membership is committed: what would flatten it is refused until then.
fn target_of_joint(steward: &Steward) -> Option<BTreeSet<NodeId>> {
    let metrics = steward.parts.raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let stored = &metrics.membership_config;
    if stored.log_id() != metrics.committed_membership_config.log_id() {
        return None;
    }
    match stored.membership().get_joint_config().as_slice() {
        [_, .., target] => Some(target.clone()),
        _ => None,
    }
}
