//! Source: chunks are collected when nobody names them, never those of an active or kept tree.

use std::collections::BTreeMap;

use super::ensure;
use super::expected::Expected;
use super::state::State;
use crate::schema::CHUNK_COUNTS;
use crate::tree::{Hash, children};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&CHUNK_COUNTS);
    let heads = state.snapshots.values().map(|snapshot| snapshot.head);
    let roots = state
        .roots
        .values()
        .copied()
        .filter(|root| *root != Hash::EMPTY_TREE);
    let mut named: Vec<Hash> = heads.chain(roots).collect();
    let mut counts: BTreeMap<Hash, u64> = BTreeMap::new();
    while let Some(hash) = named.pop() {
        let count = counts.entry(hash).or_default();
        *count += 1;
        if *count == 1 {
            let bytes = state
                .chunks
                .get(&hash)
                .ok_or_else(|| format!("chunk {hash} is named but missing"))?;
            named.extend(children(bytes).map_err(|error| error.to_string())?);
        }
    }
    for (hash, count) in &counts {
        expected.add(&CHUNK_COUNTS, (hash,), count)?;
    }
    ensure(
        state.chunks.keys().all(|hash| counts.contains_key(hash)),
        || "a chunk is there that nobody names".to_owned(),
    )
}
