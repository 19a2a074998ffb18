//! Rules, one and several, and routes.

use utoipa::ToSchema;

use super::super::shape;

/// A new rule.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleCreate {
    route_id: shape::RouteId,
    name: shape::Name,
    priority: shape::Priority,
    r#match: shape::Match,
    action: shape::Action,
    metadata: Option<shape::Metadata>,
}

/// A change of a rule: the fields that are there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleUpdate {
    name: Option<shape::Name>,
    priority: Option<shape::Priority>,
    r#match: Option<shape::Match>,
    action: Option<shape::Action>,
    metadata: Option<shape::MetadataPatch>,
    status: Option<shape::DesiredRuleStatus>,
}

/// Several changes of rules that all happen, or none.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    operations: shape::RuleOperations,
}

/// One change in a batch. It is judged on what the ones before it leave.
#[derive(ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum RuleOperation {
    Create(RuleCreate),
    Update(BatchUpdate),
    Archive(BatchArchive),
}

/// A change of the rule with this identifier.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchUpdate {
    id: shape::RuleId,
    #[serde(flatten)]
    fields: RuleUpdate,
}

/// The end of the rule with this identifier.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchArchive {
    id: shape::RuleId,
}

/// A new order of a route's rules: the whole order, or moves.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reorder {
    rule_ids: Option<shape::RuleIds>,
    moves: Option<shape::RuleMoves>,
}

/// A rule and its new place. Rules that move may take each other's places.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleMove {
    rule_id: shape::RuleId,
    priority: shape::Priority,
}

/// How a rule or a route is switched.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    /// Whether the change goes live at once, and nothing else with it; `false` unless given.
    publish: Option<bool>,
    comment: Option<shape::Comment>,
}

/// What is purged of what edges keep of a route's answers.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purge {
    /// Everything unless given. Each on all ports and schemes, and as the route's `cache.key` reads it.
    #[schema(min_items = 1, max_items = 30)]
    urls: Option<Vec<shape::PurgedUrl>>,
}

/// A new route.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteCreate {
    name: shape::Name,
    hostname: shape::Hostname,
    mode: shape::RouteMode,
    /// Whether edges serve it; `true` unless given.
    enabled: Option<bool>,
    config: shape::RouteConfig,
}

/// A change of a route: the fields that are there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteUpdate {
    name: Option<shape::Name>,
    hostname: Option<shape::Hostname>,
    mode: Option<shape::RouteMode>,
    enabled: Option<bool>,
    config: Option<shape::RouteConfigPatch>,
}
