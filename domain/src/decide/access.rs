//! The first workspace, environments, and who may manage them. Keys are in `api_key`.

use std::collections::BTreeSet;

use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{Actor, Bootstrap, CreateEnvironment, NewEnvironment, UpdateWorkspace};
use crate::event::{Bootstrapped, Event};
use crate::machine::Decision;
use crate::model::{ApiKey, Environment, EnvironmentKind, KeyKind, Scopes, Workspace};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{
    API_KEYS, BOOTSTRAP, BootstrapRecord, ENVIRONMENT_NAMES, ENVIRONMENTS, WORKSPACES,
};

pub(super) fn bootstrap<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &Bootstrap,
) -> Judgement {
    if BOOTSTRAP.has(context.view, ()) {
        return Err(Rejection::AlreadyBootstrapped);
    }
    check::name("workspace_name", &command.workspace_name)?;
    let workspace = Workspace {
        id: command.workspace_id.clone(),
        org_id: command.org_id.clone(),
        name: command.workspace_name.clone(),
        plan: command.plan,
        api_version: command.api_version.clone(),
        created_at: context.at,
        updated_at: None,
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
        scopes: Scopes::default(),
        ip_allowlist: BTreeSet::new(),
        expires_at: None,
        created_by: None,
        updated_at: None,
        salt: None,
        previous: None,
        last_used_at: None,
    };
    (environment, key)
}

pub(super) fn create_environment<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateEnvironment,
) -> Judgement {
    let manager = manager(context, actor)?;
    if manager.kind == KeyKind::Test && command.kind == EnvironmentKind::Live {
        return Err(insufficient("A test key makes no live environments."));
    }
    check::environment_name("name", &command.name)?;
    let workspace = workspace(context, actor)?;
    if ENVIRONMENTS.has(context.view, (&command.id,)) {
        return Err(id_taken(&command.id));
    }
    if ENVIRONMENT_NAMES.has(context.view, (&workspace.id, &command.name)) {
        return Err(Rejection::EnvironmentNameTaken {
            name: command.name.clone(),
        });
    }
    check_plan(context, &workspace)?;
    let environment = Environment {
        id: command.id.clone(),
        workspace_id: workspace.id,
        name: command.name.clone(),
        kind: command.kind,
        created_at: context.at,
    };
    Ok(Decision {
        events: vec![Event::EnvironmentCreated(environment.clone())],
        outcome: Outcome::Environment(environment),
    })
}

/// The workspace's plan must allow one more environment. There are few enough to count them.
fn check_plan<V: View + ?Sized>(
    context: &Context<'_, V>,
    workspace: &Workspace,
) -> Result<(), Rejection> {
    let limit = workspace.plan.environments_max();
    let names = ENVIRONMENT_NAMES.under((&workspace.id,));
    let count = ENVIRONMENT_NAMES.walk(context.view, names).count();
    if u64::try_from(count).is_ok_and(|count| count < limit) {
        return Ok(());
    }
    Err(Rejection::LimitExceeded {
        param: "name".to_owned(),
        message: format!(
            "The plan {} allows {limit} environments.",
            workspace.plan.as_str()
        ),
    })
}

pub(super) fn update_workspace<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateWorkspace,
) -> Judgement {
    // The workspace is production's as well, which a test key never changes.
    if manager(context, actor)?.kind != KeyKind::Live {
        return Err(insufficient("Only a live key changes the workspace."));
    }
    let before = workspace(context, actor)?;
    let mut after = before.clone();
    if let Some(name) = &command.name {
        check::name("name", name)?;
        after.name.clone_from(name);
    }
    if let Some(version) = &command.api_version {
        after.api_version.clone_from(version);
    }
    if after == before {
        return nothing(Outcome::Workspace(before));
    }
    after.updated_at = Some(context.at);
    Ok(Decision {
        events: vec![Event::WorkspaceChanged(after.clone())],
        outcome: Outcome::Workspace(after),
    })
}

pub(super) fn workspace<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
) -> Result<Workspace, Rejection> {
    WORKSPACES
        .get(context.view, (&actor.workspace_id,))
        .ok_or_else(|| not_found("workspace", &actor.workspace_id, None))
}

/// The actor's key, if it may manage its workspace: restricted keys manage nothing.
pub(super) fn manager<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
) -> Result<ApiKey, Rejection> {
    let key = API_KEYS
        .get(context.view, (&actor.api_key_id,))
        .filter(|key| key.workspace_id == actor.workspace_id)
        .ok_or_else(|| not_found("api_key", &actor.api_key_id, None))?;
    if key.kind == KeyKind::Restricted {
        return Err(insufficient(
            "A restricted key does not manage the workspace.",
        ));
    }
    Ok(key)
}

fn insufficient(message: &str) -> Rejection {
    Rejection::InsufficientScope {
        message: message.to_owned(),
    }
}
