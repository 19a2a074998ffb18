//! Workspaces, environments, keys, the log's time and what was answered.

use crate::answers;
use crate::id::{ApiKeyId, EnvironmentId, WorkspaceId};
use crate::model::{ApiKey, Environment, IdempotencyKey, KeyHash, Workspace};
use crate::outcome::Applied;
use crate::query::page::{Page, merged};
use crate::rows::View;
use crate::schema::{
    ANSWERS, API_KEY_HASHES, API_KEYS, API_KEYS_BY_TIME, BOOTSTRAP, CLOCK, ENVIRONMENT_NAMES,
    ENVIRONMENTS, LogClock, OBJECT_COUNTS, ObjectCounts, ROUTE_COUNTS, WORKSPACES,
};
use crate::table::{Span, after as key_after};
use crate::time::Timestamp;

/// Whether the first workspace was made.
pub fn is_bootstrapped(view: &(impl View + ?Sized)) -> bool {
    BOOTSTRAP.has(view, ())
}

/// What recognises the pepper that keys are hashed with.
pub fn pepper_check(view: &(impl View + ?Sized)) -> Option<KeyHash> {
    BOOTSTRAP.get(view, ()).map(|record| record.pepper_check)
}

/// The time of the last applied entry.
pub fn log_time(view: &(impl View + ?Sized)) -> Timestamp {
    CLOCK.get(view, ()).unwrap_or(LogClock::START).at
}

/// A workspace.
pub fn workspace(view: &(impl View + ?Sized), id: &WorkspaceId) -> Option<Workspace> {
    WORKSPACES.get(view, (id,))
}

/// An environment.
pub fn environment(view: &(impl View + ?Sized), id: &EnvironmentId) -> Option<Environment> {
    ENVIRONMENTS.get(view, (id,))
}

/// An environment of the first workspace, by its name.
pub fn environment_by_name(view: &(impl View + ?Sized), name: &str) -> Option<Environment> {
    let first = BOOTSTRAP.get(view, ())?.workspace_id;
    let id = ENVIRONMENT_NAMES.get(view, (&first, &name.to_owned()))?;
    environment(view, &id)
}

/// All environments: a handful per workspace.
pub fn environments(view: &(impl View + ?Sized)) -> Vec<Environment> {
    ENVIRONMENTS
        .walk(view, ENVIRONMENTS.all())
        .map(|(_, environment)| environment)
        .collect()
}

/// A key by its public identifier.
pub fn api_key(view: &(impl View + ?Sized), id: &ApiKeyId) -> Option<ApiKey> {
    API_KEYS.get(view, (id,))
}

/// A key by the keyed hash of its secret; revoked ones too.
pub fn api_key_by_hash(view: &(impl View + ?Sized), hash: &KeyHash) -> Option<ApiKey> {
    let id = API_KEY_HASHES.get(view, (hash,))?;
    api_key(view, &id)
}

/// All environments of a workspace by name: a plan allows few enough for one page.
pub fn workspace_environments(
    view: &(impl View + ?Sized),
    workspace: &WorkspaceId,
) -> Vec<Environment> {
    let names = ENVIRONMENT_NAMES.under((workspace,));
    let ids: Vec<_> = ENVIRONMENT_NAMES.walk(view, names).collect();
    ids.iter()
        .filter_map(|(_, id)| environment(view, id))
        .collect()
}

/// How much an environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Routes that are not archived.
    pub routes: u64,
    /// What else is counted.
    pub objects: ObjectCounts,
}

/// How much an environment holds: two look-ups, however much it is.
pub fn usage(view: &(impl View + ?Sized), environment: &EnvironmentId) -> Usage {
    Usage {
        routes: ROUTE_COUNTS.get(view, (environment,)).unwrap_or(0),
        objects: OBJECT_COUNTS.get(view, (environment,)).unwrap_or_default(),
    }
}

/// A workspace's keys by (creation, identifier), from after the given place on; revoked ones too.
pub fn api_keys_page(
    view: &(impl View + ?Sized),
    workspace: &WorkspaceId,
    after: Option<(Timestamp, ApiKeyId)>,
    limit: usize,
) -> Page<ApiKey> {
    let Span { from, until } = API_KEYS_BY_TIME.under((workspace,));
    let from = match &after {
        Some((created, id)) => key_after(&API_KEYS_BY_TIME.key((workspace, created, id))),
        None => from,
    };
    let spans = [Span { from, until }];
    let keys = merged(view, &API_KEYS_BY_TIME, spans, limit, |(_, created, id)| {
        (*created, id.clone())
    });
    Page::of(keys, limit, view, |(_, _, id)| api_key(view, id))
}

/// What was answered under an idempotency key, if that has not been forgotten.
pub fn idempotency(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    key: &IdempotencyKey,
) -> Option<Applied> {
    let record = ANSWERS.get(view, (environment, key));
    let record = record.filter(|record| log_time(view) < record.expires_at)?;
    answers::tell(view, environment, record)
}
