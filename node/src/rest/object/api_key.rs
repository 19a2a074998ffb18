//! The API key object. The key's text is in it once, when it was made or rolled.

use domain::model::{ApiKey, Environment};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};

/// An API key as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ApiKeyObject<'a> {
    #[schema(value_type = shape::ApiKeyId)]
    id: &'a str,
    object: &'static str,
    /// Where it acts unless told otherwise.
    environment: &'a str,
    #[schema(value_type = shape::KeyType)]
    r#type: &'static str,
    name: &'a str,
    /// The key's text, in the answers that make it and in retries of those requests.
    key: Option<&'a str>,
    scopes: ScopesObject<'a>,
    /// Networks that it works from; none is anywhere.
    ip_allowlist: Vec<String>,
    /// The key that made it; none for those of bootstrap.
    #[schema(value_type = Option<shape::ApiKeyId>)]
    created_by: Option<&'a str>,
    created_at: Seconds,
    updated_at: Option<u64>,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
    /// Until when the text before the last roll works.
    previous_key_expires_at: Option<u64>,
    /// Good to about five minutes.
    last_used_at: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyScopes)]
struct ScopesObject<'a> {
    /// By name; the first is where the key acts by default.
    environments: Vec<&'a str>,
    /// Only these; none is all.
    #[schema(value_type = Vec<shape::RouteId>)]
    routes: Vec<&'a str>,
    /// Only these; none is all.
    #[schema(value_type = Vec<shape::KeyMethod>)]
    methods: Vec<&'static str>,
    /// Only these; none is all.
    #[schema(value_type = Vec<shape::ResourceScope>)]
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
