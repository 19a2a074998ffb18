//! Join tokens.

use utoipa::ToSchema;

use super::super::shape;

/// A new join token.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeTokenCreate {
    /// The one edge that it is to let in, also in the place of one that has lost its key.
    edge_id: Option<shape::EdgeName>,
    /// Where the edge is.
    region: shape::EdgeName,
    labels: Option<shape::NewEdgeLabels>,
}
