//! Publishing: a route's draft becomes its active snapshot, and the manifest moves. Where nothing
//! is dirty, nothing happens and the reply is the active snapshot.

use super::draft::{Drafting, RuleBefore};
use super::freeze::{FrozenRule, freeze};
use super::history::{log, version_published};
use super::manifest::{move_manifest, next_version};
use super::{Context, Judgement, check, id_taken, nothing, verdict};
use crate::command::{Actor, Publish};
use crate::content::{RouteContent, RouteEntry, route_key};
use crate::event::{Event, RoutePlace};
use crate::id::{RouteId, SnapshotId};
use crate::machine::Decision;
use crate::model::{
    Priority, PublishedRoute, PublishedRule, Purges, Route, Rule, RuleEventKind, RuleStatus,
    Snapshot, SnapshotState, SnapshotVersion,
};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{Draft, LIVE_HOSTNAMES, SNAPSHOTS};
use crate::tree::{Chunks, Hash};

pub(super) fn publish<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &Publish,
) -> Judgement {
    check::comment(command.comment.as_deref())?;
    let route = context.open_route(actor, &command.route_id, None)?;
    let draft = context.draft(&actor.environment_id, &route.id)?;
    check_expected(&route, command.expected_active.as_ref())?;
    check_draft(&route, &draft, command.draft_id.as_ref())?;
    if !route.enabled && route.published.as_ref().is_some_and(|live| !live.enabled) {
        return Err(Rejection::RouteDisabled {
            route_id: route.id.to_string(),
        });
    }
    if let (false, Some(live)) = (draft.pending(), &route.published) {
        let snapshot = active_snapshot(context, &route, &live.snapshot_id)?;
        return nothing(Outcome::Published {
            snapshot,
            unchanged: true,
        });
    }
    if SNAPSHOTS.has(context.view, (&actor.environment_id, &draft.snapshot_id)) {
        return Err(id_taken(&draft.snapshot_id));
    }
    let frozen = freeze(context, &route)?;
    if !frozen.problems.is_empty() {
        return Err(Rejection::ValidationFailed {
            problems: frozen.problems,
        });
    }
    check_live_hostname(context, &route, &frozen.content)?;
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    for rule in frozen.rules {
        let before = RuleBefore::of(&rule.rule, rule.named.clone());
        rule_published(context, &mut drafting, &draft.snapshot_id, before, rule);
    }
    for (upstream, content) in frozen.upstreams {
        drafting.upstream_published(&upstream, content);
    }
    drafting.draft.dirty_settings = false;
    let publication = Publication {
        snapshot_id: draft.snapshot_id.clone(),
        version: draft.next_version,
        content: frozen.content,
        head: frozen.head,
        chunks: frozen.chunks,
        source: None,
        comment: command.comment.clone(),
        replaced: SnapshotState::Superseded,
    };
    let (snapshot, _) = activate(
        context,
        actor,
        &mut drafting,
        &route,
        route.clone(),
        publication,
    )?;
    drafting.renamed(&command.next_draft_id);
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::Published {
            snapshot,
            unchanged: false,
        },
    })
}

/// The active snapshot must be the one that the client expects.
pub(super) fn check_expected(
    route: &Route,
    expected: Option<&SnapshotId>,
) -> Result<(), Rejection> {
    let active = route.published.as_ref().map(|live| &live.snapshot_id);
    if expected.is_none() || expected == active {
        return Ok(());
    }
    let message = match active {
        Some(active) => format!("The active snapshot is {active}."),
        None => "The route has no active snapshot.".to_owned(),
    };
    Err(Rejection::PreconditionFailed {
        param: "expected_active_snapshot_id".to_owned(),
        message,
    })
}

/// The draft must be the one that the client means. A client that repeats a publish names the
/// snapshot that its draft became, which is right as long as nothing was drafted since.
fn check_draft(route: &Route, draft: &Draft, named: Option<&SnapshotId>) -> Result<(), Rejection> {
    let Some(named) = named else {
        return Ok(());
    };
    let active = route.published.as_ref().map(|live| &live.snapshot_id);
    if *named == draft.snapshot_id || (Some(named) == active && !draft.pending()) {
        return Ok(());
    }
    let message = format!("The draft is {}.", draft.snapshot_id);
    Err(Rejection::PreconditionFailed {
        param: "snapshot_id".to_owned(),
        message,
    })
}

/// The live, enabled routes of an environment have different hostnames.
pub(super) fn check_live_hostname<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    content: &RouteContent,
) -> Result<(), Rejection> {
    if !content.enabled {
        return Ok(());
    }
    match LIVE_HOSTNAMES.get(context.view, (&route.environment_id, &content.hostname)) {
        Some(holder) if holder != route.id => Err(Rejection::HostnameConflict {
            hostname: content.hostname.clone(),
        }),
        _ => Ok(()),
    }
}

pub(super) fn active_snapshot<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    id: &SnapshotId,
) -> Result<Snapshot, Rejection> {
    SNAPSHOTS
        .get(context.view, (&route.environment_id, id))
        .ok_or_else(|| context.broken(&format!("the active snapshot {id} does not exist")))
}

/// A dirty rule is published as it is drafted, or taken out of what is live.
pub(super) fn rule_published<V: View + ?Sized>(
    context: &Context<'_, V>,
    drafting: &mut Drafting<'_, '_, V>,
    snapshot_id: &SnapshotId,
    before: RuleBefore,
    frozen: FrozenRule,
) -> Rule {
    let FrozenRule {
        mut rule,
        named,
        content,
    } = frozen;
    if content.is_some() {
        rule.status = RuleStatus::Active;
        verdict::passed(context, &mut rule);
        version_published(drafting, &mut rule, snapshot_id);
    }
    let priority = rule.priority;
    set_live(
        context,
        &mut rule,
        snapshot_id,
        content.map(|content| (priority, content)),
    );
    rule.pending_changes = false;
    rule.revision = context.revision;
    drafting.rule_changed(before, rule.clone(), &named);
    rule
}

/// What of a rule is live from now on.
pub(super) fn set_live<V: View + ?Sized>(
    context: &Context<'_, V>,
    rule: &mut Rule,
    snapshot_id: &SnapshotId,
    live: Option<(Priority, Hash)>,
) {
    rule.published = live.map(|(priority, content)| PublishedRule {
        snapshot_id: snapshot_id.clone(),
        at: context.at,
        priority,
        content,
    });
    rule.updated_at = Some(context.at);
    if rule.published.is_some() {
        log(rule, RuleEventKind::Published, context.at);
    }
}

/// What the manifest says of a route.
pub(super) fn entry(id: &RouteId, live: &PublishedRoute, purges: &Purges) -> RouteEntry {
    RouteEntry {
        route_id: id.clone(),
        hostname: live.hostname.clone(),
        enabled: live.enabled,
        snapshot_id: live.snapshot_id.clone(),
        version: live.version,
        head: live.head,
        purges: purges.clone(),
    }
}

/// A content that becomes the active one.
pub(super) struct Publication {
    pub(super) snapshot_id: SnapshotId,
    pub(super) version: SnapshotVersion,
    pub(super) content: RouteContent,
    pub(super) head: Hash,
    pub(super) chunks: Chunks,
    pub(super) source: Option<SnapshotId>,
    pub(super) comment: Option<String>,
    /// What becomes of the snapshot that was active.
    pub(super) replaced: SnapshotState,
}

/// An edit of a manifest's tree: a route's key, and what stands there from now on.
pub(super) type Edit = (Vec<u8>, Option<Vec<u8>>);

/// A snapshot that has become a route's active one.
pub(super) struct Activated {
    pub(super) snapshot: Snapshot,
    /// The route as it is then.
    pub(super) route: Route,
    /// What the manifest is to say of it.
    pub(super) edit: Edit,
}

/// Makes a snapshot of a content, makes it the route's active one, and moves the manifest.
/// `before` is the route's record, `after` the same with what else the command changed in it. Gives
/// the snapshot and the route as it is then.
pub(super) fn activate<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    drafting: &mut Drafting<'_, '_, V>,
    before: &Route,
    after: Route,
    publication: Publication,
) -> Result<(Snapshot, Route), Rejection> {
    let Activated {
        snapshot,
        route,
        edit,
    } = replace(context, actor, drafting, before, after, publication)?;
    let moved = move_manifest(context, &actor.environment_id, [edit].into())?;
    moved.into_iter().for_each(|event| drafting.event(event));
    Ok((snapshot, route))
}

/// The same, but for the manifest: it is moved once for all routes of an entry, with what this gives.
pub(super) fn replace<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    drafting: &mut Drafting<'_, '_, V>,
    before: &Route,
    after: Route,
    publication: Publication,
) -> Result<Activated, Rejection> {
    let Publication {
        snapshot_id,
        version,
        content,
        head,
        chunks,
        source,
        comment,
        replaced,
    } = publication;
    drafting.event(Event::TreeKept { root: head, chunks });
    if let Some(live) = &before.published {
        let mut snapshot = active_snapshot(context, before, &live.snapshot_id)?;
        snapshot.state = replaced;
        snapshot.revision = context.revision;
        drafting.event(Event::SnapshotReplaced(snapshot));
    }
    let live = PublishedRoute {
        snapshot_id: snapshot_id.clone(),
        version,
        head,
        at: context.at,
        hostname: content.hostname,
        enabled: content.enabled,
    };
    let entry = entry(&before.id, &live, &after.purges);
    let parent = before.published.as_ref();
    let snapshot = Snapshot {
        id: snapshot_id,
        workspace_id: actor.workspace_id.clone(),
        environment_id: actor.environment_id.clone(),
        route_id: before.id.clone(),
        version,
        parent_id: parent.map(|live| live.snapshot_id.clone()),
        source_snapshot_id: source,
        state: SnapshotState::Published,
        head,
        rule_count: content.rule_count,
        comment,
        created_by: actor.api_key_id.clone(),
        published_at: context.at,
        manifest_version: next_version(context, &actor.environment_id),
        revision: context.revision,
    };
    drafting.event(Event::SnapshotPublished(snapshot.clone()));
    let route = Route {
        published: Some(live),
        updated_at: Some(context.at),
        revision: context.revision,
        ..after
    };
    drafting.event(Event::RouteChanged {
        before: RoutePlace::of(before),
        after: route.clone(),
    });
    drafting.draft.next_version = SnapshotVersion(version.0 + 1);
    Ok(Activated {
        snapshot,
        route,
        edit: (route_key(&before.id), Some(entry.encode())),
    })
}
