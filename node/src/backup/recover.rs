//! Makes a cluster of one of what a stopped member has, where most voters are gone for good. What the others
//! agreed on and this one never heard of is lost; what it has and the others may not have agreed on stays.
//! The new epoch is what keeps the others out if they come back: their calls are refused, their numbers are
//! used up, and edges that have seen the new epoch follow nothing of theirs.

use domain::model::{ClusterChange, Epoch, MemberId};
use platform::{Clock, Entropy};
use raft_store::types::Member;
use raft_store::{Heir, Options, Recovery, Storage, SuccessionError};
use serde::Serialize;

use super::BackupError;
use super::restore::{stamped, standing};

/// What was recovered, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The cluster.
    pub cluster_id: String,
    /// The last entry that this node has.
    pub revision: u64,
    /// The epoch that begins.
    pub epoch: u64,
    /// The node that is the only voter.
    pub node: u64,
    /// The members that are gone for good, as far as this node has applied who they are.
    pub lost: Vec<u64>,
    /// Whether anything was written.
    pub written: bool,
}

/// What an operator says.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The cluster's identifier, typed by whoever knows what he does.
    pub cluster_id: String,
    /// The epoch, if another one than the next.
    pub epoch: Option<u64>,
    /// Whether to look only.
    pub dry_run: bool,
}

/// Recovers the cluster with what this disk has.
///
/// # Errors
/// When the disk does not open, is another cluster's, or refuses.
pub async fn recover(
    asked: &Asked,
    member: Member,
    storage: Storage,
    options: Options,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Recovered, BackupError> {
    let mut recovery = Recovery::open(storage, options).await?;
    let found = recovery.reader().read(standing)?;
    let Some((cluster_id, before)) = found else {
        recovery.close()?;
        return Err(BackupError::Refused(
            "this node's cluster has never had a workspace: empty the data directories and form it anew"
                .to_owned(),
        ));
    };
    let epoch = asked.epoch.unwrap_or(before.0 + 1);
    let refusal = if cluster_id != asked.cluster_id {
        Some(format!(
            "--cluster-id: this node is of another cluster, {cluster_id}"
        ))
    } else if epoch <= before.0 {
        Some(format!(
            "--epoch: the epoch is {}, and {epoch} does not come after it",
            before.0
        ))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        recovery.close()?;
        return Err(BackupError::Refused(refusal));
    }
    if asked.dry_run {
        let recovered = Recovered {
            cluster_id,
            revision: recovery.last().0,
            epoch,
            node: member.id,
            lost: lost(&recovery, member.id),
            written: false,
        };
        recovery.close()?;
        return Ok(recovered);
    }
    recovery.begin().await?;
    let lost = lost(&recovery, member.id);
    let change = ClusterChange::Recovered {
        epoch: Epoch(epoch),
        member: MemberId(member.id),
        lost: lost.iter().copied().map(MemberId).collect(),
    };
    let recovered = Recovered {
        cluster_id,
        revision: recovery.last().0,
        epoch,
        node: member.id,
        lost,
        written: true,
    };
    let heir = Heir {
        stamped: stamped(change, "recover", clock, entropy),
        member,
    };
    match recovery.finish(heir).await {
        Ok(_) => Ok(recovered),
        Err(SuccessionError::Rejected(rejection)) => Err(BackupError::Refused(format!(
            "the state refuses to go on: {rejection:?}"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn lost(recovery: &Recovery, this: u64) -> Vec<u64> {
    let mut lost = recovery.members();
    lost.retain(|id| *id != this);
    lost
}
