//! Asks the nodes of the settings, this one first, for a backup, and writes what one of them tells.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use platform::tls::Identity;
use platform::{Entropy, Network};
use raft_store::types::Member;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

use super::BackupError;
use super::manifest::Manifest;
use super::source::{Part, Parts};
use super::statement::SignedStatement;
use super::writer::{Protection, Writer};
use crate::consensus::membership::ClusterError;
use crate::consensus::membership::command::OperatorError;
use crate::consensus::peers::{Lane, Peers, TlsDialer, client};
use crate::consensus::wire::proto::{BackupPart, BackupRequest, backup_part};
use crate::settings::Settings;

/// How long a node may take for the next piece.
const PIECE_DEADLINE: Duration = Duration::from_secs(60);

/// After how many bytes progress is told.
const PROGRESS_BYTES: u64 = 64 << 20;

/// Makes a backup in a folder of its own.
///
/// # Errors
/// When no node can, the folder is not empty, or a disk refuses. Nothing is left in the folder then.
pub async fn create<N: Network>(
    network: N,
    identity: &Identity,
    settings: &Settings,
    to: &Path,
    protection: &Protection,
    entropy: &dyn Entropy,
) -> Result<Manifest, BackupError> {
    let dialer = TlsDialer::new(network, identity).map_err(OperatorError::from)?;
    let peers = Peers::new(Arc::new(dialer));
    let mut reasons = Vec::new();
    for member in settings.members_to_ask() {
        match ask(&peers, &member).await {
            Ok(parts) => {
                tracing::info!(node = member.id, "the node tells its rows");
                let mut writer = Writer::begin(to, protection, entropy)?;
                let written = write(&mut writer, parts).await;
                return match written {
                    Ok(signed) => writer.finish(signed),
                    Err(error) => {
                        writer.discard();
                        Err(error)
                    }
                };
            }
            Err(AskError::Refused(reason)) => return Err(BackupError::Refused(reason)),
            Err(AskError::Unavailable(reason)) => {
                reasons.push(format!("node {}: {reason}", member.id));
            }
        }
    }
    let reason = format!(
        "no node of cluster.members could make a backup: {}",
        reasons.join("; ")
    );
    Err(OperatorError::from(ClusterError::Unavailable { reason }).into())
}

enum AskError {
    Unavailable(String),
    Refused(String),
}

async fn ask(peers: &Peers, member: &Member) -> Result<Streaming<BackupPart>, AskError> {
    let unavailable = |reason: &dyn std::fmt::Display| AskError::Unavailable(reason.to_string());
    let connection = peers
        .connect(member, Lane::Checkpoint)
        .await
        .map_err(|error| unavailable(&error))?;
    let mut client = client(connection);
    let asking = client.backup(BackupRequest {});
    match tokio::time::timeout(PIECE_DEADLINE, asking).await {
        Err(_) => Err(unavailable(&"it did not answer in time")),
        Ok(Ok(parts)) => Ok(parts.into_inner()),
        Ok(Err(status)) if status.code() == Code::FailedPrecondition => {
            Err(AskError::Refused(status.message().to_owned()))
        }
        Ok(Err(status)) => Err(unavailable(&status.message())),
    }
}

async fn write(
    writer: &mut Writer,
    mut parts: Streaming<BackupPart>,
) -> Result<SignedStatement, BackupError> {
    let broken = |reason: &str| BackupError::BrokenOff(reason.to_owned());
    let mut told = 0;
    loop {
        let next = tokio::time::timeout(PIECE_DEADLINE, parts.message()).await;
        let next = next.map_err(|_| broken("the node took too long"))?;
        let part = match next {
            Ok(part) => part.and_then(|part| part.part),
            Err(status) if status.code() == Code::FailedPrecondition => {
                return Err(BackupError::Refused(status.message().to_owned()));
            }
            Err(status) => return Err(broken(status.message())),
        };
        match part {
            Some(backup_part::Part::Rows(bytes)) => writer.push(&bytes)?,
            Some(backup_part::Part::Statement(bytes)) => {
                return serde_json::from_slice(&bytes).map_err(|error| broken(&error.to_string()));
            }
            None => return Err(broken("the node ended before it said what it had told")),
        }
        if writer.so_far() - told >= PROGRESS_BYTES {
            told = writer.so_far();
            tracing::info!(mebibytes = told >> 20, "writing");
        }
    }
}

/// Writes what this very node tells.
pub(super) async fn write_own(
    mut parts: Parts,
    to: &Path,
    protection: &Protection,
    entropy: Arc<dyn Entropy>,
) -> Result<Manifest, BackupError> {
    let (to, protection) = (to.to_owned(), protection.clone());
    // Whoever waits for this may be told to stop; the thread that writes then stops, too.
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let _stops = stop.drop_guard();
    let writing = tokio::task::spawn_blocking(move || {
        let mut writer = Writer::begin(&to, &protection, &*entropy)?;
        let mut write = || loop {
            let next = parts.blocking_recv();
            match next.filter(|_| !stopped.is_cancelled()) {
                Some(Ok(Part::Rows(bytes))) => writer.push(&bytes)?,
                Some(Ok(Part::Statement(signed))) => return Ok(*signed),
                Some(Err(error)) => return Err(BackupError::BrokenOff(error.to_string())),
                None => return Err(BackupError::BrokenOff("the node stops".to_owned())),
            }
        };
        let written = write();
        match written {
            Ok(signed) => writer.finish(signed),
            Err(error) => {
                writer.discard();
                Err(error)
            }
        }
    });
    let stopped = |_| BackupError::BrokenOff("the node stops".to_owned());
    writing.await.map_err(stopped)?
}
