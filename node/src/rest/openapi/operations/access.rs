//! API keys, environments and the workspace.

use super::super::super::error::Code;
use super::super::super::object::{
    ApiKeyObject, EnvironmentObject, LimitsObject, UsageObject, WorkspaceObject,
};
use super::super::super::operation::*;
use super::super::described::{Described, delete, get, patch, post, under};
use super::super::request::access::{
    ApiKeyCreate, ApiKeyUpdate, EnvironmentCreate, Roll, WorkspaceUpdate,
};

pub(super) fn rows() -> Vec<Described> {
    let mut rows = under("API keys", api_keys());
    rows.extend(under("Environments", environments()));
    rows.extend(under("Workspace", workspace()));
    rows
}

fn api_keys() -> Vec<Described> {
    vec![
        get(API_KEYS_LIST, "List API keys")
            .about("By creation, revoked ones too.")
            .lists::<ApiKeyObject<'_>>(),
        post(API_KEYS_CREATE, "Create an API key")
            .about("The answer has the key's text, which is not shown again.")
            .takes::<ApiKeyCreate>()
            .makes::<ApiKeyObject<'_>>()
            .refused(&[Code::LimitExceeded])
            .leads("/v2/api_keys/{id}", "$response.body#/id"),
        get(API_KEYS_CURRENT, "Get the key that asks").gives::<ApiKeyObject<'_>>(),
        get(API_KEYS_GET, "Get an API key").gives::<ApiKeyObject<'_>>(),
        patch(API_KEYS_UPDATE, "Update an API key")
            .takes::<ApiKeyUpdate>()
            .gives::<ApiKeyObject<'_>>()
            .refused(&[Code::LimitExceeded, Code::ValidationFailed]),
        post(API_KEYS_ROLL, "Roll an API key")
            .about("Gives it a new text; the one before works until the overlap ends.")
            .may_take::<Roll>()
            .gives::<ApiKeyObject<'_>>()
            .refused(&[Code::ApiKeyInactive]),
        post(API_KEYS_REVOKE, "Revoke an API key")
            .about("Ends it at once; again: the same answer. No key revokes itself.")
            .gives::<ApiKeyObject<'_>>(),
        delete(API_KEYS_DELETE, "Revoke an API key")
            .about("The same as `revoke`.")
            .gives::<ApiKeyObject<'_>>(),
    ]
}

fn environments() -> Vec<Described> {
    vec![
        get(ENVIRONMENTS_LIST, "List environments")
            .about("By creation; those that exist for the key.")
            .lists::<EnvironmentObject<'_>>(),
        post(ENVIRONMENTS_CREATE, "Create an environment")
            .about("It has no key yet. Test keys make test environments only.")
            .takes::<EnvironmentCreate>()
            .makes::<EnvironmentObject<'_>>()
            .refused(&[Code::EnvironmentNameTaken, Code::LimitExceeded])
            .leads("/v2/environments/{id}", "$response.body#/id"),
        get(ENVIRONMENTS_GET, "Get an environment").gives::<EnvironmentObject<'_>>(),
    ]
}

fn workspace() -> Vec<Described> {
    vec![
        get(WORKSPACE_GET, "Get the workspace").gives::<WorkspaceObject<'_>>(),
        patch(WORKSPACE_UPDATE, "Rename the workspace")
            .about("With a live key.")
            .takes::<WorkspaceUpdate>()
            .gives::<WorkspaceObject<'_>>(),
        get(WORKSPACE_USAGE, "See what the workspace uses").gives::<UsageObject<'_>>(),
        get(WORKSPACE_LIMITS, "See what the workspace may use").gives::<LimitsObject>(),
    ]
}
