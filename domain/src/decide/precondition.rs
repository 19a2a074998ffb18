//! What a client expects of the object that its command is about: that it exists, or that nobody
//! has written it since the client saw it. It is judged in the entry of the command itself, so
//! nothing can come between the look and the change.

use super::{Context, not_found};
use crate::command::{
    ArchiveRoute, ArchiveRule, CancelShift, ChangeTarget, Command, DeleteUpstream, IssueKey,
    IssueWebhookSecret, KeyIssue, Precondition, Publish, PurgeCache, ReorderRules, Rollback,
    SecretIssue, StartShift, SwitchRoute, SwitchRule, UpdateRoute, UpdateRule, UpdateUpstream,
};
use crate::id::{EnvironmentId, RouteId, RuleId, UpstreamId};
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{RULES, UPSTREAMS};
use crate::time::Revision;

/// Where clients say what they expect.
const HEADER: &str = "If-Match";

/// Refuses a command whose object is not as expected. Commands that make an object have nothing yet
/// that could be as expected; of what no tag is ever shown, nothing can be expected.
pub(super) fn check<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &Command,
    precondition: Option<&Precondition>,
) -> Result<(), Rejection> {
    let Some(precondition) = precondition else {
        return Ok(());
    };
    let written = match about(context, command)? {
        About::Written(revision) => revision,
        About::New => return Err(failed("There is no object yet that it could be about.")),
        About::Untagged => {
            return Err(Rejection::InvalidParameter {
                param: HEADER.to_owned(),
                message: "This change is not about one object with an entity tag.".to_owned(),
            });
        }
    };
    match precondition {
        Precondition::Exists => Ok(()),
        Precondition::WrittenAt(expected) if expected.contains(&written) => Ok(()),
        Precondition::WrittenAt(_) => Err(failed("The object has changed since.")),
    }
}

fn failed(message: &str) -> Rejection {
    Rejection::PreconditionFailed {
        param: HEADER.to_owned(),
        message: message.to_owned(),
    }
}

/// What a command is about.
enum About {
    /// An object, and the entry that last wrote it.
    Written(Revision),
    /// An object that is yet to be made.
    New,
    /// Several objects, or one that clients see no tag of.
    Untagged,
}

fn about<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &Command,
) -> Result<About, Rejection> {
    let revision = match command {
        Command::UpdateRule(actor, UpdateRule { id, .. })
        | Command::ArchiveRule(actor, ArchiveRule { id, .. })
        | Command::SwitchRule(actor, SwitchRule { id, .. }) => {
            rule(context, &actor.environment_id, id)?
        }
        Command::UpdateUpstream(actor, UpdateUpstream { id, .. })
        | Command::DeleteUpstream(actor, DeleteUpstream { id })
        | Command::ChangeTarget(
            actor,
            ChangeTarget {
                upstream_id: id, ..
            },
        )
        | Command::StartShift(
            actor,
            StartShift {
                upstream_id: id, ..
            },
        )
        | Command::CancelShift(
            actor,
            CancelShift {
                upstream_id: id, ..
            },
        ) => upstream(context, &actor.environment_id, id)?,
        Command::UpdateRoute(actor, UpdateRoute { id, .. })
        | Command::ArchiveRoute(actor, ArchiveRoute { id })
        | Command::SwitchRoute(actor, SwitchRoute { id, .. })
        | Command::ReorderRules(actor, ReorderRules { route_id: id, .. })
        | Command::Publish(actor, Publish { route_id: id, .. })
        | Command::PurgeCache(actor, PurgeCache { route_id: id, .. })
        | Command::Rollback(actor, Rollback { route_id: id, .. }) => {
            route(context, &actor.environment_id, id)?
        }
        Command::Bootstrap(_)
        | Command::CreateUpstream(..)
        | Command::CreateRoute(..)
        | Command::CreateRule(..)
        | Command::CreateWebhookEndpoint(..)
        | Command::IssueWebhookSecret(
            _,
            IssueWebhookSecret {
                to: SecretIssue::Create(_),
                ..
            },
        )
        | Command::CreateCertificate(..)
        | Command::CreateEdgeToken(..)
        | Command::CreateApiKey(..)
        | Command::IssueKey(
            _,
            IssueKey {
                to: KeyIssue::CreateApiKey(_) | KeyIssue::CreateEdgeToken(_),
                ..
            },
        )
        | Command::CreateEnvironment(..) => return Ok(About::New),
        _ => return Ok(About::Untagged),
    };
    Ok(About::Written(revision))
}

fn rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &RuleId,
) -> Result<Revision, Rejection> {
    let rule = RULES.get(context.view, (environment, id));
    rule.map(|rule| rule.revision)
        .ok_or_else(|| not_found("rule", id, None))
}

fn upstream<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &UpstreamId,
) -> Result<Revision, Rejection> {
    let upstream = UPSTREAMS.get(context.view, (environment, id));
    upstream
        .map(|upstream| upstream.revision)
        .ok_or_else(|| not_found("upstream", id, None))
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
