//! Source: a key is recognised by its secrets and by nothing else, belongs to environments of its
//! own workspace and kind, and only restricted keys have scopes; environments have one name each.

use super::ensure;
use super::expected::Expected;
use super::state::State;
use crate::model::{ApiKey, EnvironmentKind, KeyKind, Scopes};
use crate::schema::{
    API_KEY_HASHES, API_KEYS, API_KEYS_BY_TIME, EDGE_TOKEN_HASHES, ENVIRONMENT_NAMES, ENVIRONMENTS,
    HASH_PEPPERS, WORKSPACES,
};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&API_KEY_HASHES);
    expected.cover(&API_KEYS_BY_TIME);
    expected.cover(&ENVIRONMENT_NAMES);
    for ((id,), environment) in ENVIRONMENTS.walk(&state.rows, ENVIRONMENTS.all()) {
        let workspace = &environment.workspace_id;
        expected.add(&ENVIRONMENT_NAMES, (workspace, &environment.name), &id)?;
        ensure(
            id == environment.id && WORKSPACES.has(&state.rows, (workspace,)),
            || format!("environment {id} is elsewhere"),
        )?;
    }
    for ((id,), key) in API_KEYS.walk(&state.rows, API_KEYS.all()) {
        ensure(id == key.id, || format!("key {id} is elsewhere"))?;
        expected.add(
            &API_KEYS_BY_TIME,
            (&key.workspace_id, &key.created_at, &id),
            &(),
        )?;
        for hash in key.hashes() {
            expected.add(&API_KEY_HASHES, (hash,), &id)?;
        }
        check_scopes(&key)?;
        check_environments(state, &key)?;
    }
    for ((hash,), _) in HASH_PEPPERS.walk(&state.rows, HASH_PEPPERS.all()) {
        let is_known = API_KEY_HASHES.has(&state.rows, (&hash,))
            || EDGE_TOKEN_HASHES.has(&state.rows, (&hash,));
        ensure(is_known, || {
            "a pepper is named for a hash of nothing".to_owned()
        })?;
    }
    Ok(())
}

fn check_scopes(key: &ApiKey) -> Result<(), String> {
    let holds = match key.kind {
        KeyKind::Restricted => key.scopes.environments.contains(&key.environment_id),
        KeyKind::Live | KeyKind::Test => key.scopes == Scopes::default(),
    };
    ensure(holds, || {
        format!("key {} has scopes of another kind", key.id)
    })
}

fn check_environments(state: &State, key: &ApiKey) -> Result<(), String> {
    for id in key.environments() {
        let environment = ENVIRONMENTS
            .get(&state.rows, (id,))
            .ok_or_else(|| format!("key {} has no environment {id}", key.id))?;
        let fits = match key.kind {
            KeyKind::Live => environment.kind == EnvironmentKind::Live,
            KeyKind::Test => environment.kind == EnvironmentKind::Test,
            KeyKind::Restricted => true,
        };
        ensure(fits && environment.workspace_id == key.workspace_id, || {
            format!("key {} is for an environment that is not its own", key.id)
        })?;
    }
    Ok(())
}
