//! Join tokens, and what the cluster has decided of edges.

use crate::id::{EdgeTokenId, EnvironmentId};
use crate::model::{EdgeRecord, EdgeToken, KeyHash};
use crate::rows::View;
use crate::schema::{EDGE_CHANGES, EDGE_RECORDS, EDGE_TOKEN_HASHES, EDGE_TOKENS};
use crate::time::{Revision, Timestamp};

/// A join token.
pub fn edge_token(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &EdgeTokenId,
) -> Option<EdgeToken> {
    EDGE_TOKENS.get(view, (environment, id))
}

/// The join token that is recognised by this hash. It looks at all tokens of its environment, a thousand
/// at most.
pub fn edge_token_by_hash(view: &(impl View + ?Sized), hash: &KeyHash) -> Option<EdgeToken> {
    let environment = EDGE_TOKEN_HASHES.get(view, (hash,))?;
    let mut tokens = edge_tokens(view, &environment).into_iter();
    tokens.find(|token| token.hash == *hash)
}

/// All join tokens of an environment that are remembered, in order of creation.
pub fn edge_tokens(view: &(impl View + ?Sized), environment: &EnvironmentId) -> Vec<EdgeToken> {
    let span = EDGE_TOKENS.under((environment,));
    let tokens = EDGE_TOKENS.walk(view, span);
    tokens.map(|(_, token)| token).collect()
}

/// What the cluster has decided of an edge, if anything.
pub fn edge_record(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    edge_id: &str,
) -> Option<EdgeRecord> {
    EDGE_RECORDS.get(view, (environment, &edge_id.to_owned()))
}

/// Up to `limit` edges of an environment that [need not be known](EdgeRecord::is_forgotten) any more. It looks at all that
/// are known.
pub fn forgotten_edges(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    at: Timestamp,
    limit: usize,
) -> Vec<String> {
    let records = EDGE_RECORDS.walk(view, EDGE_RECORDS.under((environment,)));
    let forgotten = records.filter(|(_, record)| record.is_forgotten(at));
    forgotten
        .map(|(_, record)| record.edge_id)
        .take(limit)
        .collect()
}

/// The entry that last let in an edge of an environment, or turned one away.
pub fn edges_changed(view: &(impl View + ?Sized), environment: &EnvironmentId) -> Option<Revision> {
    EDGE_CHANGES.get(view, (environment,))
}
