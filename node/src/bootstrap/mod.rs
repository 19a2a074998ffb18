//! The first workspace: made once per cluster, by whoever holds a node's certificate. Its two keys
//! are drawn here, shown in the answer, and kept nowhere.

pub mod command;

use std::fmt;
use std::sync::Arc;

use domain::command::{Bootstrap, Command, NewEnvironment, Origin, Stamped};
use domain::id::{ApiKeyId, EnvironmentId, OrgId, RequestId, WorkspaceId};
use domain::model::{KeyKind, Plan};
use domain::outcome::Outcome;
use domain::query;
use domain::rejection::Rejection;
use platform::{Clock, Entropy};
use tonic::Status;

use crate::consensus::wire::proto::{BootstrapReply, bootstrap_reply};
use crate::control_plane::{Consistency, ControlPlane, ProposeError};
use crate::keys::{KeyRing, Secret};
use crate::{rest, sealing, signing};

/// The longest name of a workspace, as of everything else that people name.
const NAME_CHARS_MAX: usize = 200;

/// How often an unknown outcome is looked into before it is reported.
const ATTEMPTS_MAX: usize = 3;

/// Makes the first workspace. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Bootstrapper {
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Bootstrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bootstrapper").finish_non_exhaustive()
    }
}

impl Bootstrapper {
    /// Proposes the first workspace and answers with its keys.
    ///
    /// The keys exist in this call alone, so an unknown outcome is not the end of it: the command
    /// is proposed again as it is. It can take effect once; if a workspace then exists, its
    /// identifier says whether it is this one.
    pub(crate) async fn bootstrap(&self, workspace_name: String) -> Result<BootstrapReply, Status> {
        if workspace_name.is_empty() || workspace_name.chars().count() > NAME_CHARS_MAX {
            return Err(Status::invalid_argument(
                "a workspace's name has 1 to 200 characters",
            ));
        }
        self.found().await?;
        let (command, reply) = self.draw(workspace_name);
        let id = command.workspace_id.clone();
        let stamped = self.stamp(Command::Bootstrap(Box::new(command)));
        let mut last = Status::unavailable("not tried");
        for _ in 0..ATTEMPTS_MAX {
            match self.control.propose(stamped.clone()).await {
                Ok(applied) => {
                    return match applied.reply {
                        Ok(Outcome::Bootstrapped { .. }) => Ok(reply),
                        Ok(other) => Err(Status::internal(format!(
                            "an answer to something else: {other:?}"
                        ))),
                        Err(Rejection::AlreadyBootstrapped) if self.exists(&id).await? => Ok(reply),
                        Err(rejection) => Err(Status::already_exists(rejection.to_string())),
                    };
                }
                Err(ProposeError::Unavailable { reason, .. }) => {
                    return Err(Status::unavailable(reason));
                }
                Err(ProposeError::StorageFull { reason }) => {
                    return Err(Status::resource_exhausted(reason));
                }
                Err(ProposeError::OutcomeUnknown { reason }) => last = Status::unknown(reason),
            }
        }
        Err(last)
    }

    /// Has the cluster begin to sign before there is anything to be signed. Asking twice does no harm.
    async fn found(&self) -> Result<(), Status> {
        let active = self.control.read_local(|view| sealing::active(view));
        let (under, _) = active.map_err(|error| Status::unavailable(error.to_string()))?;
        let sealed = (&self.keys, under);
        let founding = signing::founding(sealed, self.clock.now(), &*self.entropy)
            .map_err(|error| Status::internal(error.to_string()))?;
        match self.control.propose(self.stamp(founding)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    async fn exists(&self, id: &WorkspaceId) -> Result<bool, Status> {
        let found = self
            .control
            .read(Consistency::Linearizable, |view| {
                query::workspace(view, id).is_some()
            })
            .await;
        found
            .map(|(found, _)| found)
            .map_err(|error| Status::unknown(error.to_string()))
    }

    fn stamp(&self, command: Command) -> Stamped {
        let at = self.clock.now();
        Stamped {
            at,
            request_id: RequestId::new(self.entropy.seed(at)),
            idempotency: None,
            command,
            origin: Origin::default(),
            precondition: None,
        }
    }

    fn draw(&self, workspace_name: String) -> (Bootstrap, BootstrapReply) {
        let seed = || self.entropy.seed(self.clock.now());
        let (production, production_key) = self.environment(KeyKind::Live);
        let (sandbox, sandbox_key) = self.environment(KeyKind::Test);
        let workspace_id = WorkspaceId::new(seed());
        let reply = BootstrapReply {
            workspace_id: workspace_id.to_string(),
            production: Some(shown(&production, &production_key)),
            sandbox: Some(shown(&sandbox, &sandbox_key)),
        };
        let command = Bootstrap {
            org_id: OrgId::new(seed()),
            workspace_id,
            workspace_name,
            plan: Plan::Enterprise,
            api_version: rest::newest_api_version(),
            production,
            sandbox,
            pepper_check: self.keys.pepper_check(),
        };
        (command, reply)
    }

    fn environment(&self, kind: KeyKind) -> (NewEnvironment, Secret) {
        let seed = || self.entropy.seed(self.clock.now());
        let (secret, key_hash) = self.keys.mint(kind, &*self.entropy);
        let environment = NewEnvironment {
            id: EnvironmentId::new(seed()),
            key_id: ApiKeyId::new(seed()),
            key_hash,
        };
        (environment, secret)
    }
}

fn shown(environment: &NewEnvironment, key: &Secret) -> bootstrap_reply::Environment {
    bootstrap_reply::Environment {
        id: environment.id.to_string(),
        api_key: key.reveal().to_owned(),
    }
}
