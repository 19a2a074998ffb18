//! Who may do what: workspaces, environments and API keys. Secrets never come here; a key is
//! known by its keyed hash alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, EnvironmentId, OrgId, WorkspaceId};
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
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether an environment serves real traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvironmentKind {
    /// Production traffic; live keys.
    Live,
    /// A sandbox; test keys.
    Test,
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

/// The kind of a secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// `vg_live_sk_`: full access to a live environment.
    Live,
    /// `vg_test_sk_`: full access to a test environment.
    Test,
}

/// HMAC-SHA-256 of a key's whole text under the cluster's pepper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// An API key as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public identifier.
    pub id: ApiKeyId,
    /// The workspace it belongs to.
    pub workspace_id: WorkspaceId,
    /// The environment it is bound to.
    pub environment_id: EnvironmentId,
    /// Its kind.
    pub kind: KeyKind,
    /// A human-readable label.
    pub name: String,
    /// By what it is recognised.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}
