//! The rule object.

use domain::model::{Metadata, Rule, RuleChange, RuleEvent};
use domain::rejection::Problem;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, Stored, seconds};

/// A rule as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Rule)]
pub(crate) struct RuleObject<'a> {
    #[schema(value_type = shape::RuleId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    #[schema(value_type = shape::Name)]
    name: &'a str,
    #[schema(value_type = shape::Priority)]
    priority: u32,
    #[schema(value_type = shape::RuleStatus)]
    status: &'static str,
    #[serde(rename = "match")]
    /// As it was sent.
    #[schema(value_type = shape::Match)]
    criteria: Stored<'a>,
    /// As it was sent.
    #[schema(value_type = shape::Action)]
    action: Stored<'a>,
    #[schema(value_type = shape::Metadata)]
    metadata: &'a Metadata,
    publication: Publication<'a>,
    validation: Validation<'a>,
    /// What happened to it, the oldest first, the last 50.
    #[schema(value_type = Vec<EventObject>)]
    events: Events<'a>,
    /// Its versions, the oldest first, the last 50.
    #[schema(value_type = Vec<VersionObject<'static>>)]
    versions: Versions<'a>,
    /// When it last went live.
    published_at: Option<u64>,
    created_at: Seconds,
    updated_at: Option<u64>,
    archived_at: Option<u64>,
}

/// What of a rule is live.
#[derive(Serialize, ToSchema)]
#[schema(as = RulePublication)]
struct Publication<'a> {
    #[schema(value_type = shape::PublicationStatus)]
    status: &'static str,
    /// The snapshot that it is live with.
    #[schema(value_type = Option<shape::SnapshotId>)]
    snapshot_id: Option<&'a str>,
    published_at: Option<u64>,
    /// Whether the draft has another state of it than what is live.
    pending_changes: bool,
}

/// What the last validation found.
#[derive(Serialize, ToSchema)]
#[schema(as = RuleValidation)]
struct Validation<'a> {
    #[schema(value_type = shape::ValidationStatus)]
    status: &'static str,
    #[schema(value_type = Vec<ErrorObject<'static>>)]
    errors: Errors<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RuleProblem)]
struct ErrorObject<'a> {
    code: &'a str,
    message: &'a str,
    /// Where in the rule.
    param: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RuleEvent)]
struct EventObject {
    #[schema(value_type = shape::RuleEventType)]
    r#type: &'static str,
    at: Seconds,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RuleVersionSummary)]
struct VersionObject<'a> {
    version: u32,
    #[schema(value_type = Vec<String>)]
    changed_fields: Vec<&'static str>,
    #[schema(value_type = shape::ApiKeyId)]
    actor: &'a str,
    at: Seconds,
    /// The snapshot in which it first went live.
    #[schema(value_type = Option<shape::SnapshotId>)]
    snapshot_id: Option<&'a str>,
}

struct Errors<'a>(&'a [Problem]);

impl Serialize for Errors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|problem| ErrorObject {
            code: &problem.code,
            message: &problem.message,
            param: problem.param.as_deref(),
        }))
    }
}

struct Events<'a>(&'a [RuleEvent]);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|event| EventObject {
            r#type: event.kind.as_str(),
            at: Seconds(event.at),
        }))
    }
}

struct Versions<'a>(&'a [RuleChange]);

impl Serialize for Versions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|change| {
            VersionObject {
                version: change.version,
                changed_fields: change
                    .changed_fields
                    .iter()
                    .map(|field| field.as_str())
                    .collect(),
                actor: change.actor.as_str(),
                at: Seconds(change.at),
                snapshot_id: change.snapshot_id.as_ref().map(AsRef::as_ref),
            }
        }))
    }
}

impl<'a> RuleObject<'a> {
    /// Shows a rule; `environment` is the name of the environment it lives in.
    pub(crate) fn new(rule: &'a Rule, environment: &'a str) -> Self {
        let published_at = seconds(rule.published.as_ref().map(|published| published.at));
        Self {
            id: rule.id.as_str(),
            object: "rule",
            environment,
            route_id: rule.route_id.as_str(),
            name: &rule.name,
            priority: rule.priority.0,
            status: rule.status.as_str(),
            criteria: Stored(&rule.criteria),
            action: Stored(&rule.action),
            metadata: &rule.metadata,
            publication: Publication {
                status: if rule.published.is_some() {
                    "published"
                } else {
                    "unpublished"
                },
                snapshot_id: rule
                    .published
                    .as_ref()
                    .map(|published| published.snapshot_id.as_str()),
                published_at,
                pending_changes: rule.pending_changes,
            },
            validation: Validation {
                status: if rule.problems.is_empty() {
                    "passed"
                } else {
                    "failed"
                },
                errors: Errors(&rule.problems),
            },
            events: Events(&rule.events),
            versions: Versions(&rule.versions),
            published_at,
            created_at: Seconds(rule.created_at),
            updated_at: seconds(rule.updated_at),
            archived_at: seconds(rule.archived_at),
        }
    }
}
