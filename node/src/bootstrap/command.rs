//! `vectorgate-node bootstrap`: asks one member after the other, as this node, until one answers.

use std::sync::Arc;
use std::time::Duration;

use platform::Network;
use platform::tls::{Identity, TlsError};
use serde::Serialize;
use tonic::Code;

use crate::consensus::peers::{Lane, Peers, TlsDialer, client};
use crate::consensus::wire::proto::{BootstrapReply, BootstrapRequest, bootstrap_reply};
use crate::settings::{MemberSettings, Settings};

/// How long one member may take: longer than it tries itself.
const DEADLINE: Duration = Duration::from_secs(35);

/// What is shown once.
#[derive(Debug, Serialize)]
pub struct Bootstrapped {
    /// The workspace.
    pub workspace_id: String,
    /// Its environments.
    pub environments: Environments,
}

/// The environments of a new workspace.
#[derive(Debug, Serialize)]
pub struct Environments {
    /// For real traffic.
    pub production: Environment,
    /// For trying things out.
    pub sandbox: Environment,
}

/// An environment and its first key.
#[derive(Serialize)]
pub struct Environment {
    /// Its identifier.
    pub id: String,
    /// The key, which nobody can show again.
    pub api_key: String,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why there is no new workspace.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// There is one already.
    #[error("already bootstrapped")]
    Already,
    /// The name cannot be.
    #[error("{0}")]
    Refused(String),
    /// No member could be reached, or none could do it now.
    #[error("no member could bootstrap the cluster now: {0}")]
    Unavailable(String),
    /// A member may have done it, and its answer with the keys is lost.
    #[error("whether the cluster was bootstrapped is not known: {0}")]
    Unknown(String),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl BootstrapError {
    /// The exit code: 75 where trying again is sensible.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Unavailable(_) => 75,
            Self::Tls(_) => 64,
            Self::Already | Self::Refused(_) | Self::Unknown(_) => 1,
        }
    }
}

/// Asks the members of the settings, this node first.
///
/// # Errors
/// When there is a workspace already, or no member can be asked.
pub async fn run<N: Network>(
    network: N,
    identity: &Identity,
    settings: &Settings,
    workspace_name: &str,
) -> Result<Bootstrapped, BootstrapError> {
    let peers = Peers::new(Arc::new(TlsDialer::new(network, identity)?));
    let mut members: Vec<&MemberSettings> = settings.cluster.members.iter().collect();
    members.sort_by_key(|member| member.id != settings.node.id);
    let mut reasons = Vec::new();
    for member in members {
        match ask(&peers, member, workspace_name).await {
            Err(BootstrapError::Unavailable(reason)) => {
                reasons.push(format!("node {}: {reason}", member.id))
            }
            answer => return answer,
        }
    }
    Err(BootstrapError::Unavailable(reasons.join("; ")))
}

async fn ask(
    peers: &Peers,
    member: &MemberSettings,
    workspace_name: &str,
) -> Result<Bootstrapped, BootstrapError> {
    let connection = peers
        .connect_to(member.id, &member.internal, Lane::Control)
        .await
        .map_err(|error| BootstrapError::Unavailable(error.to_string()))?;
    let request = BootstrapRequest {
        workspace_name: workspace_name.to_owned(),
    };
    let reply = tokio::time::timeout(DEADLINE, client(connection).bootstrap(request))
        .await
        .map_err(|_| BootstrapError::Unknown("no answer in time".to_owned()))?;
    match reply {
        Ok(reply) => shown(reply.into_inner()),
        Err(status) => Err(match status.code() {
            Code::AlreadyExists => BootstrapError::Already,
            Code::InvalidArgument => BootstrapError::Refused(status.message().to_owned()),
            Code::Unavailable => BootstrapError::Unavailable(status.message().to_owned()),
            _ => BootstrapError::Unknown(status.message().to_owned()),
        }),
    }
}

fn shown(reply: BootstrapReply) -> Result<Bootstrapped, BootstrapError> {
    let environment = |given: Option<bootstrap_reply::Environment>| match given {
        Some(given) => Ok(Environment {
            id: given.id,
            api_key: given.api_key,
        }),
        None => Err(BootstrapError::Unknown(
            "the answer lacks an environment".to_owned(),
        )),
    };
    let environments = Environments {
        production: environment(reply.production)?,
        sandbox: environment(reply.sandbox)?,
    };
    Ok(Bootstrapped {
        workspace_id: reply.workspace_id,
        environments,
    })
}
