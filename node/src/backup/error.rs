//! What can be wrong with a backup, and with making or restoring one.

use std::path::{Path, PathBuf};

use platform::secret_file::SecretFileError;
use raft_store::{FaultKind, OpenError, StorageFault, SuccessionError};

use crate::consensus::membership::command::OperatorError;

/// Why something was not done with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("cannot use {}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of a backup is not what was written.
    #[error("{} is damaged: {what}", .file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The backup is of another release's format.
    #[error("{} has format {found}, which this release does not know", .file.display())]
    Format {
        /// The manifest.
        file: PathBuf,
        /// What it says.
        found: u32,
    },
    /// Nobody vouches for the backup whom the operator trusts.
    #[error(
        "the backup says that it is of cluster {cluster}, signed by key {key}, and --trust names no such key \
         that is still trusted"
    )]
    Untrusted {
        /// The cluster that it says.
        cluster: String,
        /// The key that signed.
        key: String,
    },
    /// What says whom to trust cannot be understood.
    #[error("--trust: {} is not what signing-keys list --json prints", .0.display())]
    TrustMalformed(PathBuf),
    /// The key file cannot be used.
    #[error("--key-file")]
    KeyFile(#[from] SecretFileError),
    /// It holds something else.
    #[error("--key-file: {} must hold 32 bytes in hexadecimal: openssl rand -hex 32", .0.display())]
    KeyMalformed(PathBuf),
    /// The backup is encrypted.
    #[error("the backup is encrypted: give the key it was made with, --key-file FILE")]
    KeyMissing,
    /// It is not, and should be.
    #[error(
        "the backup is not encrypted, although a key was given: somebody may have put it in the place of \
         one that was; leave --key-file away if it is the one that you mean"
    )]
    NotEncrypted,
    /// It was made with another key.
    #[error("--key-file: the backup was made with another key")]
    WrongKey,
    /// It was refused; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The pepper is another one.
    #[error("security.pepper_file: {0}")]
    Pepper(&'static str),
    /// Secrets in the backup are sealed under keys that this node does not have.
    #[error(
        "security.kek_file: secrets in the backup are sealed under {0}, which this node does not have; give it the keys of that cluster"
    )]
    Keks(String),
    /// The settings do not fit.
    #[error("setting {field}: {reason}")]
    Settings {
        /// Which.
        field: &'static str,
        /// Why not.
        reason: String,
    },
    /// No node made one.
    #[error(transparent)]
    Cluster(#[from] OperatorError),
    /// A node began to tell its rows and did not end. What was written of them is no backup.
    #[error("the backup broke off: {0}")]
    BrokenOff(String),
    /// A disk does not go on.
    #[error(transparent)]
    Succession(Box<SuccessionError>),
}

impl From<SuccessionError> for BackupError {
    fn from(error: SuccessionError) -> Self {
        Self::Succession(Box::new(error))
    }
}

impl From<StorageFault> for BackupError {
    fn from(fault: StorageFault) -> Self {
        SuccessionError::from(fault).into()
    }
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        SuccessionError::from(error).into()
    }
}

impl BackupError {
    /// The exit code: 1 where it was refused, 64 for arguments, settings and keys, 65 for a backup or data
    /// that is not what it has to be, 74 where a disk refused, 75 where trying again is sensible.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::File { .. } => 74,
            Self::Damaged { .. } | Self::Format { .. } | Self::Untrusted { .. } => 65,
            Self::TrustMalformed(_)
            | Self::KeyFile(_)
            | Self::KeyMalformed(_)
            | Self::KeyMissing
            | Self::NotEncrypted
            | Self::WrongKey
            | Self::Pepper(_)
            | Self::Keks(_)
            | Self::Settings { .. } => 64,
            Self::Refused(_) => 1,
            Self::Cluster(error) => error.exit_code(),
            Self::BrokenOff(_) => 75,
            Self::Succession(error) => match &**error {
                SuccessionError::Open(OpenError::NotEmpty { .. }) => 1,
                SuccessionError::Open(error) => error.exit_code(),
                SuccessionError::Storage(fault) if matches!(fault.kind, FaultKind::Io(_)) => 74,
                SuccessionError::Storage(_) => 65,
                SuccessionError::Rejected(_) => 1,
            },
        }
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(super) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            what: what.into(),
        }
    }
}
