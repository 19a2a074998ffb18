//! Source: a join token is found by its hash and by nothing else, and whoever came by it is known. An edge
//! that is known has been told of.

use super::ensure;
use super::expected::Expected;
use super::state::State;
use crate::schema::{EDGE_CHANGES, EDGE_RECORDS, EDGE_TOKEN_HASHES, EDGE_TOKENS};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&EDGE_TOKEN_HASHES);
    for ((environment, id), token) in EDGE_TOKENS.walk(&state.rows, EDGE_TOKENS.all()) {
        ensure(
            environment == token.environment_id && id == token.id,
            || format!("the join token {id} is elsewhere"),
        )?;
        expected.add(&EDGE_TOKEN_HASHES, (&token.hash,), &environment)?;
        let Some(used) = token.used else {
            continue;
        };
        let is_known = EDGE_RECORDS.has(&state.rows, (&environment, &used.edge_id));
        ensure(is_known, || {
            format!("{} came by a token and is not known", used.edge_id)
        })?;
    }
    for ((environment, name), record) in EDGE_RECORDS.walk(&state.rows, EDGE_RECORDS.all()) {
        ensure(
            environment == record.environment_id && name == record.edge_id,
            || format!("the edge {name} is elsewhere"),
        )?;
        let changed = EDGE_CHANGES.get(&state.rows, (&environment,));
        ensure(changed >= Some(record.revision), || {
            format!("nobody was told of the edge {name}")
        })?;
    }
    Ok(())
}
