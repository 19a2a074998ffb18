//! Rollback: an earlier snapshot's content becomes the active one again, as a new snapshot with
//! the same head. The cost follows what differs between the two.
//!
//! The draft stays as it is, so what differs between it and the new active snapshot is dirty
//! afterwards; only archived rules that are live again come back. With `reset_draft` the draft
//! becomes what the snapshot has: settings and rules take its values, and rules that it does not
//! have are paused. Upstreams are shared between routes and are never reset, so those that have
//! changed since stay dirty.

use std::collections::BTreeMap;

use super::content::{config_references, read_config};
use super::draft::Drafting;
use super::freeze::{head_content, settings_differ_from};
use super::publish::{Publication, activate, active_snapshot, check_expected, check_live_hostname};
use super::route::check_hostname_free;
use super::{Context, Judgement, certificate, check, id_taken, not_found, nothing};
use crate::command::{Actor, Rollback, RollbackTo};
use crate::content::{RouteContent, RuleContent, TlsConfig};
use crate::event::{Event, RoutePlace};
use crate::id::{RuleId, SnapshotId, UpstreamId};
use crate::machine::Decision;
use crate::model::{PublishedRoute, Route, Snapshot, SnapshotState, SnapshotVersion};
use crate::outcome::Outcome;
use crate::query::ViewChunks;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{SNAPSHOT_VERSIONS, SNAPSHOTS};
use crate::tree::{self, Chunks, Hash, TreeKind};

mod rules;

/// The two contents between which a rollback goes.
struct Way {
    live: RouteContent,
    target: RouteContent,
    /// The snapshot that the target's content becomes.
    snapshot_id: SnapshotId,
    reset_draft: bool,
}

/// A rule's live content and its hash.
struct LiveRule {
    content: RuleContent,
    hash: Hash,
}

pub(super) fn rollback<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &Rollback,
) -> Judgement {
    check::comment(command.comment.as_deref())?;
    let route = context.open_route(actor, &command.route_id, None)?;
    check_expected(&route, command.expected_active.as_ref())?;
    let Some(live) = &route.published else {
        return Err(not_publishable("The route has never been published."));
    };
    let target = find_target(context, &route, live, &command.to)?;
    if target.head == live.head && !command.reset_draft {
        let snapshot = active_snapshot(context, &route, &live.snapshot_id)?;
        return nothing(Outcome::Published {
            snapshot,
            unchanged: true,
        });
    }
    let way = Way {
        live: head_content(context, &live.head)?,
        target: head_content(context, &target.head)?,
        snapshot_id: command.snapshot_id.clone(),
        reset_draft: command.reset_draft,
    };
    check_live_hostname(context, &route, &way.target)?;
    check_certificate(context, actor, &way.target)?;
    if way.reset_draft {
        check_hostname_free(context, actor, &way.target.hostname, Some(&route.id))?;
    }
    let mut drafting = Drafting::of(context, &actor.environment_id, &route.id)?;
    rules::roll_back(context, actor, &mut drafting, &route, &way)?;
    roll_back_upstreams(context, &mut drafting, &way)?;
    let after = roll_back_settings(&mut drafting, &route, &way);
    drafting.renamed(&command.next_draft_id);
    if target.head == live.head {
        let snapshot = active_snapshot(context, &route, &live.snapshot_id)?;
        if after != route {
            let after = Route {
                updated_at: Some(context.at),
                revision: context.revision,
                ..after
            };
            drafting.event(Event::RouteChanged {
                before: RoutePlace::of(&route),
                after,
            });
        }
        return Ok(Decision {
            events: drafting.finish().0,
            outcome: Outcome::Published {
                snapshot,
                unchanged: true,
            },
        });
    }
    if SNAPSHOTS.has(context.view, (&actor.environment_id, &command.snapshot_id)) {
        return Err(id_taken(&command.snapshot_id));
    }
    let publication = Publication {
        snapshot_id: way.snapshot_id,
        version: drafting.draft.next_version,
        content: way.target,
        head: target.head,
        chunks: Chunks::new(),
        source: Some(target.id),
        comment: command.comment.clone(),
        replaced: SnapshotState::RolledBack,
    };
    let (snapshot, _) = activate(context, actor, &mut drafting, &route, after, publication)?;
    Ok(Decision {
        events: drafting.finish().0,
        outcome: Outcome::Published {
            snapshot,
            unchanged: false,
        },
    })
}

/// The certificate that it shows may have been removed or replaced since.
fn check_certificate<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    target: &RouteContent,
) -> Result<(), Rejection> {
    let tls = TlsConfig::of_config(&target.config).unwrap_or_default();
    certificate::check_route(context, &actor.environment_id, &tls, &target.hostname)
        .map_err(|rejection| not_publishable(&rejection.to_string()))
}

pub(super) fn not_publishable(reason: &str) -> Rejection {
    Rejection::SnapshotNotPublishable {
        reason: reason.to_owned(),
    }
}

fn find_target<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    live: &PublishedRoute,
    to: &RollbackTo,
) -> Result<Snapshot, Rejection> {
    let by_version = |version: SnapshotVersion| {
        let key = (&route.environment_id, &route.id, &version);
        let id = SNAPSHOT_VERSIONS.get(context.view, key)?;
        SNAPSHOTS.get(context.view, (&route.environment_id, &id))
    };
    match to {
        RollbackTo::Snapshot(id) => SNAPSHOTS
            .get(context.view, (&route.environment_id, id))
            .filter(|snapshot| snapshot.route_id == route.id)
            .ok_or_else(|| not_found("snapshot", id, Some("snapshot_id"))),
        RollbackTo::Version(version) => {
            by_version(*version).ok_or_else(|| not_found("snapshot", &version.0, Some("version")))
        }
        RollbackTo::Steps(0) => Err(Rejection::InvalidParameter {
            param: "steps".to_owned(),
            message: "Expected an integer of 1 or more.".to_owned(),
        }),
        RollbackTo::Steps(steps) => {
            let version = live.version.0.checked_sub(*steps).map(SnapshotVersion);
            version.and_then(by_version).ok_or_else(|| {
                not_publishable(&format!(
                    "There are only {} snapshots before the active one.",
                    live.version.0 - 1
                ))
            })
        }
    }
}

/// The rules whose live content changes on the way, with what it becomes.
fn changed_rules<V: View + ?Sized>(
    context: &Context<'_, V>,
    way: &Way,
) -> Result<BTreeMap<RuleId, Option<LiveRule>>, Rejection> {
    let chunks = ViewChunks(context.view);
    let changes = tree::diff(&chunks, TreeKind::Rules, way.live.rules, way.target.rules)
        .map_err(|error| context.broken(&error))?;
    let mut rules = BTreeMap::new();
    for change in changes {
        if let Some(bytes) = &change.before {
            let content = read_rule(context, bytes)?;
            rules.entry(content.id).or_insert(None);
        }
        // A rule that moved is there twice, under both of its priorities.
        if let Some(bytes) = &change.after {
            let content = read_rule(context, bytes)?;
            rules.insert(
                content.id.clone(),
                Some(LiveRule {
                    content,
                    hash: Hash::of(bytes),
                }),
            );
        }
    }
    Ok(rules)
}

fn read_rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    bytes: &[u8],
) -> Result<RuleContent, Rejection> {
    RuleContent::decode(bytes).map_err(|error| context.broken(&error))
}

fn roll_back_upstreams<V: View + ?Sized>(
    context: &Context<'_, V>,
    drafting: &mut Drafting<'_, '_, V>,
    way: &Way,
) -> Result<(), Rejection> {
    let chunks = ViewChunks(context.view);
    let changes = tree::diff(
        &chunks,
        TreeKind::Upstreams,
        way.live.upstreams,
        way.target.upstreams,
    )
    .map_err(|error| context.broken(&error))?;
    for change in changes {
        let id = std::str::from_utf8(&change.key)
            .ok()
            .and_then(|key| UpstreamId::parse(key).ok());
        let id = id.ok_or_else(|| {
            context.broken(&"a tree of upstreams has a key that is no identifier")
        })?;
        drafting.upstream_published(&id, change.after.as_deref().map(Hash::of));
    }
    Ok(())
}

/// The route's record, with the target's settings in it where the draft is reset.
fn roll_back_settings<V: View + ?Sized>(
    drafting: &mut Drafting<'_, '_, V>,
    route: &Route,
    way: &Way,
) -> Route {
    let mut after = route.clone();
    if way.reset_draft && settings_differ_from(&way.target, route) {
        let named = |route: &Route| {
            read_config(route.mode, &route.config)
                .map(|config| config_references(&config))
                .unwrap_or_default()
        };
        after.name.clone_from(&way.target.name);
        after.hostname.clone_from(&way.target.hostname);
        after.mode = way.target.mode;
        after.enabled = way.target.enabled;
        after.config.clone_from(&way.target.config);
        drafting.settings_changed(&named(route), &named(&after));
    }
    drafting.draft.dirty_settings = settings_differ_from(&way.target, &after);
    after
}
