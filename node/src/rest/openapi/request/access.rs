//! API keys, environments and the workspace.

use utoipa::ToSchema;

use super::super::shape;

/// A new API key.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyCreate {
    r#type: shape::KeyType,
    name: shape::Name,
    scopes: Option<NewScopes>,
    ip_allowlist: Option<shape::IpAllowlist>,
    expires_at: Option<shape::ExpiresAt>,
}

/// What a new key is restricted to. Where one is left out or empty, nothing of its kind is
/// restricted; only restricted keys have the last three.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewScopes {
    /// Names or identifiers, the first being where the key acts by default; the caller's
    /// environment unless given.
    environments: Option<Vec<String>>,
    /// Only these routes, their rules and snapshots.
    routes: Option<Vec<shape::RouteId>>,
    methods: Option<Vec<shape::KeyMethod>>,
    resources: Option<Vec<shape::ResourceScope>>,
}

/// A change of a key.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyUpdate {
    name: Option<shape::Name>,
    ip_allowlist: Option<shape::IpAllowlist>,
}

/// How a key is rolled.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roll {
    /// For how long the text before works as well; 0 ends it at once.
    overlap_s: Option<shape::OverlapSeconds>,
}

/// A new environment.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentCreate {
    name: shape::EnvironmentName,
    kind: shape::EnvironmentKind,
}

/// A change of the workspace.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceUpdate {
    name: Option<shape::Name>,
    api_version: Option<shape::ApiVersion>,
}
