//! Purging what edges keep of a route's answers: the manifest tells them.

use super::check;
use super::manifest::{move_manifest, next_version};
use super::publish::entry;
use super::{Context, Judgement, nothing};
use crate::command::{Actor, PurgeCache};
use crate::content::route_key;
use crate::event::{Event, RoutePlace};
use crate::machine::Decision;
use crate::model::Route;
use crate::outcome::Outcome;
use crate::rows::View;

pub(super) fn purge<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &PurgeCache,
) -> Judgement {
    if let Some(urls) = &command.urls {
        check::purged_urls(urls)?;
    }
    let before = context.open_route(actor, &command.route_id, None)?;
    let draft = context.draft(&actor.environment_id, &before.id)?.shown();
    let Some(live) = &before.published else {
        // No edge has ever served it.
        return nothing(Outcome::Route(before, draft));
    };
    let version = next_version(context, &actor.environment_id);
    let after = Route {
        purges: before.purges.next(command.urls.as_deref(), version),
        revision: context.revision,
        ..before.clone()
    };
    let entry = entry(&after.id, live, &after.purges);
    let edits = [(route_key(&after.id), Some(entry.encode()))].into();
    let moved = move_manifest(context, &actor.environment_id, edits)?;
    let mut events = vec![Event::RouteChanged {
        before: RoutePlace::of(&before),
        after: after.clone(),
    }];
    events.extend(moved);
    Ok(Decision {
        events,
        outcome: Outcome::Route(after, draft),
    })
}
