//! Upstreams: making, changing and removing them. A change gives every route that uses the
//! upstream a new draft, so its cost follows the number of those routes.

use super::content::{read_settings, upstream_content};
use super::draft::Drafting;
use super::{Context, Judgement, check, id_taken, not_found, nothing, outage, shift};
use crate::command::{Actor, CreateUpstream, DeleteUpstream, DraftSeed, UpdateUpstream};
use crate::event::Event;
use crate::id::{EnvironmentId, RouteId, Seed, SnapshotId, TargetId, UpstreamId};
use crate::machine::Decision;
use crate::model::{Target, Upstream, UpstreamSettings};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{ENVIRONMENTS, UPSTREAM_ROUTES, UPSTREAMS};

pub(super) fn create<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateUpstream,
) -> Judgement {
    check::name("name", &command.name)?;
    check::targets(&command.targets)?;
    if !ENVIRONMENTS.has(context.view, (&actor.environment_id,)) {
        return Err(not_found("environment", &actor.environment_id, None));
    }
    if UPSTREAMS.has(context.view, (&actor.environment_id, &command.id)) {
        return Err(id_taken(&command.id));
    }
    let upstream = Upstream {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: actor.environment_id.clone(),
        name: command.name.clone(),
        algorithm: command.algorithm,
        settings: match &command.settings {
            Some(settings) => read_settings(&UpstreamSettings::default(), settings)?,
            None => UpstreamSettings::default(),
        },
        targets: command.targets.clone(),
        created_at: context.at,
        updated_at: None,
        created_by: actor.api_key_id.clone(),
        revision: context.revision,
    };
    check::upstream_size(&upstream)?;
    let mut events = vec![Event::UpstreamCreated(upstream.clone())];
    // A draft may name an upstream before there is one.
    for route in users(context, &actor.environment_id, &upstream.id) {
        let mut drafting = Drafting::of(context, &actor.environment_id, &route)?;
        drafting.upstream_changed(&upstream);
        events.extend(drafting.finish().0);
    }
    Ok(Decision {
        events,
        outcome: Outcome::Upstream(upstream),
    })
}

pub(super) fn update<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateUpstream,
) -> Judgement {
    let before = find(context, &actor.environment_id, &command.id)?;
    let mut upstream = before.clone();
    if let Some(name) = &command.name {
        check::name("name", name)?;
        upstream.name.clone_from(name);
    }
    if let Some(algorithm) = command.algorithm {
        upstream.algorithm = algorithm;
    }
    if let Some(settings) = &command.settings {
        upstream.settings = read_settings(&before.settings, settings)?;
    }
    if let Some(targets) = &command.targets {
        check::targets(targets)?;
        check_named(&before, targets, &command.named)?;
        upstream.targets.clone_from(targets);
    }
    if upstream_content(&upstream) == upstream_content(&before) {
        return nothing(shift::shown(context, before));
    }
    shift::check_untouched(context, &before, &upstream)?;
    check::upstream_size(&upstream)?;
    let (upstream, events) = changed(context, upstream, command.draft_seed)?;
    Ok(Decision {
        events,
        outcome: shift::shown(context, upstream),
    })
}

/// A target that a client names must be there: a misspelt identifier would make a new target and
/// remove the one that was meant.
fn check_named(before: &Upstream, targets: &[Target], named: &[TargetId]) -> Result<(), Rejection> {
    let is_known = |target: &Target| before.targets.iter().any(|known| known.id == target.id);
    let stray = |target: &Target| named.contains(&target.id) && !is_known(target);
    match targets.iter().position(stray) {
        Some(at) => Err(Rejection::InvalidParameter {
            param: format!("targets[{at}].id"),
            message: "The upstream has no target with this identifier.".to_owned(),
        }),
        None => Ok(()),
    }
}

/// Writes a changed upstream and gives every route that uses it a new draft.
pub(super) fn changed<V: View + ?Sized>(
    context: &Context<'_, V>,
    mut upstream: Upstream,
    seed: DraftSeed,
) -> Result<(Upstream, Vec<Event>), Rejection> {
    upstream.updated_at = Some(context.at);
    upstream.revision = context.revision;
    let mut events = vec![Event::UpstreamChanged(upstream.clone())];
    let environment = &upstream.environment_id;
    for (route, nth) in users(context, environment, &upstream.id).zip(0..) {
        let mut drafting = Drafting::of(context, environment, &route)?;
        drafting.upstream_changed(&upstream);
        drafting.renamed(&nth_draft(seed, nth));
        events.extend(drafting.finish().0);
    }
    Ok((upstream, events))
}

pub(super) fn delete<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &DeleteUpstream,
) -> Judgement {
    let upstream = find(context, &actor.environment_id, &command.id)?;
    let user = users(context, &actor.environment_id, &command.id).next();
    if let Some(route) = user {
        return Err(Rejection::UpstreamInUse {
            used_by: route.to_string(),
        });
    }
    let outcome = Outcome::UpstreamDeleted {
        id: upstream.id.clone(),
        at: context.at,
    };
    let mut events = vec![Event::UpstreamDeleted(upstream)];
    events.extend(outage::forgotten(
        context,
        &actor.environment_id,
        &command.id,
    ));
    Ok(Decision { events, outcome })
}

pub(super) fn find<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &UpstreamId,
) -> Result<Upstream, Rejection> {
    UPSTREAMS
        .get(context.view, (environment, id))
        .ok_or_else(|| not_found("upstream", id, None))
}

/// The routes whose draft or live snapshot names the upstream, in order of their identifiers.
pub(super) fn users<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    upstream: &UpstreamId,
) -> impl Iterator<Item = RouteId> {
    let span = UPSTREAM_ROUTES.under((environment, upstream));
    UPSTREAM_ROUTES
        .walk(context.view, span)
        .map(|((_, _, route), ())| route)
}

pub(super) fn nth_draft(seed: DraftSeed, nth: u64) -> SnapshotId {
    SnapshotId::new(Seed {
        unix_ms: seed.unix_ms,
        random: seed.random.wrapping_add(nth),
    })
}
