//! Rules, routes, upstreams and targets.

use http::StatusCode;

use super::super::super::error::Code;
use super::super::super::object::{Deleted, RouteObject, RuleObject, TargetObject, UpstreamObject};
use super::super::super::operation::*;
use super::super::super::purges::PurgeObject;
use super::super::super::rule_versions::VersionObject;
use super::super::super::upstream_health::UpstreamHealthObject;
use super::super::super::validation::ValidationObject;
use super::super::composed::{SwitchedRoute, SwitchedRule};
use super::super::described::{
    Content, Described, Paging, Parameter, by, delete, flag, get, patch, post, text, under,
};
use super::super::request::rules::{
    Batch, Purge, Reorder, RouteCreate, RouteUpdate, RuleCreate, RuleUpdate, Switch,
};
use super::super::request::upstreams::{
    NewTarget, ShiftStart, TargetUpdate, UpstreamCreate, UpstreamUpdate,
};
use super::super::schemas::Typed;

const ID: &str = "$response.body#/id";

/// What a change of a rule may be refused with.
const OF_A_RULE: [Code; 4] = [
    Code::PriorityConflict,
    Code::ResourceArchived,
    Code::ValidationFailed,
    Code::LimitExceeded,
];

/// What a change that is published at once may be refused with.
const OF_A_SWITCH: [Code; 7] = [
    Code::ResourceArchived,
    Code::RouteDisabled,
    Code::SnapshotNotPublishable,
    Code::PriorityConflict,
    Code::ValidationFailed,
    Code::HostnameConflict,
    Code::LimitExceeded,
];

const OF_A_ROUTE: [Code; 5] = [
    Code::ResourceArchived,
    Code::ValidationFailed,
    Code::InvalidConfig,
    Code::HostnameConflict,
    Code::LimitExceeded,
];

pub(super) fn rows() -> Vec<Described> {
    let mut rows = under("Rules", rules());
    rows.extend(under("Routes", routes()));
    rows.extend(under("Upstreams", upstreams()));
    rows
}

fn filters_of_rules() -> [Parameter; 7] {
    let labels = Parameter {
        style: Some(("deepObject", true)),
        ..by("metadata", "Metadata", "Only with these labels. A scan.")
    };
    [
        by("route_id", "RouteId", "Only of this route."),
        by("status", "RuleStatus", "Only in this state."),
        flag(
            "include_archived",
            "Archived rules as well; without `status`.",
        ),
        text("environment", "The key's own, by name or identifier."),
        text("hostname", "Only of the route with this host name. A scan."),
        by(
            "upstream_id",
            "UpstreamId",
            "Only with an action that names it. A scan.",
        ),
        labels,
    ]
}

fn rules() -> Vec<Described> {
    vec![
        get(RULES_LIST, "List rules")
            .about("By priority, then identifier.")
            .lists::<RuleObject<'_>>()
            .with(filters_of_rules()),
        post(RULES_CREATE, "Create a rule")
            .about("A draft, which goes live when its route is published. Counts for its route's limit as well.")
            .takes::<RuleCreate>()
            .makes::<RuleObject<'_>>()
            .tagged()
            .refused(&OF_A_RULE)
            .refused(&[Code::RouteDisabled])
            .leads("/v2/rules/{id}", ID),
        get(RULES_GET, "Get a rule").gives::<RuleObject<'_>>().tagged(),
        patch(RULES_UPDATE, "Change a rule")
            .about("Changes the fields that are there. A live rule changes when its route is published.")
            .takes::<RuleUpdate>()
            .gives::<RuleObject<'_>>()
            .tagged()
            .refused(&OF_A_RULE),
        delete(RULES_ARCHIVE, "Archive a rule")
            .about("Again on an archived rule: the same answer. A live rule is paused and its route published first.")
            .gives::<RuleObject<'_>>()
            .tagged()
            .refused(&[Code::RulePublished, Code::ResourceArchived]),
        post(RULES_PAUSE, "Pause a rule")
            .about("As a patch of `status` would; with `publish` it goes live at once, and nothing else with it.")
            .may_take::<Switch>()
            .gives::<SwitchedRule>()
            .refused(&OF_A_SWITCH),
        post(RULES_RESUME, "Resume a rule")
            .about("As a patch of `status` would; with `publish` it goes live at once, and nothing else with it.")
            .may_take::<Switch>()
            .gives::<SwitchedRule>()
            .refused(&OF_A_SWITCH),
        post(RULES_BATCH, "Change several rules")
            .about("All of it happens, or nothing. The rules come back in the order of the operations.")
            .takes::<Batch>()
            .gives_all::<RuleObject<'_>>()
            .refused(&OF_A_RULE)
            .refused(&[Code::RouteDisabled, Code::RulePublished]),
        get(RULES_VERSIONS, "List a rule's versions")
            .about("The newest first.")
            .lists::<VersionObject<'_>>(),
        get(RULES_VERSION, "Get a version of a rule").gives::<VersionObject<'_>>(),
        post(ROUTES_REORDER, "Reorder a route's rules")
            .about("Takes the whole order, or moves. The rules come back by priority.")
            .takes::<Reorder>()
            .gives_all::<RuleObject<'_>>()
            .refused(&OF_A_RULE),
    ]
}

fn routes() -> Vec<Described> {
    vec![
        get(ROUTES_LIST, "List routes")
            .about("By creation.")
            .answers(
                StatusCode::OK,
                [Content::List(Typed::of::<RouteObject<'_>>())],
            )
            .paged(Paging::Everything)
            .with([flag("include_archived", "Archived routes as well.")]),
        post(ROUTES_CREATE, "Create a route")
            .takes::<RouteCreate>()
            .makes::<RouteObject<'_>>()
            .tagged()
            .refused(&OF_A_ROUTE)
            .refused(&[Code::RouteLimitExceeded])
            .leads("/v2/routes/{id}", ID),
        get(ROUTES_GET, "Get a route")
            .gives::<RouteObject<'_>>()
            .tagged(),
        patch(ROUTES_UPDATE, "Change a route")
            .about("Changes the fields that are there, and gives the route a new draft.")
            .takes::<RouteUpdate>()
            .gives::<RouteObject<'_>>()
            .tagged()
            .refused(&OF_A_ROUTE),
        delete(ROUTES_ARCHIVE, "Archive a route")
            .about("One that is not live, or whose live snapshot is disabled.")
            .gives::<RouteObject<'_>>()
            .tagged()
            .refused(&[Code::RoutePublished]),
        post(ROUTES_ENABLE, "Enable a route")
            .about("With `publish` it goes live at once, and nothing else with it.")
            .may_take::<Switch>()
            .gives::<SwitchedRoute>()
            .refused(&OF_A_SWITCH),
        post(ROUTES_DISABLE, "Disable a route")
            .about("With `publish` it goes live at once, and nothing else with it.")
            .may_take::<Switch>()
            .gives::<SwitchedRoute>()
            .refused(&OF_A_SWITCH),
        post(ROUTES_PURGE, "Purge a route's caches")
            .about(
                "Edges give up what they keep of the named URLs, or everything of the route. An edge that \
                 serves by the manifest in the answer, or a later one, has done so; one that is away does so \
                 when it is back.",
            )
            .may_take::<Purge>()
            .gives::<PurgeObject<'_>>()
            .refused(&[Code::ResourceArchived, Code::LimitExceeded]),
        post(ROUTES_VALIDATE, "Validate a route's draft")
            .about("Says what publishing would say, and changes nothing.")
            .gives::<ValidationObject<'_>>()
            .refused(&[Code::ResourceArchived]),
    ]
}

fn upstreams() -> Vec<Described> {
    let of_an_upstream = [
        Code::LimitExceeded,
        Code::ValidationFailed,
        Code::InvalidConfig,
    ];
    let target = || vec![("id", "$request.path.id"), ("target", ID)];
    vec![
        get(UPSTREAMS_LIST, "List upstreams")
            .about("By creation.")
            .lists::<UpstreamObject<'_>>(),
        post(UPSTREAMS_CREATE, "Create an upstream")
            .takes::<UpstreamCreate>()
            .makes::<UpstreamObject<'_>>()
            .tagged()
            .refused(&of_an_upstream)
            .leads("/v2/upstreams/{id}", ID),
        get(UPSTREAMS_GET, "Get an upstream")
            .gives::<UpstreamObject<'_>>()
            .tagged(),
        patch(UPSTREAMS_UPDATE, "Change an upstream")
            .about("Gives every route that uses it a new draft.")
            .takes::<UpstreamUpdate>()
            .gives::<UpstreamObject<'_>>()
            .tagged()
            .refused(&of_an_upstream)
            .refused(&[Code::ShiftInProgress]),
        get(UPSTREAMS_HEALTH, "Get an upstream's health")
            .about("How the edges see its targets, gathered from all nodes now, region by region.")
            .gives::<UpstreamHealthObject<'_>>(),
        delete(UPSTREAMS_DELETE, "Delete an upstream")
            .about("One that neither a draft nor a live snapshot uses.")
            .gives::<Deleted<'_>>()
            .refused(&[Code::UpstreamInUse]),
        get(TARGETS_LIST, "List an upstream's targets")
            .about("By identifier.")
            .lists::<TargetObject<'_>>(),
        post(TARGETS_CREATE, "Add a target")
            .about("It comes after the others.")
            .takes::<NewTarget>()
            .makes::<TargetObject<'_>>()
            .refused(&of_an_upstream)
            .leads_by("/v2/upstreams/{id}/targets/{target}", target()),
        get(TARGETS_GET, "Get a target").gives::<TargetObject<'_>>(),
        patch(TARGETS_UPDATE, "Change a target")
            .about("Changes the fields that are there.")
            .takes::<TargetUpdate>()
            .gives::<TargetObject<'_>>()
            .refused(&of_an_upstream)
            .refused(&[Code::ShiftInProgress]),
        delete(TARGETS_DELETE, "Remove a target")
            .gives::<Deleted<'_>>()
            .refused(&[Code::ShiftInProgress]),
        post(UPSTREAMS_SHIFT, "Shift weight to another target")
            .about(
                "Moves the whole weight of a target to another one in steps, the first of them now and each further \
                 one after `interval_s`. Every step is live by itself: with it, each route that serves by the \
                 upstream gets a snapshot that differs in these weights alone. What `abort_on` names brings the \
                 weights of the start back. How far it is stands in `shift` of the upstream.",
            )
            .takes::<ShiftStart>()
            .gives::<UpstreamObject<'_>>()
            .tagged()
            .refused(&[
                Code::ShiftInProgress,
                Code::InvalidConfig,
                Code::LimitExceeded,
                Code::SnapshotNotPublishable,
            ]),
        delete(UPSTREAMS_CANCEL_SHIFT, "End a shift")
            .about("The weights stay as they are, unless they are to go back.")
            .with([flag("revert", "Brings the weights of the start back, live at once.")])
            .gives::<UpstreamObject<'_>>()
            .tagged()
            .refused(&[Code::ShiftNotRunning]),
    ]
}
