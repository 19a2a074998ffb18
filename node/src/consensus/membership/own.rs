//! What a node finds out about its own place in the cluster: that it has come far enough to serve, and
//! that it was removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use raft_store::types::Member;
use tokio::time::sleep;

use super::steward::Parts;
use crate::consensus::peers::{Lane, client};
use crate::consensus::reads::ReadIndex;
use crate::consensus::wire::proto;
use crate::halt::{FatalReason, Halt};

/// After how long without a leader a node asks whether it was removed.
const LONELY: Duration = Duration::from_secs(5);

/// How often it asks.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// How long a member may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// Sets `joined` once this node has applied a membership that it is part of. What it holds is then at
/// least as new as its own joining; before, it may be anything, and it must not answer from it. A
/// membership of long ago does not deceive it, since numbers are not used twice.
pub(crate) async fn watch_joining(parts: Arc<Parts>, joined: Arc<AtomicBool>) {
    let this = &parts.this;
    let mut metrics = parts.raft.server_metrics();
    loop {
        let found = {
            let metrics = metrics.borrow_watched();
            let stored = &metrics.committed_membership_config;
            let member = stored.membership().get_node(&this.id).cloned();
            member.map(|member| (member, stored.log_id().map_or(0, |log_id| log_id.index)))
        };
        if let Some((member, index)) = found {
            parts.applied.reach(domain::time::Revision(index)).await;
            warn_of_difference(this, &member);
            joined.store(true, Ordering::SeqCst);
            tracing::info!(node = this.id, "this node is a member and serves");
            return;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// The cluster's record counts; settings that say something else mislead whoever reads them.
fn warn_of_difference(settings: &Member, record: &Member) {
    if settings != record {
        tracing::warn!(
            %settings,
            %record,
            "setting cluster.members: it says otherwise of this node than the cluster's record, \
             which counts"
        );
    }
}

/// Ends the process once the others say that this node was removed. Nobody calls a node that was, so
/// it has to ask.
pub(crate) async fn watch_removal(parts: Arc<Parts>, reads: ReadIndex, halt: Halt) {
    let this = parts.this.id;
    loop {
        sleep(ASK_EVERY).await;
        let lonely = reads
            .last_confirmed()
            .is_none_or(|asked_at: tokio::time::Instant| asked_at.elapsed() > LONELY);
        if !lonely {
            continue;
        }
        let others: Vec<Member> = {
            let metrics = parts.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            let nodes = metrics.membership_config.nodes();
            nodes
                .filter(|(id, _)| **id != this)
                .map(|(_, member)| member.clone())
                .collect()
        };
        for member in others {
            if was_removed(&parts, &member).await {
                return halt.fatal(&FatalReason::Removed(this));
            }
        }
    }
}

async fn was_removed(parts: &Parts, member: &Member) -> bool {
    let this = parts.this.id;
    let asking = async {
        let connection = parts.peers.connect(member, Lane::Control).await.ok()?;
        let introduction = proto::Introduction {
            id: this,
            ..proto::Introduction::default()
        };
        let reply = client(connection).introduce(introduction).await.ok()?;
        Some(reply.into_inner())
    };
    let answer = tokio::time::timeout(ANSWER_DEADLINE, asking).await;
    matches!(answer, Ok(Some(answer)) if answer.initialized
        && answer.retired.contains(&this)
        && !answer.members.contains(&this))
}
