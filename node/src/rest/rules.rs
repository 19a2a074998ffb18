//! Rules: list, create, get, patch, archive.

use std::sync::Arc;

use domain::command::{ArchiveRule, Command, CreateRule, DesiredStatus, UpdateRule};
use domain::content::{Action, Criteria, Invalid, InvalidKind, action_upstreams};
use domain::id::{RouteId, RuleId, SnapshotId, UpstreamId};
use domain::model::{Metadata, PRIORITY_MAX, Priority, Rule, RuleStatus};
use domain::outcome::{Applied, Outcome};
use domain::query::{self, RuleFilter};
use domain::rows::View;
use http::StatusCode;
use serde_json::{Map, Value};

use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::{ApiError, Code};
use super::etag::ETag;
use super::fields::Fields;
use super::limits;
use super::listing::Listing;
use super::object::RuleObject;
use super::page::{self, Paging, Scanned};
use super::pipeline::{Call, Presence};
use super::query::Query;
use super::{Api, authorize, render};

pub(crate) const STATUSES: [(&str, RuleStatus); 4] = [
    ("draft", RuleStatus::Draft),
    ("active", RuleStatus::Active),
    ("paused", RuleStatus::Paused),
    ("archived", RuleStatus::Archived),
];

pub(crate) const DESIRED: [(&str, DesiredStatus); 2] = [
    ("active", DesiredStatus::Active),
    ("paused", DesiredStatus::Paused),
];

/// What a rule is made of.
pub(crate) const CREATED: [&str; 6] = [
    "route_id", "name", "priority", "match", "action", "metadata",
];

/// What of a rule can be changed.
pub(crate) const UPDATED: [&str; 6] = ["name", "priority", "match", "action", "metadata", "status"];

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let rule = created(&api, &mut Fields::new(body, &CREATED)?)?;
    check_route(&api, &caller, &call, &rule.route_id).await?;
    limits::of_route(&api, &caller, &call.course.standings, &rule.route_id, 1).await?;
    let applied = api
        .propose(&caller, &call, |actor| Command::CreateRule(actor, rule))
        .await?;
    answer(applied, StatusCode::CREATED, &caller)
}

/// A new rule with these fields.
pub(crate) fn created(api: &Api, fields: &mut Fields) -> Result<CreateRule, ApiError> {
    let (route_id, name) = (
        fields.id("route_id", "route", RouteId::parse)?,
        fields.text("name")?,
    );
    let priority = priority(fields)?;
    let (criteria, action) = (criteria(fields)?, action(fields)?);
    Ok(CreateRule {
        id: RuleId::new(api.seed()),
        draft_id: SnapshotId::new(api.seed()),
        route_id: fields.required("route_id", route_id)?,
        name: fields.required("name", name)?,
        priority: fields.required("priority", priority)?,
        criteria: fields.required("match", criteria)?,
        action: fields.required("action", action)?,
        metadata: labels(fields)?,
    })
}

/// A key that is confined to routes makes rules on these alone. A route that does not exist is
/// left to the state machine, which says so.
async fn check_route(
    api: &Api,
    caller: &Caller,
    call: &Call,
    route: &RouteId,
) -> Result<(), ApiError> {
    if caller.sees_route(route) {
        return Ok(());
    }
    let exists = |view: &dyn View| query::route(view, &caller.environment_id, route).is_some();
    if !api.read(call.consistency, exists).await?.value {
        return Err(ApiError::not_found("route").at("route_id"));
    }
    authorize::within(caller, route).map_err(|error| error.at("route_id"))
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    let body = call.object(Presence::Required).await?;
    let rule = updated(&api, id, &mut Fields::new(body, &UPDATED)?)?;
    let applied = api
        .propose(&caller, &call, |actor| Command::UpdateRule(actor, rule))
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

/// A change of a rule's fields to these.
pub(crate) fn updated(api: &Api, id: RuleId, fields: &mut Fields) -> Result<UpdateRule, ApiError> {
    Ok(UpdateRule {
        id,
        draft_id: SnapshotId::new(api.seed()),
        name: fields.text("name")?,
        priority: priority(fields)?,
        criteria: criteria(fields)?,
        action: action(fields)?,
        metadata: label_changes(fields)?,
        status: fields.choice("status", &DESIRED)?,
    })
}

pub(crate) async fn archive(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    call.object(Presence::None).await?;
    let rule = ArchiveRule {
        id,
        draft_id: SnapshotId::new(api.seed()),
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::ArchiveRule(actor, rule))
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            query::rule(view, &caller.environment_id, &id)
        })
        .await?;
    let rule = seen.value.ok_or_else(|| ApiError::not_found("rule"))?;
    Ok(
        Answer::json(StatusCode::OK, &RuleObject::new(&rule, &caller.environment))
            .at(seen.revision)
            .tagged(ETag::at(rule.revision)),
    )
}

fn answer(applied: Applied, status: StatusCode, caller: &Caller) -> Answered {
    answer::applied(applied, status, |outcome| match outcome {
        Outcome::Rule(rule) => Some(render::to_bytes(&RuleObject::new(
            rule,
            &caller.environment,
        ))),
        _ => None,
    })
}

pub(crate) fn priority(fields: &mut Fields) -> Result<Option<Priority>, ApiError> {
    let number = fields.integer("priority", 0, PRIORITY_MAX.into())?;
    Ok(number.map(|number| Priority(u32::try_from(number).unwrap_or(PRIORITY_MAX))))
}

/// The `match` object, checked and kept as it was sent.
fn criteria(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    checked(fields, "match", |value| {
        Criteria::from_json(value).map(drop)
    })
}

/// The `action` object, checked and kept as it was sent.
fn action(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    checked(fields, "action", |value| Action::from_json(value).map(drop))
}

fn checked(
    fields: &mut Fields,
    name: &str,
    check: impl FnOnce(&Value) -> Result<(), Invalid>,
) -> Result<Option<String>, ApiError> {
    let Some(map) = fields.object(name)? else {
        return Ok(None);
    };
    let value = Value::Object(map);
    check(&value).map_err(|invalid| wrong(invalid.under(&fields.path(name))))?;
    Ok(Some(value.to_string()))
}

/// What the content parsers say, as the API says it. A regular expression that is text but not
/// one that we take is well-formed and means nothing: 422.
pub(crate) fn wrong(invalid: Invalid) -> ApiError {
    let Invalid {
        param,
        kind,
        message,
    } = invalid;
    match kind {
        InvalidKind::Missing => ApiError::missing(param),
        InvalidKind::Unknown => ApiError::unknown(param),
        InvalidKind::Conflict => ApiError::new(Code::InvalidConfig, message).at(param),
        InvalidKind::Invalid if param.ends_with(".regex") => {
            ApiError::new(Code::ValidationFailed, message).at(param)
        }
        InvalidKind::Invalid => ApiError::invalid(param, message),
    }
}

fn label_text(path: &str, key: &str, value: Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(ApiError::invalid(
            format!("{path}.{key}"),
            "Must be a string.",
        )),
    }
}

fn labels(fields: &mut Fields) -> Result<Metadata, ApiError> {
    let map = fields.object("metadata")?.unwrap_or_default();
    let path = fields.path("metadata");
    map.into_iter()
        .map(|(key, value)| label_text(&path, &key, value).map(|text| (key, text)))
        .collect()
}

/// Labels to set, and with `null` to remove.
fn label_changes(fields: &mut Fields) -> Result<Vec<(String, Option<String>)>, ApiError> {
    let map: Map<String, Value> = fields.object("metadata")?.unwrap_or_default();
    let path = fields.path("metadata");
    let change = |(key, value): (String, Value)| {
        let text = if value.is_null() {
            None
        } else {
            Some(label_text(&path, &key, value)?)
        };
        Ok((key, text))
    };
    map.into_iter().map(change).collect()
}

/// What a list of rules is asked for. `hostname`, `upstream_id` and labels have no index: they
/// are looked for among the rows of the others, a bounded number for each page.
struct Filter {
    route_id: Option<RouteId>,
    status: Option<RuleStatus>,
    include_archived: bool,
    hostname: Option<String>,
    upstream_id: Option<UpstreamId>,
    labels: Vec<(String, String)>,
}

impl Filter {
    fn take(query: &mut Query, caller: &Caller) -> Result<Self, ApiError> {
        check_environment(query, caller)?;
        Ok(Self {
            route_id: query.id("route_id", "route", RouteId::parse)?,
            status: query.choice("status", &STATUSES)?,
            include_archived: query.boolean("include_archived")?.unwrap_or(false),
            hostname: query
                .text("hostname")
                .map(|hostname| hostname.to_ascii_lowercase()),
            upstream_id: query.id("upstream_id", "upstream", UpstreamId::parse)?,
            labels: query.labels("metadata"),
        })
    }

    /// Everything that decides what is in the list, in one spelling.
    fn canonical(&self) -> String {
        let id = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let parts = (
            id(self.route_id.as_ref().map(AsRef::as_ref)),
            self.status.map(RuleStatus::as_str),
            self.include_archived,
            &self.hostname,
            id(self.upstream_id.as_ref().map(AsRef::as_ref)),
            &self.labels,
        );
        String::from_utf8_lossy(&render::to_bytes(&parts)).into_owned()
    }

    fn indexed(&self, caller: &Caller) -> RuleFilter {
        RuleFilter {
            environment_id: caller.environment_id.clone(),
            route_id: self.route_id.clone(),
            status: self.status,
            include_archived: self.include_archived,
        }
    }

    /// A filter by something that does not exist, or that the caller's key is not for, is a
    /// mistake, not an empty list.
    fn check(&self, view: &dyn View, caller: &Caller) -> Result<(), ApiError> {
        let environment = &caller.environment_id;
        if self
            .route_id
            .as_ref()
            .is_some_and(|id| query::route(view, environment, id).is_none())
        {
            return Err(ApiError::not_found("route").at("route_id"));
        }
        if let Some(route) = &self.route_id {
            authorize::within(caller, route).map_err(|error| error.at("route_id"))?;
        }
        if self
            .upstream_id
            .as_ref()
            .is_some_and(|id| query::upstream(view, environment, id).is_none())
        {
            return Err(ApiError::not_found("upstream").at("upstream_id"));
        }
        Ok(())
    }

    /// Whether the index alone finds exactly what is asked for.
    fn is_indexed(&self, caller: &Caller) -> bool {
        let confined = caller.is_confined() && self.route_id.is_none();
        !confined && self.hostname.is_none() && self.upstream_id.is_none() && self.labels.is_empty()
    }

    fn keeps(&self, view: &dyn View, rule: &Rule) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| rule.metadata.get(key) == Some(value))
            && self
                .upstream_id
                .as_ref()
                .is_none_or(|upstream| uses(rule, upstream))
            && self.hostname.as_ref().is_none_or(|hostname| {
                query::route(view, &rule.environment_id, &rule.route_id)
                    .is_some_and(|(route, _)| route.hostname == *hostname)
            })
    }
}

/// A key sees one environment; naming that one is allowed, another one does not exist for it.
fn check_environment(query: &mut Query, caller: &Caller) -> Result<(), ApiError> {
    match query.text("environment") {
        Some(name) if name != caller.environment && name != caller.environment_id.as_str() => {
            Err(ApiError::not_found("environment").at("environment"))
        }
        _ => Ok(()),
    }
}

fn uses(rule: &Rule, upstream: &UpstreamId) -> bool {
    let action = serde_json::from_str(&rule.action)
        .ok()
        .and_then(|value| Action::from_json(&value).ok());
    action.is_some_and(|action| action_upstreams(&action).any(|used| used == upstream))
}

fn position(rule: &Rule) -> Position {
    Position {
        id: rule.id.to_string(),
        key: rule.priority.0.into(),
    }
}

fn place(position: &Position) -> Option<(Priority, RuleId)> {
    Some((
        Priority(u32::try_from(position.key).ok()?),
        RuleId::parse(&position.id).ok()?,
    ))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let (paging, filter) = (
        Paging::take(&mut query)?,
        Filter::take(&mut query, &caller)?,
    );
    query.finish()?;
    let listing = Listing {
        name: "rules",
        filter: filter.canonical(),
        paging,
    };
    let find = |view: &dyn View, after, limit| find(view, &caller, &filter, after, limit);
    let show = |bytes: &mut Vec<u8>, rule: &_| {
        render::append(bytes, &RuleObject::new(rule, &caller.environment));
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

fn find(
    view: &dyn View,
    caller: &Caller,
    filter: &Filter,
    after: Option<Position>,
    limit: usize,
) -> Result<Scanned<Rule>, ApiError> {
    filter.check(view, caller)?;
    let indexed = filter.indexed(caller);
    let fetch = |after: Option<&Position>, limit| {
        query::rules_page(view, &indexed, after.and_then(place), limit)
    };
    if filter.is_indexed(caller) {
        return Ok(page::whole(fetch(after.as_ref(), limit), position));
    }
    Ok(page::filtered(limit, after, position, fetch, |rule| {
        caller.sees_route(&rule.route_id) && filter.keeps(view, rule)
    }))
}
