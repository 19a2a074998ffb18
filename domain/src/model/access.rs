//! Tenants: workspaces with their plans, and environments. Their keys are in `api_key`.

use serde::{Deserialize, Serialize};

use super::api_version::ApiVersion;
use crate::id::{EnvironmentId, OrgId, WorkspaceId};
use crate::time::Timestamp;

/// A commercial plan, which sets limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plan {
    /// Three routes.
    Free,
    /// 25 routes.
    Starter,
    /// 250 routes.
    Growth,
    /// No route limit.
    Enterprise,
}

impl Plan {
    /// How many routes that are not archived an environment may have; `None` is no limit.
    #[must_use]
    pub fn routes_max(self) -> Option<u64> {
        match self {
            Self::Free => Some(3),
            Self::Starter => Some(25),
            Self::Growth => Some(250),
            Self::Enterprise => None,
        }
    }

    /// How many environments a workspace may have. Up to Growth they are those of bootstrap; the
    /// largest number keeps a list of all of them one small page.
    #[must_use]
    pub fn environments_max(self) -> u64 {
        match self {
            Self::Free | Self::Starter => 2,
            Self::Growth => 10,
            Self::Enterprise => 100,
        }
    }

    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Growth => "growth",
            Self::Enterprise => "enterprise",
        }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its identifier.
    pub id: WorkspaceId,
    /// The organisation that owns it.
    pub org_id: OrgId,
    /// A human-readable label.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// The release of the API that requests get which do not name one.
    pub api_version: ApiVersion,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// Whether an environment serves real traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvironmentKind {
    /// Production traffic; live keys.
    Live,
    /// A sandbox; test keys.
    Test,
}

impl EnvironmentKind {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// A separate object space of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its identifier.
    pub id: EnvironmentId,
    /// The workspace that it is part of.
    pub workspace_id: WorkspaceId,
    /// Its name, unique in the workspace (`production`, `sandbox`).
    pub name: String,
    /// Its kind.
    pub kind: EnvironmentKind,
    /// When it was made.
    pub created_at: Timestamp,
}
