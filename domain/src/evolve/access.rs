//! Workspaces, environments and keys.

use crate::event::Bootstrapped;
use crate::model::ApiKey;
use crate::rows::Rows;
use crate::schema::{
    API_KEY_HASHES, API_KEYS, BOOTSTRAP, ENVIRONMENT_NAMES, ENVIRONMENTS, WORKSPACES,
};

pub(super) fn bootstrapped(rows: &mut impl Rows, made: &Bootstrapped) {
    BOOTSTRAP.put(rows, (), &made.record);
    WORKSPACES.put(rows, (&made.workspace.id,), &made.workspace);
    for environment in &made.environments {
        ENVIRONMENTS.put(rows, (&environment.id,), environment);
        ENVIRONMENT_NAMES.put(
            rows,
            (&environment.workspace_id, &environment.name),
            &environment.id,
        );
    }
    for key in &made.api_keys {
        key_changed(rows, key);
        API_KEY_HASHES.put(rows, (&key.hash,), &key.id);
    }
}

pub(super) fn key_changed(rows: &mut impl Rows, key: &ApiKey) {
    API_KEYS.put(rows, (&key.id,), key);
}
