//! Workspaces, environments and keys.

use crate::event::Bootstrapped;
use crate::model::{ApiKey, Environment, KeyHash, Workspace};
use crate::rows::Rows;
use crate::schema::{
    API_KEY_HASHES, API_KEYS, API_KEYS_BY_TIME, BOOTSTRAP, ENVIRONMENT_NAMES, ENVIRONMENTS,
    HASH_PEPPERS, WORKSPACES,
};

pub(super) fn bootstrapped(rows: &mut impl Rows, made: &Bootstrapped) {
    BOOTSTRAP.put(rows, (), &made.record);
    workspace_changed(rows, &made.workspace);
    for environment in &made.environments {
        environment_created(rows, environment);
    }
    for key in &made.api_keys {
        key_created(rows, key);
    }
}

pub(super) fn environment_created(rows: &mut impl Rows, environment: &Environment) {
    ENVIRONMENTS.put(rows, (&environment.id,), environment);
    ENVIRONMENT_NAMES.put(
        rows,
        (&environment.workspace_id, &environment.name),
        &environment.id,
    );
}

pub(super) fn workspace_changed(rows: &mut impl Rows, workspace: &Workspace) {
    WORKSPACES.put(rows, (&workspace.id,), workspace);
}

pub(super) fn key_created(rows: &mut impl Rows, key: &ApiKey) {
    API_KEYS_BY_TIME.put(rows, (&key.workspace_id, &key.created_at, &key.id), &());
    key_changed(rows, &[], key);
}

pub(super) fn key_changed(rows: &mut impl Rows, before: &[KeyHash], after: &ApiKey) {
    for hash in before {
        if !after.hashes().any(|kept| kept == hash) {
            API_KEY_HASHES.delete(rows, (hash,));
            HASH_PEPPERS.delete(rows, (hash,));
        }
    }
    for hash in after.hashes() {
        if !before.contains(hash) {
            API_KEY_HASHES.put(rows, (hash,), &after.id);
        }
    }
    API_KEYS.put(rows, (&after.id,), after);
}
