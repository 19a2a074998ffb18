//! Why a node does not start, and the exit code that says so to its supervisor.

use std::net::SocketAddr;

use platform::tls::TlsError;
use raft_store::OpenError;

use crate::backup::BackupError;
use crate::consensus::ConsensusError;
use crate::publisher;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing says where the node is reached.
    #[error(
        "setting node.id: {id} is not in cluster.members, which has to say where this node is reached"
    )]
    NotAMember {
        /// Its number.
        id: u64,
    },
    /// The data is damaged or cannot be read.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The certificates do not work.
    #[error("setting tls: {0}")]
    Tls(#[from] TlsError),
    /// Consensus refuses.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// A socket is not to be had.
    #[error("setting {field}: cannot listen on {on}")]
    Listen {
        /// The setting.
        field: &'static str,
        /// Where.
        on: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Edges cannot be served.
    #[error("setting publisher.listen: {0}")]
    Publisher(#[from] publisher::StartError),
    /// Webhooks cannot be sent as the settings say.
    #[error(transparent)]
    Webhooks(Box<dyn std::error::Error + Send + Sync>),
    /// Backups cannot be made as the settings say.
    #[error("setting backup")]
    Backup(#[from] BackupError),
    /// The process is ending.
    #[error("the start was aborted")]
    Aborted,
}

impl StartError {
    /// The exit code: 64 for settings, 65 for data, 71 for sockets, 74 for the disk.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotAMember { .. } | Self::Tls(_) | Self::Webhooks(_) => 64,
            Self::Backup(error) => error.exit_code(),
            Self::Consensus(ConsensusError::Settings(_)) => 64,
            Self::Consensus(ConsensusError::Secrets(reason)) => reason.exit_code(),
            Self::Consensus(ConsensusError::Raft(_)) => 65,
            Self::Storage(error) => error.exit_code(),
            Self::Publisher(publisher::StartError::Tls(_)) => 64,
            Self::Listen { .. } | Self::Publisher(_) => 71,
            Self::Aborted => 70,
        }
    }
}
