//! The API key object. The key's text is in it once, when it was made or rolled.

use domain::model::{ApiKey, Environment};
use serde::Serialize;

use super::super::render::{Seconds, seconds};

/// An API key as clients see it.
#[derive(Serialize)]
pub(crate) struct ApiKeyObject<'a> {
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    r#type: &'static str,
    name: &'a str,
    key: Option<&'a str>,
    scopes: ScopesObject<'a>,
    ip_allowlist: Vec<String>,
    created_by: Option<&'a str>,
    created_at: Seconds,
    updated_at: Option<u64>,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
    previous_key_expires_at: Option<u64>,
    last_used_at: Option<u64>,
}

#[derive(Serialize)]
struct ScopesObject<'a> {
    environments: Vec<&'a str>,
    routes: Vec<&'a str>,
    methods: Vec<&'static str>,
    resources: Vec<String>,
}

impl<'a> ApiKeyObject<'a> {
    /// Shows a key; `environments` are those that it may act in, in any order.
    pub(crate) fn new(key: &'a ApiKey, environments: &'a [Environment]) -> Self {
        let default = environments
            .iter()
            .find(|environment| environment.id == key.environment_id)
            .map_or("", |environment| &environment.name);
        let mut names: Vec<&str> = environments
            .iter()
            .map(|environment| environment.name.as_str())
            .collect();
        // The one that it acts in unless told otherwise comes first, as where it was named.
        names.sort_by_key(|name| (*name != default, *name));
        let scopes = &key.scopes;
        let previous = key.previous.as_ref();
        Self {
            id: key.id.as_str(),
            object: "api_key",
            environment: default,
            r#type: key.kind.as_str(),
            name: &key.name,
            key: None,
            scopes: ScopesObject {
                environments: names,
                routes: scopes.routes.iter().map(AsRef::as_ref).collect(),
                methods: scopes.methods.iter().map(|verb| verb.as_str()).collect(),
                resources: scopes.resources.iter().map(ToString::to_string).collect(),
            },
            ip_allowlist: key.ip_allowlist.iter().map(ToString::to_string).collect(),
            created_by: key.created_by.as_ref().map(AsRef::as_ref),
            created_at: Seconds(key.created_at),
            updated_at: seconds(key.updated_at),
            expires_at: seconds(key.expires_at),
            revoked_at: seconds(key.revoked_at),
            previous_key_expires_at: seconds(previous.map(|previous| previous.expires_at)),
            last_used_at: seconds(key.last_used_at),
        }
    }

    /// With the key's text.
    pub(crate) fn revealing(self, key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }
}
