//! Makes the disk of a new cluster's first node of a backup. The node is stopped and its data directory
//! empty; the backup is verified before anything is written and once more while it is. What is then on the
//! disk is a cluster of one voter, in an epoch of its own, so that edges follow it although what they have
//! had a higher version, and nodes of before do not talk with it.

use std::path::Path;

use domain::command::{ChangeCluster, Command, Origin, Stamped};
use domain::id::RequestId;
use domain::machine::state_hash;
use domain::model::{ClusterChange, Epoch, MemberId};
use domain::query;
use domain::rows::Row;
use domain::schema::RETIRED_MEMBERS;
use domain::time::Revision;
use platform::{Clock, Entropy};
use raft_store::types::Member;
use raft_store::{Heir, Options, Restoration, Storage};
use serde::Serialize;

use super::BackupError;
use super::reader::{Backup, Essence};
use crate::keys::KeyRing;
use crate::sealing::Census;
use crate::signing;

/// How many rows are written at a time.
const ROWS_AT_A_TIME: usize = 1024;

/// What a restore needs of the process.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The cluster's pepper.
    pub keys: &'a KeyRing,
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
}

/// What is restored, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The backup.
    pub backup_id: String,
    /// The cluster whose it is.
    pub cluster_id: String,
    /// The revision up to which it goes.
    pub revision: u64,
    /// How many rows it has.
    pub rows: u64,
    /// The hash of the state, which the restored one has before the new epoch begins.
    pub state_sha256: String,
    /// When it was taken, in Unix seconds.
    pub taken_at: u64,
    /// The epoch that begins.
    pub epoch: u64,
    /// The node that is the only voter.
    pub node: u64,
    /// Whether anything was written.
    pub written: bool,
}

/// What restoring a backup as this member comes to. Nothing is written.
///
/// # Errors
/// When the backup is damaged, or does not fit to the settings.
pub fn plan(
    backup: &Backup,
    member: &Member,
    epoch: Option<u64>,
    keys: &KeyRing,
) -> Result<Restored, BackupError> {
    let essence = backup.verify()?;
    check_pepper(&essence, keys)?;
    if RETIRED_MEMBERS.has(essence.rows(), (&MemberId(member.id),)) {
        return Err(BackupError::Settings {
            field: "node.id",
            reason: format!(
                "the number {} was used by a node that was removed, and is never used again; give this \
                 node another one, and a certificate for it",
                member.id
            ),
        });
    }
    let manifest = backup.manifest();
    let statement = &manifest.signed.statement;
    let epoch = epoch.unwrap_or(statement.epoch + 1);
    if epoch <= statement.epoch {
        return Err(BackupError::Refused(format!(
            "--epoch: the backup is of epoch {}, and {epoch} does not come after it",
            statement.epoch
        )));
    }
    Ok(Restored {
        backup_id: manifest.backup_id.clone(),
        cluster_id: statement.cluster_id.clone(),
        revision: statement.revision,
        rows: statement.rows,
        state_sha256: statement.state_sha256.clone(),
        taken_at: statement.taken_at_ms / 1000,
        epoch,
        node: member.id,
        written: false,
    })
}

/// What is sealed in the backup opens with this pepper, and keys are hashed under it.
fn check_pepper(essence: &Essence, keys: &KeyRing) -> Result<(), BackupError> {
    let other = "the backup's cluster has another pepper: its API keys would not be recognised, and its \
                 sealed secrets do not open; take the pepper file of that cluster";
    if keys.follow(essence.rows()).is_err() {
        return Err(BackupError::Pepper(other));
    }
    check_keks(&Census::of(essence.rows()), keys)?;
    match essence.signing() {
        Some(signing) if signing::open(keys, &signing).is_ok() => Ok(()),
        _ => Err(BackupError::Pepper(
            "the signing key in the backup does not open: it was sealed with other secrets than this \
             node has",
        )),
    }
}

/// This node has every key that these secrets are sealed under.
fn check_keks(census: &Census, keys: &KeyRing) -> Result<(), BackupError> {
    let missing = census.missing(keys.keks()).into_iter();
    let missing: Vec<String> = missing.map(|id| id.to_string()).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(BackupError::Keks(missing.join(", ")))
    }
}

/// Restores a backup that was [planned](plan).
///
/// # Errors
/// When the disk is not empty or refuses, or the backup is damaged meanwhile. No node starts on the disk
/// then, and it can be restored again.
pub async fn restore(
    backup: &Backup,
    plan: &Restored,
    member: Member,
    storage: Storage,
    options: Options,
    ports: Ports<'_>,
) -> Result<Restored, BackupError> {
    let restoration = Restoration::begin(storage, options)?;
    backup.read(|rows: &[Row]| {
        for some in rows.chunks(ROWS_AT_A_TIME) {
            restoration.put(some)?;
        }
        Ok(())
    })?;
    let hash = restoration.reader().read(|view| state_hash(view))?;
    if hex::encode(hash) != plan.state_sha256 {
        return Err(BackupError::Refused(
            "what was written reads back as something else; the disk may be broken".to_owned(),
        ));
    }
    let census = restoration.reader().read(|view| Census::of(view))?;
    check_keks(&census, ports.keys)?;
    let change = ClusterChange::Restored {
        epoch: Epoch(plan.epoch),
        backup: plan.backup_id.clone(),
        revision: Revision(plan.revision),
    };
    let stamped = stamped(change, "backup restore", ports.clock, ports.entropy);
    let heir = Heir { member, stamped };
    restoration.finish(Revision(plan.revision), heir).await?;
    Ok(Restored {
        written: true,
        ..plan.clone()
    })
}

/// The entry that begins an epoch, as asked for by a subcommand.
pub(super) fn stamped(
    change: ClusterChange,
    subcommand: &str,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Stamped {
    let at = clock.now();
    Stamped {
        at,
        request_id: RequestId::new(entropy.seed(at)),
        idempotency: None,
        command: Command::ChangeCluster(ChangeCluster { change }),
        origin: Origin {
            method: "CLI".to_owned(),
            path: subcommand.to_owned(),
            address: None,
        },
        precondition: None,
    }
}

/// Opens a backup, and plans to restore it.
///
/// # Errors
/// As [`Backup::open`] and [`plan`].
pub fn open(
    path: &Path,
    key: Option<&super::BackupKey>,
    member: &Member,
    epoch: Option<u64>,
    keys: &KeyRing,
) -> Result<(Backup, Restored), BackupError> {
    let backup = Backup::open(path, key)?;
    let restored = plan(&backup, member, epoch, keys)?;
    Ok((backup, restored))
}

/// The epoch of a state, and its cluster.
pub(super) fn standing(view: &dyn domain::rows::View) -> Option<(String, Epoch)> {
    let signing = query::signing(view)?;
    Some((signing.cluster_id.to_string(), signing.epoch))
}
