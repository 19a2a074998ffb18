//! What a client expects of the object that its command is about: that it exists, or that nobody
//! has written it since the client saw it. It is judged in the entry of the command itself, so
//! nothing can come between the look and the change.

use super::{Context, not_found};
use crate::command::{
    ArchiveRoute, ArchiveRule, Command, DeleteUpstream, Precondition, Publish, Rollback,
    UpdateRoute, UpdateRule, UpdateUpstream,
};
use crate::id::{EnvironmentId, RouteId};
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{RULES, UPSTREAMS};
use crate::time::Revision;

/// Refuses a command whose object is not as expected. Commands that are about no one object, such
/// as those that make one, have nothing that could be as expected.
pub(super) fn check<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &Command,
    precondition: Option<&Precondition>,
) -> Result<(), Rejection> {
    let Some(precondition) = precondition else {
        return Ok(());
    };
    let Some(written) = last_written(context, command)? else {
        return Err(failed("There is no object yet that it could be about."));
    };
    match precondition {
        Precondition::Exists => Ok(()),
        Precondition::WrittenAt(expected) if expected.contains(&written) => Ok(()),
        Precondition::WrittenAt(_) => Err(failed("The object has changed since.")),
    }
}

fn failed(message: &str) -> Rejection {
    Rejection::PreconditionFailed {
        param: "If-Match".to_owned(),
        message: message.to_owned(),
    }
}

/// The entry that last wrote the object that a command is about, if it is about one.
fn last_written<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &Command,
) -> Result<Option<Revision>, Rejection> {
    let view = context.view;
    let revision = match command {
        Command::UpdateRule(actor, UpdateRule { id, .. })
        | Command::ArchiveRule(actor, ArchiveRule { id, .. }) => RULES
            .get(view, (&actor.environment_id, id))
            .map(|rule| rule.revision)
            .ok_or_else(|| not_found("rule", id, None))?,
        Command::UpdateUpstream(actor, UpdateUpstream { id, .. })
        | Command::DeleteUpstream(actor, DeleteUpstream { id }) => UPSTREAMS
            .get(view, (&actor.environment_id, id))
            .map(|upstream| upstream.revision)
            .ok_or_else(|| not_found("upstream", id, None))?,
        Command::UpdateRoute(actor, UpdateRoute { id, .. })
        | Command::ArchiveRoute(actor, ArchiveRoute { id }) => {
            route(context, &actor.environment_id, id)?
        }
        Command::Publish(actor, Publish { route_id, .. })
        | Command::Rollback(actor, Rollback { route_id, .. }) => {
            route(context, &actor.environment_id, route_id)?
        }
        _ => return Ok(None),
    };
    Ok(Some(revision))
}

fn route<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &RouteId,
) -> Result<Revision, Rejection> {
    let (route, draft) =
        query::route(context.view, environment, id).ok_or_else(|| not_found("route", id, None))?;
    Ok(route.last_written(&draft))
}
