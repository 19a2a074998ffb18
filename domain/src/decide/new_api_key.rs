//! Making API keys: what a new key may be for, and who may make it. What becomes of keys
//! afterwards is in `api_key`.

use std::collections::BTreeSet;

use super::access::manager;
use super::api_key::{check_hash_free, check_ip_allowlist, invalid, reaches};
use super::{Context, Judgement, check, id_taken, not_found};
use crate::command::{Actor, CreateApiKey};
use crate::event::Event;
use crate::id::{EnvironmentId, RouteId};
use crate::machine::Decision;
use crate::model::{ApiKey, Environment, EnvironmentKind, Grant, KeyKind, Scopes};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{API_KEYS, ENVIRONMENTS, ROUTES};

/// The most environments or routes in a key's scopes: its record stays a few kilobytes, which
/// every request with the key may look at.
const SCOPE_ENTRIES_MAX: usize = 100;

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
    check_ip_allowlist(&command.ip_allowlist)?;
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
        ip_allowlist: command.ip_allowlist.iter().copied().collect(),
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
