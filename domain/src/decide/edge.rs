//! Join tokens and the edges that come by them. A token works once, whoever else shows it at the same
//! moment: the entry that comes first decides. It works for as long as the API key that made it does. A name that was turned away is
//! not used again as long as that is known: a month, if it came by a token, and for ever, if it had its certificate from somebody else.

use std::collections::BTreeMap;

use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{Actor, CreateEdgeToken, DeleteEdgeToken, EnrolEdge, ForgetEdges, RevokeEdge};
use crate::event::Event;
use crate::id::{EdgeTokenId, EnvironmentId};
use crate::machine::Decision;
use crate::model::{
    ApiKey, EDGE_TOKEN_MS, EdgeBinding, EdgeEnrolment, EdgeRecord, EdgeToken, EdgeTokenUse,
};
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{API_KEYS, EDGE_RECORDS, EDGE_TOKEN_HASHES, EDGE_TOKENS};
use crate::time::Timestamp;

/// The most tokens of an environment that have not been forgotten: enough to bring up a large fleet in
/// one go.
pub const EDGE_TOKENS_MAX: usize = 1000;

/// How long a token is remembered after it has expired: as long as somebody asks why it did not work.
const TOKEN_KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// The most edges of an environment that came by tokens and were not turned away. Those that were have no part in it: turning one away is
/// always possible, makes room, and costs a row that stays for a month, for each request of a key that may do that.
pub const EDGE_RECORDS_MAX: usize = 20_000;

/// The most edges that one entry forgets.
pub const EDGES_FORGOTTEN_MAX: usize = 256;

/// The most labels of an edge, and the longest of them, as the protocol carries them.
pub const EDGE_LABELS_MAX: usize = 32;
/// The longest label name or value, in bytes.
pub const EDGE_LABEL_BYTES_MAX: usize = 128;

pub(super) fn create_token<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateEdgeToken,
) -> Judgement {
    let environment = &actor.environment_id;
    check_binding(&command.binding)?;
    if let Some(edge_id) = &command.binding.edge_id {
        let record = EDGE_RECORDS.get(context.view, (environment, edge_id));
        if record.is_some_and(|record| record.revoked_at.is_some()) {
            return Err(Rejection::InvalidParameter {
                param: "edge_id".to_owned(),
                message: format!(
                    "The edge {edge_id} was revoked, and its name is not used again for 30 days at least."
                ),
            });
        }
    }
    let is_there = EDGE_TOKENS.has(context.view, (environment, &command.id))
        || EDGE_TOKEN_HASHES.has(context.view, (&command.hash,));
    if is_there {
        return Err(id_taken(&command.id));
    }
    let (forgotten, kept): (Vec<_>, Vec<_>) = query::edge_tokens(context.view, environment)
        .into_iter()
        .partition(|token| is_forgotten(token, context.at));
    if kept.len() >= EDGE_TOKENS_MAX {
        return Err(Rejection::LimitExceeded {
            param: "edge_id".to_owned(),
            message: format!(
                "An environment may have {EDGE_TOKENS_MAX} join tokens; those that have expired are removed after a day."
            ),
        });
    }
    let token = EdgeToken {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: environment.clone(),
        hash: command.hash,
        salt: command.salt,
        binding: command.binding.clone(),
        created_by: actor.api_key_id.clone(),
        created_at: context.at,
        expires_at: Timestamp(context.at.0.saturating_add(EDGE_TOKEN_MS)),
        used: None,
    };
    let mut events: Vec<_> = forgotten
        .into_iter()
        .map(Event::EdgeTokenForgotten)
        .collect();
    events.push(Event::EdgeTokenCreated(token.clone()));
    Ok(Decision {
        events,
        outcome: Outcome::EdgeToken(token),
    })
}

pub(super) fn delete_token<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &DeleteEdgeToken,
) -> Judgement {
    let token = find_token(context, &actor.environment_id, &command.id)?;
    Ok(Decision {
        events: vec![Event::EdgeTokenDeleted(token)],
        outcome: Outcome::EdgeTokenDeleted {
            id: command.id.clone(),
            at: context.at,
        },
    })
}

pub(super) fn enrol<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &EnrolEdge,
) -> Judgement {
    let environment = &actor.environment_id;
    check::edge_name("edge_id", &command.edge_id)?;
    let token = EDGE_TOKENS
        .get(context.view, (environment, &command.token_id))
        .filter(|token| token.hash == command.hash && token.created_by == actor.api_key_id)
        .ok_or_else(|| refused("The token is not known."))?;
    let before = EDGE_RECORDS.get(context.view, (environment, &command.edge_id));
    if let Some(record) = &before
        && context.at < token.expires_at
        && came_by(record, &token, command)
    {
        // It has not heard the answer, or has forgotten it.
        return nothing(Outcome::Edge(record.clone()));
    }
    check_token(context, &token, &command.edge_id)?;
    check_maker(context, &token)?;
    check_name(context, before.as_ref(), &token)?;
    let record = EdgeRecord {
        edge_id: command.edge_id.clone(),
        workspace_id: token.workspace_id.clone(),
        environment_id: environment.clone(),
        enrolment: Some(EdgeEnrolment {
            token_id: token.id.clone(),
            key: command.key,
            region: token.binding.region.clone(),
            labels: token.binding.labels.clone(),
            at: context.at,
        }),
        revoked_at: None,
        revision: context.revision,
    };
    let token = EdgeToken {
        used: Some(EdgeTokenUse {
            edge_id: command.edge_id.clone(),
            at: context.at,
        }),
        ..token
    };
    Ok(Decision {
        events: vec![
            Event::EdgeTokenUsed(token),
            Event::EdgeEnrolled(record.clone()),
        ],
        outcome: Outcome::Edge(record),
    })
}

pub(super) fn revoke<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &RevokeEdge,
) -> Judgement {
    let environment = &actor.environment_id;
    check::edge_name("id", &command.edge_id)?;
    let before = EDGE_RECORDS.get(context.view, (environment, &command.edge_id));
    let record = match before {
        Some(record) if record.revoked_at.is_some() => return nothing(Outcome::Edge(record)),
        Some(record) => record,
        // It has its certificate from somebody else.
        None => EdgeRecord {
            edge_id: command.edge_id.clone(),
            workspace_id: actor.workspace_id.clone(),
            environment_id: environment.clone(),
            enrolment: None,
            revoked_at: None,
            revision: context.revision,
        },
    };
    let record = EdgeRecord {
        revoked_at: Some(context.at),
        revision: context.revision,
        ..record
    };
    Ok(Decision {
        events: vec![Event::EdgeRevoked(record.clone())],
        outcome: Outcome::Edge(record),
    })
}

/// Forgets edges for which it is time, and the tokens by which they came: those have expired long before.
pub(super) fn forget<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &ForgetEdges,
) -> Judgement {
    if command.edges.len() > EDGES_FORGOTTEN_MAX {
        return Err(Rejection::LimitExceeded {
            param: "edges".to_owned(),
            message: format!("An entry may have {EDGES_FORGOTTEN_MAX} edges."),
        });
    }
    let environment = &command.environment_id;
    let mut edges = BTreeMap::new();
    for edge_id in &command.edges {
        let record = EDGE_RECORDS.get(context.view, (environment, edge_id));
        if let Some(record) = record.filter(|record| record.is_forgotten(context.at)) {
            edges.insert(edge_id, record);
        }
    }
    let mut tokens = query::edge_tokens(context.view, environment);
    tokens.retain(|token| {
        let used = token.used.as_ref();
        used.is_some_and(|used| edges.contains_key(&used.edge_id))
    });
    let tokens = tokens.into_iter().map(Event::EdgeTokenForgotten);
    let edges = edges.into_values().map(Event::EdgeForgotten);
    Ok(Decision {
        events: tokens.chain(edges).collect(),
        outcome: Outcome::Recorded,
    })
}

fn refused(message: &str) -> Rejection {
    Rejection::EnrolmentRefused {
        message: message.to_owned(),
    }
}

fn find_token<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &EdgeTokenId,
) -> Result<EdgeToken, Rejection> {
    EDGE_TOKENS
        .get(context.view, (environment, id))
        .ok_or_else(|| not_found("edge token", id, None))
}

fn is_forgotten(token: &EdgeToken, at: Timestamp) -> bool {
    token.expires_at.0.saturating_add(TOKEN_KEPT_MS) <= at.0
}

/// Whether the edge came by this token with this key, and is still welcome.
fn came_by(record: &EdgeRecord, token: &EdgeToken, command: &EnrolEdge) -> bool {
    let by_it =
        |enrolment: &EdgeEnrolment| enrolment.token_id == token.id && enrolment.key == command.key;
    record.revoked_at.is_none() && record.enrolment.as_ref().is_some_and(by_it)
}

fn check_token<V: View + ?Sized>(
    context: &Context<'_, V>,
    token: &EdgeToken,
    edge_id: &str,
) -> Result<(), Rejection> {
    if token.used.is_some() {
        return Err(refused("The token was used already."));
    }
    if !token.is_open(context.at) {
        return Err(refused("The token has expired."));
    }
    match &token.binding.edge_id {
        Some(named) if named != edge_id => Err(refused("The token is for another edge.")),
        _ => Ok(()),
    }
}

/// What a key has made is worth no more than the key. One that was rolled is the same key; what becomes of its tokens was decided then.
fn check_maker<V: View + ?Sized>(
    context: &Context<'_, V>,
    token: &EdgeToken,
) -> Result<(), Rejection> {
    let maker = API_KEYS.get(context.view, (&token.created_by,));
    let works = |key: &ApiKey| {
        key.revoked_at.is_none() && key.expires_at.is_none_or(|until| context.at < until)
    };
    if maker.as_ref().is_some_and(works) {
        return Ok(());
    }
    Err(refused(
        "The API key that made the token was revoked or has expired.",
    ))
}

/// The tokens of a key that somebody may still come by.
pub(super) fn open_tokens_of<V: View + ?Sized>(
    context: &Context<'_, V>,
    key: &ApiKey,
) -> Vec<EdgeToken> {
    let tokens = key
        .environments()
        .flat_map(|environment| query::edge_tokens(context.view, environment));
    tokens
        .filter(|token| token.created_by == key.id && token.is_open(context.at))
        .collect()
}

/// A token that names nobody does not replace an edge that is there.
fn check_name<V: View + ?Sized>(
    context: &Context<'_, V>,
    before: Option<&EdgeRecord>,
    token: &EdgeToken,
) -> Result<(), Rejection> {
    match before {
        None => check_count(context, &token.environment_id),
        Some(record) if record.revoked_at.is_some() => Err(refused(
            "The edge was revoked, and its name is not used again for 30 days at least.",
        )),
        Some(_) if token.binding.edge_id.is_none() => Err(refused(
            "An edge of this name is there; a token that names it lets another one take its place.",
        )),
        Some(_) => Ok(()),
    }
}

fn check_count<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
) -> Result<(), Rejection> {
    let span = EDGE_RECORDS.under((environment,));
    let records = EDGE_RECORDS.walk(context.view, span);
    let welcome = records.filter(|(_, record)| record.revoked_at.is_none());
    if welcome.count() < EDGE_RECORDS_MAX {
        return Ok(());
    }
    Err(Rejection::LimitExceeded {
        param: "edge_id".to_owned(),
        message: format!(
            "An environment may have {EDGE_RECORDS_MAX} edges; revoke those that are gone."
        ),
    })
}

fn check_binding(binding: &EdgeBinding) -> Result<(), Rejection> {
    if let Some(edge_id) = &binding.edge_id {
        check::edge_name("edge_id", edge_id)?;
    }
    check::edge_name("region", &binding.region)?;
    check_labels(&binding.labels)
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Rejection> {
    let fits = |text: &String| {
        (1..=EDGE_LABEL_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
    };
    let fit = labels.iter().all(|(name, value)| fits(name) && fits(value));
    if labels.len() <= EDGE_LABELS_MAX && fit {
        return Ok(());
    }
    Err(Rejection::InvalidParameter {
        param: "labels".to_owned(),
        message: format!(
            "An edge has up to {EDGE_LABELS_MAX} labels, each name and value with 1 to {EDGE_LABEL_BYTES_MAX} bytes."
        ),
    })
}
