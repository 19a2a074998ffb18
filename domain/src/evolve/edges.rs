//! Join tokens, edges, and when one of an environment last changed.

use crate::model::{EdgeRecord, EdgeToken};
use crate::rows::Rows;
use crate::schema::{EDGE_CHANGES, EDGE_RECORDS, EDGE_TOKEN_HASHES, EDGE_TOKENS, HASH_PEPPERS};

pub(super) fn token_written(rows: &mut impl Rows, token: &EdgeToken) {
    let environment = &token.environment_id;
    EDGE_TOKENS.put(rows, (environment, &token.id), token);
    EDGE_TOKEN_HASHES.put(rows, (&token.hash,), environment);
}

pub(super) fn token_removed(rows: &mut impl Rows, token: &EdgeToken) {
    EDGE_TOKENS.delete(rows, (&token.environment_id, &token.id));
    EDGE_TOKEN_HASHES.delete(rows, (&token.hash,));
    HASH_PEPPERS.delete(rows, (&token.hash,));
}

pub(super) fn edge_written(rows: &mut impl Rows, record: &EdgeRecord) {
    let environment = &record.environment_id;
    EDGE_RECORDS.put(rows, (environment, &record.edge_id), record);
    EDGE_CHANGES.put(rows, (environment,), &record.revision);
}

/// Nobody has to be told: it gets nothing either way.
pub(super) fn edge_forgotten(rows: &mut impl Rows, record: &EdgeRecord) {
    EDGE_RECORDS.delete(rows, (&record.environment_id, &record.edge_id));
}
