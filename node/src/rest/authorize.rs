//! Whether the caller's key suffices for an operation: the one place where policies meet scopes.
//!
//! Live and test keys are not restricted within their environment, and cost nothing here. For a
//! restricted key what is missing is 403 `insufficient_scope`, but never before it is certain that
//! the object in the path exists for the caller: of others' objects nobody learns by a 403. That a
//! rule or a snapshot belongs to a route never changes, so what is looked up here still holds when
//! the operation is carried out.

use domain::id::{
    ApiKeyId, AuditId, CertificateId, EdgeTokenId, EnvironmentId, EventId, RouteId, RuleId,
    SnapshotId, UpstreamId, WebhookDeliveryId, WebhookEndpointId,
};
use domain::model::{Grant, KeyKind, Resource, ResourceScope, Verb};
use domain::query;
use domain::rows::View;
use http::Method;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::pipeline::Call;
use super::policy::{Policy, Target};

/// Refuses a request for which the caller's key does not suffice.
pub(crate) async fn authorize(
    api: &Api,
    policy: Policy,
    caller: &Caller,
    call: &Call,
) -> Result<(), ApiError> {
    let (missing, target) = match policy {
        Policy::Open => return Err(ApiError::internal()),
        Policy::Own => return Ok(()),
        _ if caller.kind != KeyKind::Restricted => return Ok(()),
        Policy::Managed { target } => (Some(MANAGES_NOTHING.to_owned()), target),
        Policy::Scoped {
            resource,
            grant,
            target,
        } => (lacking(caller, call, resource, grant, target), target),
    };
    let routes = if target.is_in_the_path() && (missing.is_some() || caller.is_confined()) {
        let find = |view: &dyn View| routes(view, target, caller, call);
        api.read(call.consistency, find).await?.value?
    } else {
        Vec::new()
    };
    match missing {
        Some(message) => Err(ApiError::insufficient_scope(message)),
        None => routes.iter().try_for_each(|route| within(caller, route)),
    }
}

/// What the scopes of a restricted key lack for an operation, whichever object it is about.
fn lacking(
    caller: &Caller,
    call: &Call,
    resource: Resource,
    grant: Grant,
    target: Target,
) -> Option<String> {
    let scopes = &caller.scopes;
    if verb(&call.method).is_none_or(|verb| !scopes.allows_method(verb)) {
        return Some(format!("The key is not for the method {}.", call.method));
    }
    if !scopes.allows_resource(resource, grant) {
        let wanted = ResourceScope { resource, grant };
        return Some(format!("The key lacks the scope {wanted}."));
    }
    if caller.is_confined() && grant == Grant::Write && !target.is_of_a_route() {
        let message = "The key is confined to routes, and this concerns all of them.";
        return Some(message.to_owned());
    }
    None
}

const MANAGES_NOTHING: &str = "A restricted key does not manage the workspace.";

/// Refuses what needs another scope than the operation's own: a change that is also published.
pub(crate) fn also(caller: &Caller, resource: Resource, grant: Grant) -> Result<(), ApiError> {
    if caller.kind != KeyKind::Restricted || caller.scopes.allows_resource(resource, grant) {
        return Ok(());
    }
    let wanted = ResourceScope { resource, grant };
    let message = format!("The key lacks the scope {wanted}.");
    Err(ApiError::insufficient_scope(message))
}

/// Refuses what belongs to a route that the key is not for. The route must exist for the caller.
pub(crate) fn within(caller: &Caller, route: &RouteId) -> Result<(), ApiError> {
    if caller.sees_route(route) {
        return Ok(());
    }
    Err(ApiError::insufficient_scope(
        "The key is not for this route.",
    ))
}

impl Target {
    /// Whether there is an object to be looked up.
    fn is_in_the_path(self) -> bool {
        !matches!(self, Self::Shared | Self::Filtered)
    }

    /// Whether changing it changes one route.
    fn is_of_a_route(self) -> bool {
        match self {
            Self::Filtered | Self::Route | Self::Rule | Self::Snapshot | Self::Snapshots => true,
            // Events are replayed to endpoints, which get those of all routes.
            Self::Event
            | Self::AuditEntry
            | Self::Shared
            | Self::Upstream
            | Self::ApiKey
            | Self::Environment
            | Self::WebhookEndpoint
            | Self::Certificate
            | Self::EdgeToken
            | Self::WebhookDelivery => false,
        }
    }
}

/// The routes that the object in the path belongs to; an error if there is no such object.
fn routes(
    view: &dyn View,
    target: Target,
    caller: &Caller,
    call: &Call,
) -> Result<Vec<RouteId>, ApiError> {
    let environment = &caller.environment_id;
    let of_none = |exists: bool, object| match exists {
        true => Ok(Vec::new()),
        false => Err(ApiError::not_found(object)),
    };
    match target {
        Target::Shared | Target::Filtered => Ok(Vec::new()),
        Target::Route => {
            let id = call.id("route", RouteId::parse)?;
            let route = query::route(view, environment, &id);
            one(route.map(|(route, _)| route.id), "route")
        }
        Target::Rule => {
            let id = call.id("rule", RuleId::parse)?;
            let rule = query::rule(view, environment, &id);
            one(rule.map(|rule| rule.route_id), "rule")
        }
        Target::Snapshot => one(route_of(view, caller, call.param(0)), "snapshot"),
        Target::Snapshots => compared(view, caller, call),
        Target::Upstream => {
            let id = call.id("upstream", UpstreamId::parse)?;
            of_none(
                query::upstream(view, environment, &id).is_some(),
                "upstream",
            )
        }
        // Which of their routes the caller must be allowed, the operations say themselves.
        Target::Event => {
            let id = call.id("event", EventId::parse)?;
            of_none(query::event(view, environment, &id).is_some(), "event")
        }
        Target::AuditEntry => {
            let id = call.id("audit entry", AuditId::parse)?;
            let found = query::audit_entry(view, environment, &id);
            of_none(found.is_some(), "audit entry")
        }
        Target::WebhookEndpoint => {
            let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
            let found = query::webhook_endpoint(view, environment, &id);
            of_none(found.is_some(), "webhook endpoint")
        }
        Target::Certificate => {
            let id = call.id("certificate", CertificateId::parse)?;
            let found = query::certificate(view, environment, &id);
            of_none(found.is_some(), "certificate")
        }
        Target::EdgeToken => {
            let id = call.id("edge token", EdgeTokenId::parse)?;
            let found = query::edge_token(view, environment, &id);
            of_none(found.is_some(), "edge token")
        }
        Target::WebhookDelivery => {
            let id = call.id("webhook delivery", WebhookDeliveryId::parse)?;
            let found = query::webhook_delivery(view, environment, &id);
            of_none(found.is_some(), "webhook delivery")
        }
        Target::ApiKey => {
            let id = call.id("api key", ApiKeyId::parse)?;
            let key = query::api_key(view, &id);
            of_none(
                key.is_some_and(|key| caller.reaches_key(view, &key)),
                "api key",
            )
        }
        Target::Environment => {
            let id = call.id("environment", EnvironmentId::parse)?;
            let found = query::environment(view, &id);
            of_none(
                found.is_some_and(|environment| caller.reaches(&environment)),
                "environment",
            )
        }
    }
}

fn one(route: Option<RouteId>, object: &str) -> Result<Vec<RouteId>, ApiError> {
    route
        .map(|route| vec![route])
        .ok_or_else(|| ApiError::not_found(object))
}

fn route_of(view: &dyn View, caller: &Caller, id: &str) -> Option<RouteId> {
    let id = SnapshotId::parse(id).ok()?;
    let snapshot = query::snapshot(view, &caller.environment_id, &id)?;
    Some(snapshot.route_id)
}

/// The routes of a comparison's sides. What else is wrong with them the operation says itself.
fn compared(view: &dyn View, caller: &Caller, call: &Call) -> Result<Vec<RouteId>, ApiError> {
    let mut routes = Vec::new();
    for side in [call.param(0), call.param(1)] {
        if !matches!(side, "draft" | "active") {
            routes.extend(one(route_of(view, caller, side), "snapshot")?);
        }
    }
    let named = call.query.peek("route_id").map(RouteId::parse);
    if let Some(Ok(id)) = named {
        let found = query::route(view, &caller.environment_id, &id);
        routes.extend(found.map(|(route, _)| route.id));
    }
    Ok(routes)
}

fn verb(method: &Method) -> Option<Verb> {
    match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        Method::PATCH => Some(Verb::Patch),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    }
}
