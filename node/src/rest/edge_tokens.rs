//! Join tokens: create, list, get, delete; and edges that are turned away.
//!
//! A token's text is shown by the request that makes it and by retries of that request: it is made anew
//! of the stored salt and the pepper. Such a request is bound to the caller's key, so that nobody
//! else's retry gets it. How an edge comes by a token is not HTTP's matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::command::{Command, CreateEdgeToken, DeleteEdgeToken, KeyIssue, RevokeEdge};
use domain::id::EdgeTokenId;
use domain::model::{EdgeBinding, EdgeToken, KeySalt};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::View;
use edge_protocol::enrolment::JoinToken;
use http::StatusCode;
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::{self, Answer, Answered};
use super::api_keys::issue;
use super::auth::Caller;
use super::cursor::Position;
use super::error::{ApiError, Code};
use super::fields::Fields;
use super::listing;
use super::object::{Deleted, EdgeRevocationObject, EdgeTokenObject};
use super::pipeline::{Call, Presence};
use super::{Api, render};

/// So many nodes a token names at most, so that its text has a bound. The first that answers names the others.
const NODES_TOLD: usize = 16;

/// What a token is made of.
pub(crate) const FIELDS: [&str; 3] = ["edge_id", "region", "labels"];

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    call.bind(&caller);
    let mut fields = Fields::new(body, &FIELDS)?;
    let region = fields.text("region")?;
    let binding = EdgeBinding {
        edge_id: fields.text("edge_id")?,
        region: fields.required("region", region)?,
        labels: labels(&mut fields)?,
    };
    if api.authorities.is_none() {
        return Err(ApiError::new(
            Code::InvalidConfig,
            "This node lets no edges in by tokens: its settings have no authority for edges.",
        )
        .into());
    }
    let (id, salt) = (EdgeTokenId::new(api.seed()), salt(&api));
    let pepper = api.keys.active();
    let command = CreateEdgeToken {
        hash: pepper.join_hash(&pepper.join_secret(&id, &salt)),
        id,
        salt,
        binding,
    };
    let issue = issue(&api, pepper.id(), KeyIssue::CreateEdgeToken(command))?;
    let applied = api.propose(&caller, &call, issue).await?;
    created(&api, applied, &caller)
}

pub(crate) async fn delete(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("edge token", EdgeTokenId::parse)?;
    call.object(Presence::None).await?;
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::DeleteEdgeToken(actor, DeleteEdgeToken { id })
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::EdgeTokenDeleted { id, at } => Some(render::to_bytes(&Deleted::new(
            "edge_token",
            id.as_str(),
            *at,
        ))),
        _ => None,
    })
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("edge token", EdgeTokenId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            query::edge_token(view, &caller.environment_id, &id)
        })
        .await?;
    let token = seen
        .value
        .ok_or_else(|| ApiError::not_found("edge token"))?;
    let object = EdgeTokenObject::new(&token, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    let all = |view: &dyn View| query::edge_tokens(view, &caller.environment_id);
    let show = |bytes: &mut Vec<u8>, token: &_| {
        render::append(bytes, &EdgeTokenObject::new(token, &caller.environment))
    };
    let request = (&*api, &caller, call);
    listing::few("edge_tokens", request, all, position, show).await
}

/// Turns an edge away for good.
pub(crate) async fn revoke(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    call.object(Presence::None).await?;
    let edge_id = call.param(0).to_owned();
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::RevokeEdge(actor, RevokeEdge { edge_id })
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Edge(record) => Some(render::to_bytes(&EdgeRevocationObject::new(
            record,
            &caller.environment,
        ))),
        _ => None,
    })
}

fn position(token: &EdgeToken) -> Position {
    Position {
        id: token.id.to_string(),
        key: token.created_at.0,
    }
}

fn created(api: &Api, applied: Applied, caller: &Caller) -> Answered {
    answer::applied(applied, StatusCode::CREATED, |outcome| {
        let Outcome::EdgeToken(token) = outcome else {
            return None;
        };
        let object = EdgeTokenObject::new(token, &caller.environment);
        let made_of = (&token.id, &token.salt);
        let Some(secret) = api.keys.join_secret(made_of, &token.hash) else {
            // It has expired since: nobody changes the pepper within a quarter of an hour.
            return Some(render::to_bytes(&object));
        };
        let text = Zeroizing::new(text(api, token, &secret)?);
        Some(render::to_bytes(&object.revealing(&text)))
    })
}

/// The token as its edge needs it: with where nodes are, and whom to believe that they are that.
fn text(api: &Api, token: &EdgeToken, secret: &[u8; 32]) -> Option<String> {
    let authorities = api.authorities.as_ref()?;
    let members = api.control.members().into_iter();
    let token = JoinToken {
        secret: *secret,
        nodes: members
            .map(|member| member.publisher)
            .take(NODES_TOLD)
            .collect(),
        authorities: authorities(),
        environment_id: token.environment_id.clone(),
    };
    Some(token.to_text())
}

fn salt(api: &Api) -> KeySalt {
    let mut bytes = [0; 16];
    api.entropy.fill(&mut bytes);
    KeySalt(bytes)
}

fn labels(fields: &mut Fields) -> Result<BTreeMap<String, String>, ApiError> {
    let Some(labels) = fields.object("labels")? else {
        return Ok(BTreeMap::new());
    };
    let label = |(name, value): (String, Value)| match value {
        Value::String(value) => Ok((name, value)),
        _ => Err(ApiError::invalid(
            format!("labels.{name}"),
            "Must be a string.",
        )),
    };
    labels.into_iter().map(label).collect()
}
