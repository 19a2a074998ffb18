//! `vectorgate-node backup …` and `vectorgate-node recover`: arguments and output. What they do is the
//! library's.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use node::backup::recover::{Asked, Recovered};
use node::backup::restore::{Ports, Restored};
use node::backup::{
    Backup, BackupError, BackupKey, Manifest, Protection, create, recover, restore,
};
use node::settings::Settings;
use platform::tls::Identity;
use platform::{SystemClock, SystemEntropy, TokioNetwork};
use raft_store::types::Member;
use raft_store::{Options, Storage};

use super::operators::{Shown, show};
use super::{Failure, keys};

const EXITS: &str = "Exit codes: 0 done; 1 refused, and nothing was changed; 2 wrong arguments; 64 wrong settings \
or another key; 65 the backup is damaged, and the file is named, or the data directory is not what it has to be; \
74 a disk refused; 75 no node could do it now: run it again later.";

/// What is done with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupTask {
    /// Makes a backup of all that the cluster has, while it runs, through any of its nodes.
    #[command(after_help = EXITS)]
    Create(Create),
    /// Says whether a backup is whole and what it is of. Needs no settings and no cluster.
    #[command(after_help = EXITS)]
    Verify(Verify),
    /// Restores a backup into the empty data directory of a node that is stopped, which is then the only
    /// voter of a cluster in a new epoch. Start it, and add the others.
    #[command(after_help = EXITS)]
    Restore(Restore),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The folder to write it into: empty, or not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The file with the key that encrypts it: 32 bytes in hexadecimal, mode 0600. Keep it elsewhere.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "plain",
        conflicts_with = "plain"
    )]
    key_file: Option<PathBuf>,
    /// Does not encrypt it. Who reads it sees all configuration and hashes of API keys; private keys stay
    /// sealed under the pepper.
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    shown: Shown,
}

/// Which backup, and by what it is known.
#[derive(Debug, Args)]
struct Which {
    /// The backup's folder.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The file with the key that it was made with.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What `signing-keys list --json` printed: one of these keys has to have signed it.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    which: Which,
    /// The epoch that begins; without it, the one after the backup's. Give a higher one than any edge has
    /// seen where a backup is restored that was restored before.
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
    /// Verifies, and says what would be restored.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

/// Making a cluster of what one member has.
#[derive(Debug, Args)]
#[command(after_help = EXITS)]
pub(crate) struct Recover {
    /// What is done, in so many words: writes that the other members agreed on and this one never heard of
    /// are lost, and the others can never come back.
    #[arg(long, required_unless_present = "dry_run")]
    unsafe_force_new_cluster: bool,
    /// The cluster's identifier, as `signing-keys list` shows it and edges do.
    #[arg(long, value_name = "ID")]
    cluster_id: String,
    /// The epoch that begins; without it, the next one.
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
    /// Looks only, and says what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

/// Verifies a backup, offline.
pub(crate) fn verify(asked: &Verify) -> Result<String, Failure> {
    let key = key(asked.which.key_file.as_ref())?;
    let backup = Backup::open(&asked.which.dir, key.as_ref())?;
    believe(&backup, asked.which.trust.as_ref())?;
    backup.verify()?;
    show(asked.shown, backup.manifest(), |manifest| {
        format!("The backup is whole.\n{}", manifest_text(manifest))
    })
}

/// Makes a backup.
pub(crate) async fn create(
    asked: &Create,
    identity: &Identity,
    settings: &Settings,
) -> Result<String, Failure> {
    let protection = match key(asked.key_file.as_ref())? {
        Some(key) => Protection::Key(key),
        None => Protection::Plain,
    };
    let made = create::create(
        TokioNetwork,
        identity,
        settings,
        &asked.to,
        &protection,
        &SystemEntropy,
    );
    let manifest = made.await?;
    show(asked.shown, &manifest, |manifest| {
        format!("The backup is made.\n{}", manifest_text(manifest))
    })
}

/// Restores a backup.
pub(crate) async fn restore(asked: &Restore, settings: &Settings) -> Result<String, Failure> {
    let key = key(asked.which.key_file.as_ref())?;
    let keys = keys(&settings.security).await?;
    let member = member(settings)?;
    let (backup, mut restored) =
        restore::open(&asked.which.dir, key.as_ref(), &member, asked.epoch, &keys)?;
    believe(&backup, asked.which.trust.as_ref())?;
    if !asked.dry_run {
        let ports = Ports {
            keys: &keys,
            clock: &SystemClock,
            entropy: &SystemEntropy,
        };
        let restoring = restore::restore(
            &backup,
            &restored,
            member,
            storage(settings),
            options(),
            ports,
        );
        restored = restoring.await?;
    }
    show(asked.shown, &restored, restored_text)
}

/// Recovers a cluster.
pub(crate) async fn recover(asked: &Recover, settings: &Settings) -> Result<String, Failure> {
    let wish = Asked {
        cluster_id: asked.cluster_id.clone(),
        epoch: asked.epoch,
        dry_run: asked.dry_run,
    };
    let member = member(settings)?;
    let recovering = recover::recover(
        &wish,
        member,
        storage(settings),
        options(),
        &SystemClock,
        &SystemEntropy,
    );
    let recovered = recovering.await?;
    show(asked.shown, &recovered, recovered_text)
}

fn key(file: Option<&PathBuf>) -> Result<Option<BackupKey>, BackupError> {
    file.map(|file| BackupKey::load(file)).transpose()
}

/// Holds a backup to whom the operator trusts, if he says whom.
fn believe(backup: &Backup, trust: Option<&PathBuf>) -> Result<(), BackupError> {
    let Some(file) = trust else {
        return Ok(());
    };
    let text = std::fs::read(file).map_err(|source| BackupError::File {
        path: file.clone(),
        source,
    })?;
    let trusted =
        serde_json::from_slice(&text).map_err(|_| BackupError::TrustMalformed(file.clone()))?;
    backup.believe(&trusted)
}

fn member(settings: &Settings) -> Result<Member, Failure> {
    let id = settings.node.id;
    let member = settings.initial_members().remove(&id);
    member.ok_or_else(|| Failure::file("cluster.members", format!("node {id} is not among them")))
}

fn storage(settings: &Settings) -> Storage {
    Storage::Rocks {
        dir: settings.node.data_dir.clone(),
    }
}

/// A fault ends what is done, which says so.
fn options() -> Options {
    Options {
        fatal: Arc::new(|fault| tracing::debug!(%fault, "the storage failed")),
    }
}

fn manifest_text(manifest: &Manifest) -> String {
    let said = &manifest.signed.statement;
    let encrypted = if manifest.encryption.is_some() {
        "yes"
    } else {
        "no"
    };
    format!(
        "backup       {}\n\
         cluster      {}, epoch {}\n\
         revision     {}\n\
         taken        {} (Unix seconds), by node {}\n\
         rows         {}, {} bytes, in {} objects\n\
         state        sha256 {}\n\
         signed by    {}, the key that signs in this state\n\
         encrypted    {encrypted}",
        manifest.backup_id,
        said.cluster_id,
        said.epoch,
        said.revision,
        said.taken_at_ms / 1000,
        said.node,
        said.rows,
        said.bytes,
        manifest.objects.len(),
        said.state_sha256,
        manifest.signed.key_id,
    )
}

fn restored_text(restored: &Restored) -> String {
    let begun = if restored.written {
        format!(
            "Restored. Node {} is the only voter of the cluster in epoch {}: start it, then add the other \
             nodes, each with an empty data directory.",
            restored.node, restored.epoch
        )
    } else {
        format!(
            "Nothing was written. Node {} would be the only voter of the cluster in epoch {}.",
            restored.node, restored.epoch
        )
    };
    format!(
        "{begun}\n\
         backup       {}, taken {} (Unix seconds)\n\
         cluster      {}\n\
         revision     {}\n\
         rows         {}\n\
         state        sha256 {}",
        restored.backup_id,
        restored.taken_at,
        restored.cluster_id,
        restored.revision,
        restored.rows,
        restored.state_sha256,
    )
}

fn recovered_text(recovered: &Recovered) -> String {
    let lost: Vec<String> = recovered.lost.iter().map(ToString::to_string).collect();
    let lost = if lost.is_empty() {
        "none".to_owned()
    } else {
        lost.join(", ")
    };
    let begun = if recovered.written {
        "Recovered. Start this node, then add new nodes, under numbers that no node has had."
    } else {
        "Nothing was written; this is what would be done."
    };
    format!(
        "{begun}\n\
         cluster      {}, epoch {}\n\
         revision     {}; what the others agreed on beyond it is lost\n\
         node         {} is the only voter\n\
         gone         {lost}; their numbers are used up",
        recovered.cluster_id, recovered.epoch, recovered.revision, recovered.node,
    )
}
