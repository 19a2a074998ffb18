//! What publishing a route's draft would say. It is asked with `POST`, and changes nothing.

use std::sync::Arc;

use domain::id::RouteId;
use domain::query::{self, Validation};
use domain::rejection::Problem;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::error::{ApiError, Detail};
use super::openapi::shape;
use super::pipeline::{Call, Presence};

/// What publishing would say.
#[derive(Serialize, ToSchema)]
#[schema(as = Validation)]
pub(crate) struct ValidationObject<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    /// The draft that was looked at.
    #[schema(value_type = shape::SnapshotId)]
    draft_snapshot_id: &'a str,
    /// Whether there are no errors.
    valid: bool,
    /// What keeps it from being published, up to 100.
    errors: Vec<Detail>,
    /// What is published all the same, up to 100.
    warnings: Vec<Detail>,
}

pub(crate) async fn validate(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("route", RouteId::parse)?;
    call.object(Presence::None).await?;
    let seen = api
        .read(call.consistency, |view| {
            query::validate(view, &caller.environment_id, &id)
        })
        .await?;
    let validation = seen.value.map_err(ApiError::from)?;
    let Validation {
        draft_id,
        errors,
        warnings,
    } = validation;
    let object = ValidationObject {
        object: "validation",
        environment: &caller.environment,
        route_id: id.as_str(),
        draft_snapshot_id: draft_id.as_str(),
        valid: errors.is_empty(),
        errors: details(errors),
        warnings: details(warnings),
    };
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

fn details(problems: Vec<Problem>) -> Vec<Detail> {
    problems.into_iter().map(Detail::from).collect()
}
