//! Pausing and resuming a rule, enabling and disabling a route, and making that live at once: for
//! when something burns and the rest of the draft is not ready. The snapshot differs from the active
//! one in that alone; what else is pending stays pending.

use super::content::references;
use super::draft::{Drafting, RuleBefore};
use super::freeze::{FrozenRule, freeze_rule, head_content, settings_differ_from};
use super::history::add_version;
use super::publish::{Publication, activate, check_live_hostname, rule_published};
use super::rollback::not_publishable;
use super::rule::{desired, open_rule, record_update};
use super::{Context, Judgement, check, id_taken};
use crate::command::{Actor, PublishAlone, SwitchRoute, SwitchRule, UpdateRoute, UpdateRule};
use crate::content::RouteContent;
use crate::id::SnapshotId;
use crate::machine::Decision;
use crate::model::{PublishedRoute, Route, Rule, SnapshotState, SnapshotVersion};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::SNAPSHOTS;
use crate::tree::{Chunks, Hash};

pub(super) fn rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &SwitchRule,
) -> Judgement {
    let Some(alone) = &command.publish else {
        return draft_rule(context, actor, command, None);
    };
    let before = open_rule(context, actor, &command.id)?;
    let route = context.open_route(actor, &before.route_id, None)?;
    let live = live(&route, alone)?;
    if !live.enabled {
        return Err(Rejection::RouteDisabled {
            route_id: route.id.to_string(),
        });
    }
    let switched = Rule {
        status: desired(&before, Some(command.status)),
        ..before.clone()
    };
    let mut frozen = freeze_rule(context, &route, &before, switched)?;
    if !frozen.problems.is_empty() {
        return Err(Rejection::ValidationFailed {
            problems: frozen.problems,
        });
    }
    let Some(one) = frozen.rules.pop().filter(|_| frozen.head != live.head) else {
        return draft_rule(context, actor, command, Some(&live.snapshot_id));
    };
    check_id(context, actor, alone)?;
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    let rule = publish_rule(
        context,
        actor,
        &mut drafting,
        &alone.snapshot_id,
        &before,
        one,
    );
    for (upstream, content) in frozen.upstreams {
        drafting.upstream_published(&upstream, content);
    }
    let version = drafting.draft.next_version;
    let publication = publication(alone, version, frozen.content, frozen.head, frozen.chunks);
    activate(
        context,
        actor,
        &mut drafting,
        &route,
        route.clone(),
        publication,
    )?;
    drafting.renamed(&command.draft_id);
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::RuleSwitched {
            rule,
            snapshot_id: Some(alone.snapshot_id.clone()),
        },
    })
}

/// Changes the draft alone; `active` is the active snapshot where it says so already.
fn draft_rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &SwitchRule,
    active: Option<&SnapshotId>,
) -> Judgement {
    let update = UpdateRule {
        id: command.id.clone(),
        draft_id: command.draft_id.clone(),
        name: None,
        priority: None,
        criteria: None,
        action: None,
        metadata: Vec::new(),
        status: Some(command.status),
    };
    let Decision { events, outcome } = super::rule::update(context, actor, &update)?;
    let outcome = match outcome {
        Outcome::Rule(rule) => Outcome::RuleSwitched {
            rule,
            snapshot_id: active.cloned(),
        },
        other => other,
    };
    Ok(Decision { events, outcome })
}

fn publish_rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    drafting: &mut Drafting<'_, '_, V>,
    snapshot_id: &SnapshotId,
    before: &Rule,
    mut one: FrozenRule,
) -> Rule {
    if one.rule.status != before.status {
        record_update(context, before, &mut one.rule, None);
        add_version(context, drafting, actor, Some(before), &mut one.rule);
    }
    let place = RuleBefore::of(before, references(before));
    rule_published(context, drafting, snapshot_id, place, one)
}

pub(super) fn route<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &SwitchRoute,
) -> Judgement {
    let Some(alone) = &command.publish else {
        return draft_route(context, actor, command, None);
    };
    let before = context.open_route(actor, &command.id, None)?;
    let live = live(&before, alone)?;
    if live.enabled == command.enabled {
        return draft_route(context, actor, command, Some(&live.snapshot_id));
    }
    let mut content = head_content(context, &live.head)?;
    content.enabled = command.enabled;
    check_live_hostname(context, &before, &content)?;
    check_id(context, actor, alone)?;
    let after = Route {
        enabled: command.enabled,
        ..before.clone()
    };
    let mut drafting = Drafting::of(context, &actor.environment_id, &before.id)?;
    drafting.draft.dirty_settings = settings_differ_from(&content, &after);
    let bytes = content.encode();
    let (head, version) = (Hash::of(&bytes), drafting.draft.next_version);
    let publication = publication(alone, version, content, head, [(head, bytes)].into());
    let (_, route) = activate(context, actor, &mut drafting, &before, after, publication)?;
    drafting.renamed(&command.draft_id);
    let (events, draft) = drafting.finish();
    Ok(Decision {
        events,
        outcome: Outcome::RouteSwitched {
            route,
            draft: draft.shown(),
            snapshot_id: Some(alone.snapshot_id.clone()),
        },
    })
}

fn draft_route<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &SwitchRoute,
    active: Option<&SnapshotId>,
) -> Judgement {
    let update = UpdateRoute {
        id: command.id.clone(),
        draft_id: command.draft_id.clone(),
        name: None,
        hostname: None,
        mode: None,
        enabled: Some(command.enabled),
        config_patch: None,
    };
    let Decision { events, outcome } = super::route::update(context, actor, &update)?;
    let outcome = match outcome {
        Outcome::Route(route, draft) => Outcome::RouteSwitched {
            route,
            draft,
            snapshot_id: active.cloned(),
        },
        other => other,
    };
    Ok(Decision { events, outcome })
}

/// What is live of a route of which something is to be published alone.
fn live<'r>(route: &'r Route, alone: &PublishAlone) -> Result<&'r PublishedRoute, Rejection> {
    check::comment(alone.comment.as_deref())?;
    let never = || not_publishable("The route has never been published.");
    route.published.as_ref().ok_or_else(never)
}

fn check_id<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    alone: &PublishAlone,
) -> Result<(), Rejection> {
    let id = &alone.snapshot_id;
    if SNAPSHOTS.has(context.view, (&actor.environment_id, id)) {
        return Err(id_taken(id));
    }
    Ok(())
}

fn publication(
    alone: &PublishAlone,
    version: SnapshotVersion,
    content: RouteContent,
    head: Hash,
    chunks: Chunks,
) -> Publication {
    Publication {
        snapshot_id: alone.snapshot_id.clone(),
        version,
        content,
        head,
        chunks,
        source: None,
        comment: alone.comment.clone(),
        replaced: SnapshotState::Superseded,
    }
}
