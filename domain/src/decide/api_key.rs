//! API keys once they are made: renaming, rolling and revoking them, and noting their use. How
//! they are made is in `new_api_key`.
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

use std::collections::BTreeMap;

use super::access::manager;
use super::edge::open_tokens_of;
use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{Actor, RecordKeyUses, RevokeApiKey, RollApiKey, UpdateApiKey};
use crate::event::Event;
use crate::id::ApiKeyId;
use crate::machine::Decision;
use crate::model::{
    ApiKey, Environment, EnvironmentKind, IpRange, KeyHash, KeyKind, PreviousSecret,
};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{API_KEY_HASHES, API_KEYS, ENVIRONMENTS};
use crate::time::Timestamp;

/// The longest overlap of a roll: a week is enough to hand a new secret out everywhere.
const OVERLAP_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// The most keys in one report of their use.
const USES_MAX: usize = 1_000;

/// A secret is made from random bytes, so it is taken only if these were drawn twice.
pub(super) fn check_hash_free<V: View + ?Sized>(
    context: &Context<'_, V>,
    id: &ApiKeyId,
    hash: &KeyHash,
) -> Result<(), Rejection> {
    if API_KEY_HASHES.has(context.view, (hash,)) {
        return Err(id_taken(id));
    }
    Ok(())
}

/// How many ranges a key may be confined to: each request with the key may be compared with all.
/// How many networks a key may be confined to.
pub const IP_RANGES_MAX: usize = 50;

pub(super) fn check_ip_allowlist(ranges: &[IpRange]) -> Result<(), Rejection> {
    if ranges.len() <= IP_RANGES_MAX {
        return Ok(());
    }
    Err(Rejection::LimitExceeded {
        param: "ip_allowlist".to_owned(),
        message: format!("There may be {IP_RANGES_MAX} of them."),
    })
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
    if let Some(ranges) = &command.ip_allowlist {
        check_ip_allowlist(ranges)?;
        after.ip_allowlist = ranges.iter().copied().collect();
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
    let mut decision = changed(context.at, &before, after)?;
    if command.overlap_ms == 0 {
        // The secret leaked, or may have: what whoever had it has made lets nobody in any more.
        let tokens = open_tokens_of(context, &before).into_iter();
        decision.events.extend(tokens.map(Event::EdgeTokenDeleted));
    }
    Ok(decision)
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

/// Whether a secret key manages an environment's keys.
pub(super) fn reaches(manager: &ApiKey, environment: &Environment) -> bool {
    environment.workspace_id == manager.workspace_id
        && (manager.kind == KeyKind::Live || environment.kind == EnvironmentKind::Test)
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

pub(super) fn invalid(param: &str, message: &str) -> Rejection {
    Rejection::InvalidParameter {
        param: param.to_owned(),
        message: message.to_owned(),
    }
}
