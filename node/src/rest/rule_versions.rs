//! The versions of a rule, with the values that each changed.

use std::sync::Arc;

use domain::id::{RuleId, SnapshotId};
use domain::model::{FieldChange, RuleVersion, RuleVersionNumber};
use domain::query;
use domain::rows::View;
use http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::listing::Listing;
use super::openapi::shape;
use super::page::{self, Paging};
use super::pipeline::Call;
use super::render::{self, Seconds, Stored};

/// A version, and the snapshot in which it first went live.
type Versioned = (RuleVersion, Option<SnapshotId>);

#[derive(Serialize, ToSchema)]
#[schema(as = RuleVersion)]
pub(crate) struct VersionObject<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::RuleId)]
    rule_id: &'a str,
    /// Counts from 1 without gaps.
    version: u32,
    #[schema(value_type = Vec<String>)]
    changed_fields: Vec<&'a str>,
    #[schema(value_type = Vec<ChangeObject<'static>>)]
    changes: Changes<'a>,
    #[schema(value_type = shape::ApiKeyId)]
    actor: &'a str,
    at: Seconds,
    /// The snapshot in which it first went live.
    #[schema(value_type = Option<shape::SnapshotId>)]
    snapshot_id: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RuleFieldChange)]
struct ChangeObject<'a> {
    field: &'a str,
    /// None in the first version.
    #[schema(value_type = Option<serde_json::Value>, required = true)]
    before: Option<Stored<'a>>,
    #[schema(value_type = serde_json::Value)]
    after: Stored<'a>,
}

struct Changes<'a>(&'a [FieldChange]);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|change| ChangeObject {
            field: change.field.as_str(),
            before: change.before.as_deref().map(Stored),
            after: Stored(&change.after),
        }))
    }
}

impl<'a> VersionObject<'a> {
    fn new((version, snapshot): &'a Versioned, rule: &'a RuleId, environment: &'a str) -> Self {
        let changes = version.changes.iter();
        Self {
            object: "rule_version",
            environment,
            rule_id: rule.as_str(),
            version: version.version.0,
            changed_fields: changes.map(|change| change.field.as_str()).collect(),
            changes: Changes(&version.changes),
            actor: version.actor.as_str(),
            at: Seconds(version.at),
            snapshot_id: snapshot.as_ref().map(SnapshotId::as_str),
        }
    }
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let listing = Listing {
        name: "rule_versions",
        filter: id.to_string(),
        paging,
    };
    let position = |item: &_| position(item, &id);
    let find = |view: &dyn View, before: Option<Position>, limit| {
        let environment = &caller.environment_id;
        query::rule(view, environment, &id).ok_or_else(|| ApiError::not_found("rule"))?;
        let before = before.as_ref().and_then(place);
        let page = query::rule_versions_page(view, environment, &id, before, limit);
        Ok(page::whole(page, position))
    };
    let show = |bytes: &mut Vec<u8>, item: &_| {
        render::append(bytes, &VersionObject::new(item, &id, &caller.environment));
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

fn position((version, _): &Versioned, rule: &RuleId) -> Position {
    Position {
        id: rule.to_string(),
        key: version.version.0.into(),
    }
}

fn place(position: &Position) -> Option<RuleVersionNumber> {
    u32::try_from(position.key).ok().map(RuleVersionNumber)
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    // What is no number is no version.
    let number = call.param(1).parse().map(RuleVersionNumber);
    let number = number.map_err(|_| ApiError::not_found("version"))?;
    let find = |view: &dyn View| {
        query::rule(view, &caller.environment_id, &id)
            .ok_or_else(|| ApiError::not_found("rule"))?;
        query::rule_version(view, &caller.environment_id, &id, number)
            .ok_or_else(|| ApiError::not_found("version"))
    };
    let seen = api.read(call.consistency, find).await?;
    let found = seen.value?;
    let object = VersionObject::new(&found, &id, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}
