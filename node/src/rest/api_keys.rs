//! API keys: list, create, get, change, roll, revoke, and which one is asking.
//!
//! A key's text is shown by the request that makes it and by retries of that request, which give
//! the same bytes: the text is made anew of the stored salt and the pepper that it was made of. Such a request is
//! bound to the caller's key, so that nobody else's retry gets it.

use std::sync::Arc;

use domain::command::{
    Actor, Command, CreateApiKey, IssueKey, KeyIssue, RevokeApiKey, RollApiKey, UpdateApiKey,
};
use domain::id::{ApiKeyId, EnvironmentId, RouteId};
use domain::model::{ApiKey, IpRange, KeyKind, KeySalt, PepperId, ResourceScope, Verb};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use http::StatusCode;
use serde_json::Value;

use super::answer::{self, Answer, Answered, JSON};
use super::auth::{self, Caller};
use super::cursor::{Position, Scope};
use super::error::{ApiError, Code};
use super::fields::Fields;
use super::object::ApiKeyObject;
use super::page::{self, Paging};
use super::pipeline::{Call, Presence};
use super::{Api, render};

pub(crate) const KINDS: [(&str, KeyKind); 3] = [
    ("live", KeyKind::Live),
    ("test", KeyKind::Test),
    ("restricted", KeyKind::Restricted),
];

/// How long the text before a roll goes on working, unless the client says: a day.
pub(crate) const OVERLAP_S_DEFAULT: u64 = 24 * 60 * 60;

/// The longest overlap: a week.
pub(crate) const OVERLAP_S_MAX: u64 = 7 * 24 * 60 * 60;

/// The latest time that can be said in seconds: far beyond any key's life, and safe to multiply.
pub(crate) const SECONDS_MAX: u64 = 1 << 40;

/// What a key is made of, and what its scopes are.
pub(crate) const CREATED: [&str; 5] = ["type", "name", "scopes", "ip_allowlist", "expires_at"];
pub(crate) const SCOPES: [&str; 4] = ["environments", "routes", "methods", "resources"];

/// What of a key can be changed.
pub(crate) const UPDATED: [&str; 2] = ["name", "ip_allowlist"];

/// What rolling a key takes.
pub(crate) const ROLLED: [&str; 1] = ["overlap_s"];

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    call.bind(&caller);
    let mut fields = Fields::new(body, &CREATED)?;
    let (kind, name) = (fields.choice("type", &KINDS)?, fields.text("name")?);
    let (kind, name) = (
        fields.required("type", kind)?,
        fields.required("name", name)?,
    );
    let expires_at = fields.integer("expires_at", 0, SECONDS_MAX)?;
    let ip_allowlist = ip_allowlist(&mut fields)?;
    let scopes = NewScopes::take(&mut fields)?;
    let named = |view: &dyn View| named(view, &caller, &scopes.environments);
    let environments = api.read(call.consistency, named).await?.value?;
    let (id, salt) = (ApiKeyId::new(api.seed()), salt(&api));
    let pepper = api.keys.active();
    let command = CreateApiKey {
        hash: pepper.secret(kind, &id, &salt).1,
        id,
        salt,
        kind,
        name,
        environments,
        routes: scopes.routes,
        methods: scopes.methods,
        resources: scopes.resources,
        ip_allowlist: ip_allowlist.unwrap_or_default(),
        expires_at: expires_at.map(|seconds| Timestamp(seconds * 1000)),
    };
    let issue = issue(&api, pepper.id(), KeyIssue::CreateApiKey(command))?;
    let applied = api.propose(&caller, &call, issue).await?;
    answer(&api, applied, StatusCode::CREATED, Shown::WithText)
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("api key", ApiKeyId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &UPDATED)?;
    let command = UpdateApiKey {
        name: fields.text("name")?,
        ip_allowlist: ip_allowlist(&mut fields)?,
        id,
    };
    if command.id == caller.api_key_id {
        check_own_address(&call, command.ip_allowlist.as_deref())?;
    }
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::UpdateApiKey(actor, command)
        })
        .await?;
    answer(&api, applied, StatusCode::OK, Shown::WithoutText)
}

/// The ranges of addresses that a key works from, if they are given.
fn ip_allowlist(fields: &mut Fields) -> Result<Option<Vec<IpRange>>, ApiError> {
    optional_texts(fields, "ip_allowlist", |text, path| {
        IpRange::parse(text).ok_or_else(|| ApiError::invalid(path, IP_RANGE))
    })
}

const IP_RANGE: &str =
    "Must be a range of addresses such as 203.0.113.0/24 or 2001:db8::/32, or one address.";

/// A key does not lock out whoever changes it: that is a mistake, and could be one that nobody has
/// another key to repair.
fn check_own_address(call: &Call, ranges: Option<&[IpRange]>) -> Result<(), ApiError> {
    if auth::is_allowed(ranges.unwrap_or_default(), call.address) {
        return Ok(());
    }
    let message = "The list would lock out this request: it is made with the key itself, from an \
                   address that is not in the list.";
    Err(ApiError::new(Code::ValidationFailed, message).at("ip_allowlist"))
}

pub(crate) async fn roll(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("api key", ApiKeyId::parse)?;
    let body = call.object(Presence::Optional).await?;
    call.bind(&caller);
    let mut fields = Fields::new(body, &ROLLED)?;
    let overlap_s = fields.integer("overlap_s", 0, OVERLAP_S_MAX)?;
    // Which kind a key is never changes, so the text that is made here fits whatever came between.
    let find = |view: &dyn View| visible(view, &caller, &id).map(|key| key.kind);
    let kind = api.read(call.consistency, find).await?.value?;
    let salt = salt(&api);
    let pepper = api.keys.active();
    let command = RollApiKey {
        hash: pepper.secret(kind, &id, &salt).1,
        id,
        salt,
        overlap_ms: overlap_s.unwrap_or(OVERLAP_S_DEFAULT) * 1000,
    };
    let issue = issue(&api, pepper.id(), KeyIssue::RollApiKey(command))?;
    let applied = api.propose(&caller, &call, issue).await?;
    answer(&api, applied, StatusCode::OK, Shown::WithText)
}

pub(crate) async fn revoke(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("api key", ApiKeyId::parse)?;
    call.object(Presence::None).await?;
    let command = RevokeApiKey { id };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::RevokeApiKeyFor(actor, command)
        })
        .await?;
    answer(&api, applied, StatusCode::OK, Shown::WithoutText)
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("api key", ApiKeyId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    shown_by_id(&api, &caller, &call, &id).await
}

/// The key that is asking.
pub(crate) async fn current(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    shown_by_id(&api, &caller, &call, &caller.api_key_id).await
}

async fn shown_by_id(api: &Api, caller: &Caller, call: &Call, id: &ApiKeyId) -> Answered {
    let find = |view: &dyn View| visible(view, caller, id).map(|key| rendered(view, &key));
    let seen = api.read(call.consistency, find).await?;
    Ok(Answer::bytes(StatusCode::OK, JSON, seen.value?).at(seen.revision))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let scope = Scope {
        environment_id: &caller.environment_id,
        list: "api_keys",
        filter: String::new(),
    };
    let after = paging.after(&api.cursors, &scope)?;
    let find = |view: &dyn View| {
        let fetch = |after: Option<&Position>, limit| {
            query::api_keys_page(view, &caller.workspace_id, after.and_then(place), limit)
        };
        let keep = |key: &ApiKey| caller.reaches_key(view, key);
        let scanned = page::filtered(paging.limit(), after, position, fetch, keep);
        page::envelope(
            scanned,
            position,
            |position| api.cursors.encode(&scope, position),
            |bytes, key| bytes.extend(rendered(view, key)),
        )
    };
    let seen = api.read(call.consistency, find).await?;
    Ok(Answer::bytes(StatusCode::OK, JSON, seen.value).at(seen.revision))
}

fn position(key: &ApiKey) -> Position {
    Position {
        id: key.id.to_string(),
        key: key.created_at.0,
    }
}

fn place(position: &Position) -> Option<(Timestamp, ApiKeyId)> {
    let id = ApiKeyId::parse(&position.id).ok()?;
    Some((Timestamp(position.key), id))
}

/// A key that exists for the caller.
fn visible(view: &dyn View, caller: &Caller, id: &ApiKeyId) -> Result<ApiKey, ApiError> {
    query::api_key(view, id)
        .filter(|key| caller.reaches_key(view, key))
        .ok_or_else(|| ApiError::not_found("api key"))
}

fn rendered(view: &dyn View, key: &ApiKey) -> Vec<u8> {
    let environments: Vec<_> = key
        .environments()
        .filter_map(|id| query::environment(view, id))
        .collect();
    render::to_bytes(&ApiKeyObject::new(key, &environments))
}

/// Whether an answer has the key's text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    WithText,
    WithoutText,
}

/// Shows the key that a command made or changed. Environments are never renamed or removed, so
/// those of a stored reply are still what they were.
fn answer(api: &Api, applied: Applied, status: StatusCode, shown: Shown) -> Answered {
    answer::applied(applied, status, |outcome| {
        let Outcome::ApiKey(key) = outcome else {
            return None;
        };
        let find = |view: &dyn View| {
            let ids = key.environments();
            ids.filter_map(|id| query::environment(view, id)).collect()
        };
        let (environments, _): (Vec<_>, _) = api.control.read_local(find).ok()?;
        let object = ApiKeyObject::new(key, &environments);
        if shown == Shown::WithoutText {
            return Some(render::to_bytes(&object));
        }
        // The key as the answer has it: with the hash that it was given then.
        let made_of = (&key.id, key.salt.as_ref()?);
        let Some(secret) = api.keys.secret(key.kind, made_of, &key.hash) else {
            tracing::warn!(
                key = %key.id,
                "a retry cannot be shown the key's text: it was made under a pepper that \
                 security.pepper_file has no more"
            );
            return Some(render::to_bytes(&object));
        };
        Some(render::to_bytes(&object.revealing(secret.reveal())))
    })
}

/// The command that makes what was hashed under a pepper. The pepper is named once the cluster has had another one: releases of
/// before that are no members since.
pub(super) fn issue(
    api: &Api,
    pepper: PepperId,
    to: KeyIssue,
) -> Result<impl FnOnce(Actor) -> Command + use<>, ApiError> {
    let (peppering, _) = api.control.read_local(|view| query::peppering(view))?;
    Ok(move |actor| match (peppering, to) {
        (Some(_), to) => Command::IssueKey(actor, IssueKey { to, pepper }),
        (None, KeyIssue::CreateApiKey(create)) => Command::CreateApiKey(actor, create),
        (None, KeyIssue::RollApiKey(roll)) => Command::RollApiKey(actor, roll),
        (None, KeyIssue::CreateEdgeToken(create)) => Command::CreateEdgeToken(actor, create),
    })
}

fn salt(api: &Api) -> KeySalt {
    let mut bytes = [0; 16];
    api.entropy.fill(&mut bytes);
    KeySalt(bytes)
}

/// The `scopes` of a new key.
#[derive(Default)]
struct NewScopes {
    /// By name or identifier.
    environments: Vec<String>,
    routes: Vec<RouteId>,
    methods: Vec<Verb>,
    resources: Vec<ResourceScope>,
}

impl NewScopes {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let Some(scopes) = fields.object("scopes")? else {
            return Ok(Self::default());
        };
        let mut scopes = Fields::of(Value::Object(scopes), "scopes", &SCOPES)?;
        let verb = |text: &str| Verb::ALL.into_iter().find(|verb| verb.as_str() == text);
        Ok(Self {
            environments: texts(&mut scopes, "environments", |text, _| Ok(text.to_owned()))?,
            routes: texts(&mut scopes, "routes", |text, path| {
                RouteId::parse(text).map_err(|_| ApiError::not_found("route").at(path))
            })?,
            methods: texts(&mut scopes, "methods", |text, path| {
                verb(text).ok_or_else(|| ApiError::invalid(path, METHODS))
            })?,
            resources: texts(&mut scopes, "resources", |text, path| {
                ResourceScope::parse(text).ok_or_else(|| ApiError::invalid(path, RESOURCES))
            })?,
        })
    }
}

const METHODS: &str = "Must be one of: GET, POST, PATCH, DELETE.";

const RESOURCES: &str = "Must be a resource and what may be done with it, such as rules:read.";

/// An array of strings, each read by `parse`, which is told its path.
fn texts<T>(
    fields: &mut Fields,
    name: &str,
    parse: impl Fn(&str, String) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    Ok(optional_texts(fields, name, parse)?.unwrap_or_default())
}

/// The same of an array that means something when it is empty.
fn optional_texts<T>(
    fields: &mut Fields,
    name: &str,
    parse: impl Fn(&str, String) -> Result<T, ApiError>,
) -> Result<Option<Vec<T>>, ApiError> {
    let Some(items) = fields.array(name)? else {
        return Ok(None);
    };
    let path = fields.path(name);
    let item = |(index, item): (usize, Value)| {
        let path = format!("{path}[{index}]");
        match item {
            Value::String(text) => parse(&text, path),
            _ => Err(ApiError::invalid(path, "Must be a string.")),
        }
    };
    let items = items.into_iter().enumerate().map(item);
    items.collect::<Result<_, _>>().map(Some)
}

/// The environments of a new key, in the order in which they are named; unless any is, the one
/// that the caller acts in.
fn named(
    view: &dyn View,
    caller: &Caller,
    names: &[String],
) -> Result<Vec<EnvironmentId>, ApiError> {
    if names.is_empty() {
        return Ok(vec![caller.environment_id.clone()]);
    }
    let known = query::workspace_environments(view, &caller.workspace_id);
    let find = |(index, name): (usize, &String)| {
        let mut reached = known.iter().filter(|known| caller.reaches(known));
        let found = reached.find(|known| known.name == *name || known.id.as_str() == name);
        found.map(|known| known.id.clone()).ok_or_else(|| {
            ApiError::not_found("environment").at(format!("scopes.environments[{index}]"))
        })
    };
    names.iter().enumerate().map(find).collect()
}
