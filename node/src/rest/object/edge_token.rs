//! Join tokens as clients see them, and edges that were turned away. A token's text is in it once, when it
//! was made.

use std::collections::BTreeMap;

use domain::model::{EdgeRecord, EdgeToken};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};

/// A token by which an edge joins.
#[derive(Serialize, ToSchema)]
#[schema(as = EdgeToken)]
pub(crate) struct EdgeTokenObject<'a> {
    #[schema(value_type = shape::EdgeTokenId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    /// The one edge that it lets in; any that is not there yet, if there is none.
    #[schema(value_type = Option<shape::EdgeName>)]
    edge_id: Option<&'a str>,
    #[schema(value_type = shape::EdgeName)]
    region: &'a str,
    #[schema(value_type = shape::EdgeLabels)]
    labels: &'a BTreeMap<String, String>,
    /// The token's text, in the answer that makes it and in retries of that request.
    #[schema(value_type = Option<shape::JoinToken>)]
    token: Option<&'a str>,
    #[schema(value_type = shape::ApiKeyId)]
    created_by: &'a str,
    created_at: Seconds,
    expires_at: Seconds,
    /// The edge that came by it.
    #[schema(value_type = Option<shape::EdgeName>)]
    used_by: Option<&'a str>,
    used_at: Option<u64>,
}

/// An edge that gets nothing any more.
#[derive(Serialize, ToSchema)]
#[schema(as = EdgeRevocation)]
pub(crate) struct EdgeRevocationObject<'a> {
    /// The edge's.
    #[schema(value_type = shape::EdgeName)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    revoked: bool,
    revoked_at: Option<u64>,
}

impl<'a> EdgeTokenObject<'a> {
    /// Shows a token; `environment` is the name of the environment it lets edges into.
    pub(crate) fn new(token: &'a EdgeToken, environment: &'a str) -> Self {
        let used = token.used.as_ref();
        Self {
            id: token.id.as_str(),
            object: "edge_token",
            environment,
            edge_id: token.binding.edge_id.as_deref(),
            region: &token.binding.region,
            labels: &token.binding.labels,
            token: None,
            created_by: token.created_by.as_str(),
            created_at: Seconds(token.created_at),
            expires_at: Seconds(token.expires_at),
            used_by: used.map(|used| used.edge_id.as_str()),
            used_at: seconds(used.map(|used| used.at)),
        }
    }

    /// With the token's text.
    pub(crate) fn revealing(self, token: &'a str) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }
}

impl<'a> EdgeRevocationObject<'a> {
    /// Shows what was decided of an edge of an environment of this name.
    pub(crate) fn new(record: &'a EdgeRecord, environment: &'a str) -> Self {
        Self {
            id: &record.edge_id,
            object: "edge_revocation",
            environment,
            revoked: record.revoked_at.is_some(),
            revoked_at: seconds(record.revoked_at),
        }
    }
}
