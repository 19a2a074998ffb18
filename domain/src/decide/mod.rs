//! Judges commands: what happens, or why nothing does. One file per family of commands; they
//! read through [`View`] and write nothing, so the same judgement serves the replicated log, a
//! dry run and the simulation's oracle.

mod access;
mod api_key;
mod batch;
mod certificate;
mod check;
mod cluster;
mod content;
mod draft;
mod edge;
mod expiry;
mod freeze;
mod history;
mod lint;
mod manifest;
mod new_api_key;
mod outage;
mod pepper;
mod precondition;
mod priorities;
mod publish;
mod purge;
mod reorder;
mod rollback;
mod route;
mod rule;
mod sealing;
mod shift;
mod signing;
mod succession;
mod switch;
mod target;
#[cfg(test)]
mod tests;
mod upstream;
mod validate;
mod verdict;
mod webhook;

use std::fmt::Display;

use crate::command::{Actor, Command, Stamped};
use crate::event::Event;
use crate::id::{EnvironmentId, RouteId};
use crate::machine::Decision;
use crate::model::Route;
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{DRAFTS, Draft, ROUTES};
use crate::time::{Revision, Timestamp};

pub use api_key::IP_RANGES_MAX;
pub use certificate::{CERTIFICATE_NAMES_MAX, CERTIFICATES_MAX, CHAIN_BYTES_MAX};
pub use check::{
    BATCH_MAX, COMMENT_CHARS_MAX, EDGE_NAME_BYTES_MAX, ENVIRONMENT_NAME_CHARS_MAX,
    METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX, METADATA_VALUE_CHARS_MAX, NAME_CHARS_MAX,
    REORDERED_MAX, RULES_PER_ROUTE_MAX, TARGETS_MAX,
};
pub use edge::{
    EDGE_LABEL_BYTES_MAX, EDGE_LABELS_MAX, EDGE_RECORDS_MAX, EDGE_TOKENS_MAX, EDGES_FORGOTTEN_MAX,
};
pub use expiry::EXPIRIES_MAX;
pub(crate) use freeze::{Frozen, freeze};
pub(crate) use history::only_version;
pub use outage::OUTAGES_MAX;
pub use pepper::KEY_MOVES_MAX;
pub use sealing::REWRAPS_MAX;
pub use shift::{
    SHIFT_INTERVAL_S_MAX, SHIFT_INTERVAL_S_MIN, SHIFT_REQUESTS_MAX, SHIFT_ROUTES_MAX,
    SHIFT_STEPS_MAX, SHIFTS_MAX,
};
pub use validate::Validation;
pub(crate) use validate::validate;
pub use webhook::ENDPOINTS_MAX;

/// What a judgement looks at besides the command.
pub(crate) struct Context<'a, V: ?Sized> {
    /// The state.
    pub(crate) view: &'a V,
    /// The log's time at this entry.
    pub(crate) at: Timestamp,
    /// This entry.
    pub(crate) revision: Revision,
}

type Judgement = Result<Decision, Rejection>;

/// Judges a command.
pub(crate) fn decide<V: View + ?Sized>(context: &Context<'_, V>, stamped: &Stamped) -> Judgement {
    precondition::check(context, &stamped.command, stamped.precondition.as_ref())?;
    match &stamped.command {
        Command::Bootstrap(command) => access::bootstrap(context, command),
        Command::RevokeApiKey(command) => api_key::revoke_as_operator(context, command),
        Command::CreateUpstream(actor, command) => upstream::create(context, actor, command),
        Command::UpdateUpstream(actor, command) => upstream::update(context, actor, command),
        Command::DeleteUpstream(actor, command) => upstream::delete(context, actor, command),
        Command::CreateRoute(actor, command) => route::create(context, actor, command),
        Command::UpdateRoute(actor, command) => route::update(context, actor, command),
        Command::ArchiveRoute(actor, command) => route::archive(context, actor, command),
        Command::CreateRule(actor, command) => rule::create(context, actor, command),
        Command::UpdateRule(actor, command) => rule::update(context, actor, command),
        Command::ArchiveRule(actor, command) => rule::archive(context, actor, command),
        Command::Publish(actor, command) => publish::publish(context, actor, command),
        Command::Rollback(actor, command) => rollback::rollback(context, actor, command),
        Command::CreateWebhookEndpoint(actor, command) => webhook::create(context, actor, command),
        Command::UpdateWebhookEndpoint(actor, command) => webhook::update(context, actor, command),
        Command::DeleteWebhookEndpoint(actor, command) => webhook::delete(context, actor, command),
        Command::RotateWebhookSecret(actor, command) => {
            webhook::rotate_secret(context, actor, command)
        }
        Command::RetryDelivery(actor, command) => webhook::retry(context, actor, command),
        Command::ReplayEvent(actor, command) => webhook::replay(context, actor, command),
        Command::RecordDeliveries(command) => webhook::record(context, command),
        Command::SwitchRule(actor, command) => switch::rule(context, actor, command),
        Command::SwitchRoute(actor, command) => switch::route(context, actor, command),
        Command::ReorderRules(actor, command) => reorder::reorder(context, actor, command),
        Command::BatchRules(actor, command) => batch::rules(context, actor, command),
        Command::ChangeTarget(actor, command) => target::change(context, actor, command),
        Command::CreateApiKey(actor, command) => new_api_key::create(context, actor, command),
        Command::UpdateApiKey(actor, command) => api_key::update(context, actor, command),
        Command::RollApiKey(actor, command) => api_key::roll(context, actor, command),
        Command::RevokeApiKeyFor(actor, command) => api_key::revoke(context, actor, command),
        Command::CreateEnvironment(actor, command) => {
            access::create_environment(context, actor, command)
        }
        Command::UpdateWorkspace(actor, command) => {
            access::update_workspace(context, actor, command)
        }
        Command::RecordKeyUses(command) => api_key::record_uses(context, command),
        Command::PurgeCache(actor, command) => purge::purge(context, actor, command),
        Command::RecordOutages(command) => outage::record(context, command),
        Command::CreateCertificate(actor, command) => certificate::create(context, actor, command),
        Command::UpdateCertificate(actor, command) => certificate::update(context, actor, command),
        Command::DeleteCertificate(actor, command) => certificate::delete(context, actor, command),
        Command::StartShift(actor, command) => shift::start(context, actor, command),
        Command::CancelShift(actor, command) => shift::cancel(context, actor, command),
        Command::StepShift(command) => shift::step(context, command),
        Command::TellExpiries(command) => expiry::tell(context, command),
        Command::ChangeCluster(command) => {
            cluster::change(context, (&stamped.request_id, &stamped.origin), command)
        }
        Command::CreateEdgeToken(actor, command) => edge::create_token(context, actor, command),
        Command::DeleteEdgeToken(actor, command) => edge::delete_token(context, actor, command),
        Command::EnrolEdge(actor, command) => edge::enrol(context, actor, command),
        Command::RevokeEdge(actor, command) => edge::revoke(context, actor, command),
        Command::ChangeSigningKeys(command) => {
            signing::change(context, (&stamped.request_id, &stamped.origin), command)
        }
        Command::ActivateKek(command) => {
            sealing::activate(context, (&stamped.request_id, &stamped.origin), command)
        }
        Command::RewrapSecrets(command) => sealing::rewrap(context, command),
        Command::IssueWebhookSecret(actor, command) => {
            sealing::issue_webhook_secret(context, actor, command)
        }
        Command::ActivatePepper(command) => {
            pepper::activate(context, (&stamped.request_id, &stamped.origin), command)
        }
        Command::ForgetEdges(command) => edge::forget(context, command),
        Command::MoveKeys(command) => pepper::move_keys(context, command),
        Command::IssueKey(actor, command) => pepper::issue(context, actor, command),
    }
}

impl<V: View + ?Sized> Context<'_, V> {
    /// A route that can still be changed.
    fn open_route(
        &self,
        actor: &Actor,
        id: &RouteId,
        param: Option<&str>,
    ) -> Result<Route, Rejection> {
        let route = ROUTES
            .get(self.view, (&actor.environment_id, id))
            .ok_or_else(|| not_found("route", id, param))?;
        if route.archived_at.is_some() {
            return Err(Rejection::Archived {
                object: "route".to_owned(),
            });
        }
        Ok(route)
    }

    /// The draft of a route that exists.
    fn draft(&self, environment: &EnvironmentId, route: &RouteId) -> Result<Draft, Rejection> {
        DRAFTS
            .get(self.view, (environment, route))
            .ok_or_else(|| self.broken(&format!("route {route} has no draft")))
    }

    /// Tells the rows' owner of a broken invariant. What is returned never gets anywhere: the
    /// owner must not commit what follows.
    fn broken(&self, what: &impl Display) -> Rejection {
        self.view.broken(&what.to_string());
        Rejection::SnapshotNotPublishable {
            reason: "The stored configuration cannot be read.".to_owned(),
        }
    }
}

fn not_found(object: &str, id: &impl Display, param: Option<&str>) -> Rejection {
    Rejection::NotFound {
        object: object.to_owned(),
        id: id.to_string(),
        param: param.map(str::to_owned),
    }
}

fn id_taken(id: &impl Display) -> Rejection {
    Rejection::IdTaken { id: id.to_string() }
}

/// A decision by which nothing happens.
fn nothing(outcome: Outcome) -> Judgement {
    Ok(Decision {
        events: Vec::<Event>::new(),
        outcome,
    })
}
