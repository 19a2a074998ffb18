//! What keys are hashed under: which pepper from now on, and the same secrets under another one. A hash is replaced only where
//! the key still has it. Under which pepper a hash was made stands beside it, unless it is the first one, which all were made
//! under before there was another.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::write_down;
use super::{Context, Judgement, api_key, edge, new_api_key, nothing};
use crate::command::{ActivatePepper, Actor, IssueKey, KeyIssue, MoveKeys, MovedKey, Origin};
use crate::event::Event;
use crate::id::{ApiKeyId, RequestId};
use crate::machine::Decision;
use crate::model::{ApiKey, ClusterChange, KeyHash, Peppering};
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{API_KEY_HASHES, API_KEYS, CLUSTER, SEALING};

/// The most secrets of one entry: it has some tens of kilobytes.
pub const KEY_MOVES_MAX: usize = 256;

pub(super) fn activate<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: (&RequestId, &Origin),
    command: &ActivatePepper,
) -> Judgement {
    let failed = |message: &str| {
        Err(Rejection::PreconditionFailed {
            param: "pepper".to_owned(),
            message: message.to_owned(),
        })
    };
    let Some(before) = query::active_pepper(context.view) else {
        return failed("There is no workspace yet, so nothing is hashed.");
    };
    if before == command.pepper {
        return nothing(Outcome::Recorded);
    }
    if before != command.before {
        return failed("Keys are hashed under another pepper meanwhile; ask again.");
    }
    if !SEALING.has(context.view, ()) {
        return failed("Secrets are sealed under the pepper; give them a key of their own first.");
    }
    let mut events = vec![Event::PepperActivated(Peppering {
        active: command.pepper,
        since: context.at,
    })];
    let change = ClusterChange::PepperActivated {
        pepper: command.pepper,
    };
    let settings = CLUSTER.get(context.view, ()).unwrap_or_default();
    write_down(context, asked, &change, settings, &mut events);
    Ok(Decision {
        events,
        outcome: Outcome::Recorded,
    })
}

pub(super) fn move_keys<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &MoveKeys,
) -> Judgement {
    if command.keys.len() > KEY_MOVES_MAX {
        return Err(Rejection::LimitExceeded {
            param: "keys".to_owned(),
            message: format!("An entry may have {KEY_MOVES_MAX} keys."),
        });
    }
    if query::active_pepper(context.view) != Some(command.pepper) {
        return nothing(Outcome::Recorded);
    }
    let mut moves = Moves {
        context,
        keys: BTreeMap::new(),
        taken: BTreeSet::new(),
    };
    for moved in &command.keys {
        moves.take(moved);
    }
    let mut events = Vec::new();
    for (before, after) in moves.keys.into_values() {
        let before: Vec<_> = before.hashes().copied().collect();
        let moved = after.hashes().filter(|hash| !before.contains(hash));
        let named = moved.map(|hash| Event::HashPeppered {
            hash: *hash,
            pepper: command.pepper,
        });
        let named: Vec<_> = named.collect();
        events.push(Event::ApiKeyChanged { before, after });
        events.extend(named);
    }
    Ok(Decision {
        events,
        outcome: Outcome::Recorded,
    })
}

/// The keys of an entry, as they were and as they come to be.
struct Moves<'a, V: ?Sized> {
    context: &'a Context<'a, V>,
    keys: BTreeMap<ApiKeyId, (ApiKey, ApiKey)>,
    /// The hashes that they get.
    taken: BTreeSet<KeyHash>,
}

impl<V: View + ?Sized> Moves<'_, V> {
    /// Moves a secret that the key still has, unless the new hash is somebody's already.
    fn take(&mut self, MovedKey { id, was, now }: &MovedKey) {
        let view = self.context.view;
        if self.taken.contains(now) || API_KEY_HASHES.has(view, (now,)) {
            return;
        }
        let stored = || API_KEYS.get(view, (id,)).map(|key| (key.clone(), key));
        let Some((before, mut after)) = self.keys.remove(id).or_else(stored) else {
            return;
        };
        if after.replace_hash(was, *now) {
            self.taken.insert(*now);
        }
        if after != before {
            self.keys.insert(id.clone(), (before, after));
        }
    }
}

pub(super) fn issue<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &IssueKey,
) -> Judgement {
    let (mut decision, hash) = match &command.to {
        KeyIssue::CreateApiKey(to) => (new_api_key::create(context, actor, to)?, to.hash),
        KeyIssue::RollApiKey(to) => (api_key::roll(context, actor, to)?, to.hash),
        KeyIssue::CreateEdgeToken(to) => (edge::create_token(context, actor, to)?, to.hash),
    };
    decision.events.push(Event::HashPeppered {
        hash,
        pepper: command.pepper,
    });
    Ok(decision)
}
