//! API keys: making, renaming, rolling and revoking them, and noting their use.
//!
//! ```text
//! create -> works ----roll----> works, and the secret before it until the overlap ends
//!             |                                 |
//!             +------ revoke, or expires_at ----+-> works no more
//! ```
//!
//! Secret keys manage keys, restricted ones do not. A live key manages those of its workspace. A
//! test key manages those that reach test environments alone; others do not exist for it, so that
//! nothing it does changes who may act in production. No key revokes itself: whoever manages keys
//! still has one afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::access::manager;
use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{Actor, CreateApiKey, RecordKeyUses, RevokeApiKey, RollApiKey, UpdateApiKey};
use crate::event::Event;
use crate::id::{ApiKeyId, EnvironmentId, RouteId};
use crate::machine::Decision;
use crate::model::{
    ApiKey, Environment, EnvironmentKind, Grant, KeyHash, KeyKind, PreviousSecret, Scopes,
};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{API_KEY_HASHES, API_KEYS, ENVIRONMENTS, ROUTES};
use crate::time::Timestamp;

/// The most environments or routes in a key's scopes: its record stays a few kilobytes, which
/// every request with the key may look at.
const SCOPE_ENTRIES_MAX: usize = 100;

/// The longest overlap of a roll: a week is enough to hand a new secret out everywhere.
const OVERLAP_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// The most keys in one report of their use.
const USES_MAX: usize = 1_000;

pub(super) fn create<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateApiKey,
) -> Judgement {
    let manager = manager(context, actor)?;
    check::name("name", &command.name)?;
    let environments = environments(context, &manager, &command.environments)?;
    check_kind(command, &environments)?;
    check_resources(command)?;
    check_routes(context, command)?;
    if command.expires_at.is_some_and(|at| at <= context.at) {
        return Err(invalid("expires_at", "Must be in the future."));
    }
    if API_KEYS.has(context.view, (&command.id,)) {
        return Err(id_taken(&command.id));
    }
    check_hash_free(context, &command.id, &command.hash)?;
    let key = made(context, &manager, command)?;
    Ok(Decision {
        events: vec![Event::ApiKeyCreated(key.clone())],
        outcome: Outcome::ApiKey(key),
    })
}

fn made<V: View + ?Sized>(
    context: &Context<'_, V>,
    manager: &ApiKey,
    command: &CreateApiKey,
) -> Result<ApiKey, Rejection> {
    let first = command
        .environments
        .first()
        .ok_or_else(|| invalid("environments", "Name an environment."))?;
    let mut scopes = Scopes {
        environments: BTreeSet::new(),
        routes: command.routes.iter().cloned().collect(),
        methods: command.methods.iter().copied().collect(),
        resources: command.resources.iter().copied().collect(),
    };
    if command.kind == KeyKind::Restricted {
        scopes
            .environments
            .extend(command.environments.iter().cloned());
    }
    Ok(ApiKey {
        id: command.id.clone(),
        workspace_id: manager.workspace_id.clone(),
        environment_id: first.clone(),
        kind: command.kind,
        name: command.name.clone(),
        hash: command.hash,
        created_at: context.at,
        revoked_at: None,
        scopes,
        expires_at: command.expires_at,
        created_by: Some(manager.id.clone()),
        updated_at: None,
        salt: Some(command.salt),
        previous: None,
        last_used_at: None,
    })
}

/// The environments that a new key is for. One that the manager does not reach does not exist.
fn environments<V: View + ?Sized>(
    context: &Context<'_, V>,
    manager: &ApiKey,
    ids: &[EnvironmentId],
) -> Result<Vec<Environment>, Rejection> {
    let param = |at: usize| format!("scopes.environments[{at}]");
    check_count("scopes.environments", ids.len())?;
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let environment = ENVIRONMENTS
            .get(context.view, (id,))
            .filter(|environment| reaches(manager, environment))
            .ok_or_else(|| not_found("environment", id, Some(&param(at))))?;
        if !seen.insert(id) {
            return Err(invalid(&param(at), "Named twice."));
        }
        found.push(environment);
    }
    Ok(found)
}

/// Whether a secret key manages an environment's keys.
fn reaches(manager: &ApiKey, environment: &Environment) -> bool {
    environment.workspace_id == manager.workspace_id
        && (manager.kind == KeyKind::Live || environment.kind == EnvironmentKind::Test)
}

/// A secret key is bound to one environment of its own kind and is restricted in nothing else.
fn check_kind(command: &CreateApiKey, environments: &[Environment]) -> Result<(), Rejection> {
    let wanted = match command.kind {
        KeyKind::Restricted if environments.is_empty() => {
            return Err(invalid("scopes.environments", "Name an environment."));
        }
        KeyKind::Restricted => return Ok(()),
        KeyKind::Live => EnvironmentKind::Live,
        KeyKind::Test => EnvironmentKind::Test,
    };
    let kind = command.kind.as_str();
    let unrestricted =
        command.routes.is_empty() && command.methods.is_empty() && command.resources.is_empty();
    match environments {
        [one] if one.kind != wanted => Err(invalid(
            "type",
            &format!(
                "A {kind} key cannot be for a {} environment.",
                one.kind.as_str()
            ),
        )),
        [_] if unrestricted => Ok(()),
        [_] => Err(invalid(
            "scopes",
            &format!("A {kind} key is not restricted."),
        )),
        _ => Err(invalid(
            "scopes.environments",
            &format!("A {kind} key is for one environment."),
        )),
    }
}

fn check_resources(command: &CreateApiKey) -> Result<(), Rejection> {
    let excessive = command.resources.iter().position(|scope| {
        scope.grant == Grant::Write && !scope.resource.is_grantable_for_writing()
    });
    match excessive {
        None => Ok(()),
        Some(at) => Err(invalid(
            &format!("scopes.resources[{at}]"),
            "Only live and test keys change these.",
        )),
    }
}

/// Each route that a key is restricted to must be in one of its environments.
fn check_routes<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &CreateApiKey,
) -> Result<(), Rejection> {
    check_count("scopes.routes", command.routes.len())?;
    let exists = |route: &RouteId| {
        let mut environments = command.environments.iter();
        environments.any(|environment| ROUTES.has(context.view, (environment, route)))
    };
    match command.routes.iter().position(|route| !exists(route)) {
        None => Ok(()),
        Some(at) => {
            let param = format!("scopes.routes[{at}]");
            Err(not_found("route", &command.routes[at], Some(&param)))
        }
    }
}

fn check_count(param: &str, count: usize) -> Result<(), Rejection> {
    if count <= SCOPE_ENTRIES_MAX {
        return Ok(());
    }
    Err(Rejection::LimitExceeded {
        param: param.to_owned(),
        message: format!("There may be {SCOPE_ENTRIES_MAX} of them."),
    })
}

/// A secret is made from random bytes, so it is taken only if these were drawn twice.
fn check_hash_free<V: View + ?Sized>(
    context: &Context<'_, V>,
    id: &ApiKeyId,
    hash: &KeyHash,
) -> Result<(), Rejection> {
    if API_KEY_HASHES.has(context.view, (hash,)) {
        return Err(id_taken(id));
    }
    Ok(())
}

pub(super) fn update<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateApiKey,
) -> Judgement {
    let before = managed(context, actor, &command.id)?;
    let mut after = before.clone();
    if let Some(name) = &command.name {
        check::name("name", name)?;
        after.name.clone_from(name);
    }
    if after == before {
        return nothing(Outcome::ApiKey(before));
    }
    changed(context.at, &before, after)
}

pub(super) fn roll<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &RollApiKey,
) -> Judgement {
    let before = managed(context, actor, &command.id)?;
    let expired = before.expires_at.is_some_and(|at| at <= context.at);
    if expired || before.revoked_at.is_some() {
        return Err(Rejection::ApiKeyInactive {
            id: before.id.to_string(),
        });
    }
    if command.overlap_ms > OVERLAP_MS_MAX {
        let message = format!("Must be up to {} seconds.", OVERLAP_MS_MAX / 1000);
        return Err(invalid("overlap_s", &message));
    }
    check_hash_free(context, &before.id, &command.hash)?;
    // Only one earlier secret works at a time: one that is still in its overlap ends now.
    let previous = (command.overlap_ms > 0).then(|| PreviousSecret {
        hash: before.hash,
        expires_at: context.at.plus_ms(command.overlap_ms),
    });
    let after = ApiKey {
        hash: command.hash,
        salt: Some(command.salt),
        previous,
        ..before.clone()
    };
    changed(context.at, &before, after)
}

pub(super) fn revoke<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &RevokeApiKey,
) -> Judgement {
    let key = managed(context, actor, &command.id)?;
    if key.id == actor.api_key_id {
        let message = "A key does not revoke itself. Roll it, or revoke it with another key.";
        return Err(invalid("id", message));
    }
    revoked(context, key)
}

/// Revokes a key on behalf of whoever runs the cluster.
pub(super) fn revoke_as_operator<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RevokeApiKey,
) -> Judgement {
    let key = API_KEYS
        .get(context.view, (&command.id,))
        .ok_or_else(|| not_found("api_key", &command.id, None))?;
    revoked(context, key)
}

fn revoked<V: View + ?Sized>(context: &Context<'_, V>, before: ApiKey) -> Judgement {
    if before.revoked_at.is_some() {
        return nothing(Outcome::ApiKey(before));
    }
    let after = ApiKey {
        revoked_at: Some(context.at),
        ..before.clone()
    };
    changed(context.at, &before, after)
}

/// A key that the actor manages.
fn managed<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    id: &ApiKeyId,
) -> Result<ApiKey, Rejection> {
    let manager = manager(context, actor)?;
    let within_reach = |key: &ApiKey| {
        key.environments().all(|id| {
            let environment = ENVIRONMENTS.get(context.view, (id,));
            environment.is_some_and(|environment| reaches(&manager, &environment))
        })
    };
    API_KEYS
        .get(context.view, (id,))
        .filter(within_reach)
        .ok_or_else(|| not_found("api_key", id, None))
}

fn changed(at: Timestamp, before: &ApiKey, after: ApiKey) -> Judgement {
    let after = ApiKey {
        updated_at: Some(at),
        ..after
    };
    Ok(Decision {
        events: vec![Event::ApiKeyChanged {
            before: before.hashes().copied().collect(),
            after: after.clone(),
        }],
        outcome: Outcome::ApiKey(after),
    })
}

/// Notes when keys were used. Nodes report on their own, so what is known already or not any more
/// is no mistake, and no use lies after the report.
pub(super) fn record_uses<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RecordKeyUses,
) -> Judgement {
    if command.uses.len() > USES_MAX {
        return Err(Rejection::LimitExceeded {
            param: "uses".to_owned(),
            message: format!("A report may be about {USES_MAX} keys."),
        });
    }
    let mut newest = BTreeMap::new();
    for (id, at) in &command.uses {
        let known: &mut Timestamp = newest.entry(id).or_default();
        *known = (*known).max(*at);
    }
    let events = newest.into_iter().filter_map(|(id, at)| {
        let key = API_KEYS.get(context.view, (id,))?;
        let used = Some(at.min(context.at));
        (key.last_used_at < used).then(|| Event::ApiKeyChanged {
            before: key.hashes().copied().collect(),
            after: ApiKey {
                last_used_at: used,
                ..key
            },
        })
    });
    Ok(Decision {
        events: events.collect(),
        outcome: Outcome::KeyUsesRecorded,
    })
}

fn invalid(param: &str, message: &str) -> Rejection {
    Rejection::InvalidParameter {
        param: param.to_owned(),
        message: message.to_owned(),
    }
}
