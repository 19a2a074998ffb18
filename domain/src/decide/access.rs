//! The first workspace, and keys.

use super::{Context, Judgement, not_found, nothing};
use crate::command::{Bootstrap, NewEnvironment, RevokeApiKey};
use crate::event::{Bootstrapped, Event};
use crate::machine::Decision;
use crate::model::{ApiKey, Environment, EnvironmentKind, KeyKind, Workspace};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{API_KEYS, BOOTSTRAP, BootstrapRecord};

pub(super) fn bootstrap<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &Bootstrap,
) -> Judgement {
    if BOOTSTRAP.has(context.view, ()) {
        return Err(Rejection::AlreadyBootstrapped);
    }
    super::check::name("workspace_name", &command.workspace_name)?;
    let workspace = Workspace {
        id: command.workspace_id.clone(),
        org_id: command.org_id.clone(),
        name: command.workspace_name.clone(),
        plan: command.plan,
        created_at: context.at,
    };
    let (production, live) = first_of(
        &workspace,
        "production",
        EnvironmentKind::Live,
        &command.production,
    );
    let (sandbox, test) = first_of(
        &workspace,
        "sandbox",
        EnvironmentKind::Test,
        &command.sandbox,
    );
    let record = BootstrapRecord {
        workspace_id: workspace.id.clone(),
        production_id: production.id.clone(),
        sandbox_id: sandbox.id.clone(),
        pepper_check: command.pepper_check,
    };
    let outcome = Outcome::Bootstrapped {
        workspace_id: workspace.id.clone(),
        production_id: production.id.clone(),
        sandbox_id: sandbox.id.clone(),
    };
    let made = Bootstrapped {
        record,
        workspace,
        environments: vec![production, sandbox],
        api_keys: vec![live, test],
    };
    Ok(Decision {
        events: vec![Event::Bootstrapped(Box::new(made))],
        outcome,
    })
}

/// An environment of a new workspace and its first key.
fn first_of(
    workspace: &Workspace,
    name: &str,
    kind: EnvironmentKind,
    made: &NewEnvironment,
) -> (Environment, ApiKey) {
    let environment = Environment {
        id: made.id.clone(),
        workspace_id: workspace.id.clone(),
        name: name.to_owned(),
        kind,
        created_at: workspace.created_at,
    };
    let key = ApiKey {
        id: made.key_id.clone(),
        workspace_id: workspace.id.clone(),
        environment_id: made.id.clone(),
        kind: match kind {
            EnvironmentKind::Live => KeyKind::Live,
            EnvironmentKind::Test => KeyKind::Test,
        },
        name: format!("{name}, made at bootstrap"),
        hash: made.key_hash,
        created_at: workspace.created_at,
        revoked_at: None,
    };
    (environment, key)
}

pub(super) fn revoke_api_key<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RevokeApiKey,
) -> Judgement {
    let key = API_KEYS
        .get(context.view, (&command.id,))
        .ok_or_else(|| not_found("api_key", &command.id, None))?;
    if key.revoked_at.is_some() {
        return nothing(Outcome::ApiKey(key));
    }
    let revoked = ApiKey {
        revoked_at: Some(context.at),
        ..key
    };
    Ok(Decision {
        events: vec![Event::ApiKeyRevoked(revoked.clone())],
        outcome: Outcome::ApiKey(revoked),
    })
}
