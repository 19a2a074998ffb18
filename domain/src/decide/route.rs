//! Routes: making, changing and archiving them.
//!
//! ```text
//! create -> draft ---publish---> live ---publish disabled---> live, disabled
//!             |                                                   |
//!             +------------------- archive -----------------------+-> archived
//! ```

use serde_json::Value;

use super::content::{References, config_references, read_config};
use super::draft::Drafting;
use super::freeze::settings_differ;
use super::manifest::move_manifest;
use super::{Context, Judgement, certificate, check, id_taken, not_found, nothing};
use crate::command::{Actor, ArchiveRoute, CreateRoute, UpdateRoute};
use crate::content::{merge_patch, route_key};
use crate::event::{Event, RoutePlace};
use crate::id::RouteId;
use crate::machine::Decision;
use crate::model::{Purges, Route};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{HOSTNAMES, ROUTE_COUNTS, ROUTES, WORKSPACES};

pub(super) fn create<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateRoute,
) -> Judgement {
    check::name("name", &command.name)?;
    check::hostname(&command.hostname)?;
    let config = read_config(command.mode, &command.config)?;
    check_plan(context, actor)?;
    if ROUTES.has(context.view, (&actor.environment_id, &command.id)) {
        return Err(id_taken(&command.id));
    }
    check_hostname_free(context, actor, &command.hostname, None)?;
    certificate::check_route(
        context,
        &actor.environment_id,
        &config.tls,
        &command.hostname,
    )?;
    let route = Route {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: actor.environment_id.clone(),
        name: command.name.clone(),
        hostname: command.hostname.clone(),
        mode: command.mode,
        enabled: command.enabled,
        config: command.config.clone(),
        created_at: context.at,
        updated_at: None,
        archived_at: None,
        published: None,
        purges: Purges::default(),
        created_by: actor.api_key_id.clone(),
        revision: context.revision,
    };
    let mut drafting =
        Drafting::begun(context, &actor.environment_id, &route.id, &command.draft_id);
    drafting.settings_changed(&References::new(), &config_references(&config));
    drafting.event(Event::RouteCreated(route.clone()));
    let (events, draft) = drafting.finish();
    Ok(Decision {
        events,
        outcome: Outcome::Route(route, draft.shown()),
    })
}

pub(super) fn update<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateRoute,
) -> Judgement {
    let before = context.open_route(actor, &command.id, None)?;
    let mut route = before.clone();
    apply(context, actor, command, &mut route)?;
    let config = read_config(route.mode, &route.config)?;
    if route == before {
        let draft = context.draft(&actor.environment_id, &route.id)?;
        return nothing(Outcome::Route(before, draft.shown()));
    }
    certificate::check_route(context, &actor.environment_id, &config.tls, &route.hostname)?;
    route.updated_at = Some(context.at);
    route.revision = context.revision;
    let named_before =
        read_config(before.mode, &before.config).map(|config| config_references(&config));
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    drafting.settings_changed(
        &named_before.unwrap_or_default(),
        &config_references(&config),
    );
    drafting.draft.dirty_settings = settings_differ(context, &route)?;
    drafting.renamed(&command.draft_id);
    drafting.event(Event::RouteChanged {
        before: RoutePlace::of(&before),
        after: route.clone(),
    });
    let (events, draft) = drafting.finish();
    Ok(Decision {
        events,
        outcome: Outcome::Route(route, draft.shown()),
    })
}

fn apply<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateRoute,
    route: &mut Route,
) -> Result<(), Rejection> {
    if let Some(name) = &command.name {
        check::name("name", name)?;
        route.name.clone_from(name);
    }
    if let Some(hostname) = &command.hostname {
        check::hostname(hostname)?;
        check_hostname_free(context, actor, hostname, Some(&route.id))?;
        route.hostname.clone_from(hostname);
    }
    route.mode = command.mode.unwrap_or(route.mode);
    route.enabled = command.enabled.unwrap_or(route.enabled);
    if let Some(patch) = &command.config_patch {
        route.config = patched(&route.config, patch)?;
    }
    Ok(())
}

/// The `config` object after a merge patch on it.
fn patched(config: &str, patch: &str) -> Result<String, Rejection> {
    let read = |text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| Rejection::InvalidParameter {
            param: "config".to_owned(),
            message: format!("This is not JSON: {error}"),
        })
    };
    check::json_size("config", patch, check::CONFIG_BYTES_MAX)?;
    let current = read(config)?;
    let mut merged = current.clone();
    merge_patch(&mut merged, &read(patch)?);
    // A patch that changes nothing leaves the text alone, too.
    Ok(if merged == current {
        config.to_owned()
    } else {
        merged.to_string()
    })
}

pub(super) fn archive<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &ArchiveRoute,
) -> Judgement {
    let before = ROUTES
        .get(context.view, (&actor.environment_id, &command.id))
        .ok_or_else(|| not_found("route", &command.id, None))?;
    if before.archived_at.is_some() {
        let draft = context.draft(&actor.environment_id, &before.id)?;
        return nothing(Outcome::Route(before, draft.shown()));
    }
    if before
        .published
        .as_ref()
        .is_some_and(|published| published.enabled)
    {
        return Err(Rejection::RoutePublished);
    }
    let mut route = before.clone();
    route.archived_at = Some(context.at);
    route.updated_at = Some(context.at);
    route.revision = context.revision;
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    drafting.all_uses_end();
    drafting.event(Event::RouteChanged {
        before: RoutePlace::of(&before),
        after: route.clone(),
    });
    let (mut events, draft) = drafting.finish();
    if route.published.is_some() {
        let moved = move_manifest(
            context,
            &actor.environment_id,
            [(route_key(&route.id), None)].into(),
        )?;
        events.extend(moved);
    }
    Ok(Decision {
        events,
        outcome: Outcome::Route(route, draft.shown()),
    })
}

/// The workspace's plan must allow one more route.
fn check_plan<V: View + ?Sized>(context: &Context<'_, V>, actor: &Actor) -> Result<(), Rejection> {
    let workspace = WORKSPACES
        .get(context.view, (&actor.workspace_id,))
        .ok_or_else(|| not_found("workspace", &actor.workspace_id, None))?;
    let Some(limit) = workspace.plan.routes_max() else {
        return Ok(());
    };
    if ROUTE_COUNTS
        .get(context.view, (&actor.environment_id,))
        .unwrap_or(0)
        >= limit
    {
        return Err(Rejection::RouteLimitExceeded {
            plan: workspace.plan.as_str().to_owned(),
            limit,
        });
    }
    Ok(())
}

/// No other route that is not archived may hold the hostname.
pub(super) fn check_hostname_free<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    hostname: &String,
    except: Option<&RouteId>,
) -> Result<(), Rejection> {
    match HOSTNAMES.get(context.view, (&actor.environment_id, hostname)) {
        Some(holder) if Some(&holder) != except => Err(Rejection::HostnameConflict {
            hostname: hostname.clone(),
        }),
        _ => Ok(()),
    }
}
