//! A second workspace in the same cluster, which bootstrap does not make.

use domain::id::{ApiKeyId, EnvironmentId, OrgId, Seed, WorkspaceId};
use domain::model::{
    ApiKey, ApiVersion, Environment, EnvironmentKind, KeyHash, KeyKind, Plan, Scopes, Workspace,
};
use domain::rows::MemoryRows;
use domain::schema::{
    API_KEY_HASHES, API_KEYS, API_KEYS_BY_TIME, ENVIRONMENT_NAMES, ENVIRONMENTS, WORKSPACES,
};
use domain::time::Timestamp;

use super::support::START_MS;

pub(super) fn settle(rows: &mut MemoryRows, seed: &dyn Fn() -> Seed, hash: &KeyHash) {
    let (workspace_id, environment_id, key_id) = (
        WorkspaceId::new(seed()),
        EnvironmentId::new(seed()),
        ApiKeyId::new(seed()),
    );
    let created_at = Timestamp(START_MS);
    let workspace = Workspace {
        id: workspace_id.clone(),
        org_id: OrgId::new(seed()),
        name: "strangers".to_owned(),
        plan: Plan::Free,
        api_version: ApiVersion("2026-01-14".to_owned()),
        created_at,
        updated_at: None,
    };
    let environment = Environment {
        id: environment_id.clone(),
        workspace_id: workspace_id.clone(),
        name: "production".to_owned(),
        kind: EnvironmentKind::Live,
        created_at,
    };
    let key = ApiKey {
        id: key_id.clone(),
        workspace_id: workspace_id.clone(),
        environment_id: environment_id.clone(),
        kind: KeyKind::Live,
        name: "theirs".to_owned(),
        hash: *hash,
        created_at,
        revoked_at: None,
        scopes: Scopes::default(),
        ip_allowlist: Default::default(),
        expires_at: None,
        created_by: None,
        updated_at: None,
        salt: None,
        previous: None,
        last_used_at: None,
    };
    WORKSPACES.put(rows, (&workspace_id,), &workspace);
    ENVIRONMENTS.put(rows, (&environment_id,), &environment);
    API_KEYS.put(rows, (&key_id,), &key);
    API_KEY_HASHES.put(rows, (hash,), &key_id);
    API_KEYS_BY_TIME.put(rows, (&workspace_id, &created_at, &key_id), &());
    let name = environment.name.clone();
    ENVIRONMENT_NAMES.put(rows, (&workspace_id, &name), &environment_id);
}
